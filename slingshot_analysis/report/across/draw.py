"""Which figures of many runs are drawn, and into which files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from slingshot_analysis.many_runs import fills_a_grid, numeric_keys, split_against
from slingshot_analysis.many_runs.dose import check_key, is_telling
from slingshot_analysis.report.across.contingency import draw_contingency
from slingshot_analysis.report.across.dose import draw_dose_response
from slingshot_analysis.report.across.heatmap import draw_heatmap
from slingshot_analysis.report.across.overlay import draw_overlay
from slingshot_analysis.report.folder import picture_folder, writing_pictures
from slingshot_analysis.signal import Signal

__all__ = ["check_against", "choose_against", "draw_across_runs"]

MOST_DOSES = 6
"""Figures of dose response that are drawn unasked."""


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
        Of `runs_table`.
    curves : sequence of mapping of str to Signal
        Of `thin_curves`, one for each row of `runs`.
    folder : path-like
        For ``overlay.png``, ``contingency.png``, ``dose-KEY.png`` and ``heatmap-KEY-KEY.png``; made where there is
        none, and files of these names are replaced.
    against : sequence of str, optional
        Numbers of the configuration: ``"optimizer.eps"`` for a dose response, ``"optimizer.beta1,optimizer.beta2"``
        for a heatmap. By default a heatmap for β₁ and β₂, or for the only two numbers that vary, where their runs fill
        a grid (`fills_a_grid`); a dose response for each other number that varies among runs alike in all else, up to
        six.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        If `against` names what is no number that varies, or the folder can't be written.
    """
    chosen = [check_against(runs, words) for words in against] or choose_against(runs)
    folder = picture_folder(folder)
    with writing_pictures(folder):
        written = draw_overlay(runs, curves, folder / "overlay.png")
        written.append(draw_contingency(runs, folder / "contingency.png"))
        for keys in chosen:
            name = "-".join(re.sub(r"[^\w.]+", "_", key) for key in keys)
            if len(keys) == 2:
                written.append(draw_heatmap(runs, keys[0], keys[1], folder / f"heatmap-{name}.png"))
            else:
                written.append(draw_dose_response(runs, keys[0], folder / f"dose-{name}.png"))
    return written


def check_against(runs: pd.DataFrame, words: str) -> tuple[str, ...]:
    """Return the one or two keys that somebody names.

    Raises
    ------
    InputError
        If there are more, or one is no number in which these runs differ.
    """
    keys = split_against(words)
    for key in keys:
        check_key(runs, key)
    return keys


def choose_against(runs: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return the keys that figures are drawn against when nobody names any."""
    keys = numeric_keys(runs)
    chosen: list[tuple[str, ...]] = []
    betas = [key for key in keys if key.rpartition(".")[2] in ("beta1", "beta2")]
    pair = betas if len(betas) == 2 else keys if len(keys) == 2 else []
    if pair and fills_a_grid(runs, pair[0], pair[1]):
        chosen = [(pair[0], pair[1])]
        keys = [key for key in keys if key not in pair]
    return chosen + [(key,) for key in keys if is_telling(runs, key)][:MOST_DOSES]
