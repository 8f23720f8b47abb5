"""Choose which figures of many runs to draw, and draw them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from slingshot_analysis.many_runs import check_key, fills_a_grid, is_telling, numeric_keys, split_against
from slingshot_analysis.report.across._contingency import contingency_figure
from slingshot_analysis.report.across._dose import dose_response_figure
from slingshot_analysis.report.across._heatmap import heatmap_figure
from slingshot_analysis.report.across._overlay import draw_overlay
from slingshot_analysis.report.across._style import save
from slingshot_analysis.report.folder import picture_folder, writing_pictures
from slingshot_analysis.report.picture import Given
from slingshot_analysis.signal import Signal

MOST_DOSES = 6
"""Largest number of dose responses that are drawn where the caller names none."""


def draw_across_runs(
    runs: pd.DataFrame,
    curves: Sequence[Mapping[str, Signal]],
    folder: str | Path,
    against: Sequence[str] = (),
) -> list[Path]:
    """Draw what many runs show together.

    Parameters
    ----------
    runs : DataFrame
        The table of `runs_table`.
    curves : sequence of mapping of str to Signal
        The curves of `thin_curves`, one mapping for each row of `runs`.
    folder : path-like
        Folder of ``overlay.png``, ``contingency.png``, ``dose-KEY.png`` and ``heatmap-KEY-KEY.png``. It is made if it
        is missing, and files of these names are replaced.
    against : sequence of str, optional
        Numbers of the configuration: ``"optimizer.eps"`` for a dose response, ``"optimizer.beta1,optimizer.beta2"``
        for a heatmap. By default there is a heatmap for β₁ and β₂, or for the only two numbers that vary, if the runs
        fill a grid (`fills_a_grid`), and a dose response for each other number, up to six, that varies between runs
        with the same configuration otherwise.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        If a name of `against` is no number that varies between the runs, or the folder can't be written.
    """
    chosen = [_check_against(runs, words) for words in against] or _choose_against(runs)
    folder = picture_folder(folder)
    with writing_pictures(folder):
        written = draw_overlay(runs, curves, folder / "overlay.png")
        written.append(save(contingency_figure(runs), folder / "contingency.png"))
        for keys in chosen:
            name = "-".join(re.sub(r"[^\w.]+", "_", key) for key in keys)
            kind = "heatmap" if len(keys) == 2 else "dose"
            written.append(save(_figure_of(runs, keys), folder / f"{kind}-{name}.png"))
    return written


def figure_across_runs(runs: pd.DataFrame, against: str = "", axes: Given = None) -> Figure:
    """Return one figure of many runs.

    Parameters
    ----------
    runs : DataFrame
        The table of `runs_table`.
    against : str, optional
        A number of the configuration, for a dose response, or two with a comma between them, for a heatmap. By default
        the figure shows slingshots against grokking.
    axes : sequence of Axes, optional
        Axes to draw into, one for each panel. By default a new figure is made.

    Returns
    -------
    Figure
        The figure.

    Raises
    ------
    InputError
        If a name of `against` is no number that varies between the runs, or the number of axes is another.
    """
    return _figure_of(runs, _check_against(runs, against), axes) if against else contingency_figure(runs, axes)


def _figure_of(runs: pd.DataFrame, keys: tuple[str, ...], axes: Given = None) -> Figure:
    if len(keys) == 2:
        return heatmap_figure(runs, keys[0], keys[1], axes)
    return dose_response_figure(runs, keys[0], axes)


def _check_against(runs: pd.DataFrame, words: str) -> tuple[str, ...]:
    """Return the one or two keys of a text such as ``"optimizer.eps"``, each a number in which the runs differ."""
    keys = split_against(words)
    for key in keys:
        check_key(runs, key)
    return keys


def _choose_against(runs: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return the keys to draw against where the caller names none."""
    keys = numeric_keys(runs)
    chosen: list[tuple[str, ...]] = []
    betas = [key for key in keys if key.rpartition(".")[2] in ("beta1", "beta2")]
    pair = betas if len(betas) == 2 else keys if len(keys) == 2 else []
    if pair and fills_a_grid(runs, pair[0], pair[1]):
        chosen = [(pair[0], pair[1])]
        keys = [key for key in keys if key not in pair]
    return chosen + [(key,) for key in keys if is_telling(runs, key)][:MOST_DOSES]
