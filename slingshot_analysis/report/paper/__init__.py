"""The figures of the paper (Thilak et al. 2022, arXiv 2206.04817), drawn from recorded runs: one module a figure.

Every module of this package is a figure, unless its name begins with an underscore. It has a function ``draw`` that
takes runs and returns the Figure, and the text `SHOWS`. ``paper.mplstyle`` is the style of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import matplotlib as mpl
from matplotlib.figure import Figure

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.report.folder import picture_folder, writing_pictures
from slingshot_analysis.report.paper._runs import PaperRun

__all__ = ["FIGURES", "PaperRun", "draw_figure", "save_figure", "shows"]

STYLE = Path(__file__).parent / "paper.mplstyle"
FIGURES = tuple(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))
"""Names of the figures."""


def shows(name: str) -> str:
    """Return what a figure shows, and which figures of the paper it is drawn after."""
    text: str = import_module(f"{__name__}.{name}").SHOWS
    return text


def draw_figure(name: str, runs: Sequence[PaperRun]) -> Figure:
    """Draw a figure.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    runs : sequence of PaperRun
        The runs that it shows.

    Returns
    -------
    matplotlib.figure.Figure
        In the style of ``paper.mplstyle``.

    Raises
    ------
    InputError
        If there is no such figure, there are no runs, or the runs lack what it shows.
    """
    if name not in FIGURES:
        raise unknown_name("figure", name, FIGURES)
    if not runs:
        raise InputError(f"{name}: got no run to draw; give at least one")
    with mpl.rc_context(fname=STYLE):
        figure: Figure = import_module(f"{__name__}.{name}").draw(runs)
    return figure


def save_figure(
    name: str, runs: Sequence[PaperRun], folder: str | Path, stem: str, suffixes: Sequence[str]
) -> list[Path]:
    """Draw a figure into files.

    Parameters
    ----------
    name, runs
        As for `draw_figure`.
    folder : path-like
        Where the files are written; it is made if it is missing.
    stem : str
        Their name without the suffix.
    suffixes : sequence of {"pdf", "svg", "png"}
        One file for each.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        Also if the folder can't be written.
    """
    figure, folder = draw_figure(name, runs), picture_folder(folder)
    files = [folder / f"{stem}.{suffix}" for suffix in suffixes]
    with writing_pictures(folder), mpl.rc_context(fname=STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the layout is the same in each format
        for file in files:
            figure.savefig(file)
    return files
