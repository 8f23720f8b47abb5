"""A figure that a notebook shows by itself."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slingshot_analysis.errors import InputError

Given: TypeAlias = "Axes | Sequence[Axes] | None"
"""Axes to draw into, or None for a figure of its own."""

DPI, NOTEBOOK_DPI = 130, 72
"""Resolution of a picture in a file, and in a notebook."""


class Picture(Figure):
    """A figure of no window, which a notebook shows as PNG whether pyplot is loaded or not."""

    def _repr_png_(self) -> bytes:
        written = io.BytesIO()
        self.savefig(written, format="png", dpi=NOTEBOOK_DPI)
        return written.getvalue()


def panels_of(given: Given, count: int, size: tuple[float, float], **grid: Any) -> tuple[Figure, list[Axes], bool]:
    """Return a figure with so many panels: that of the axes given, or a new one.

    Parameters
    ----------
    given : Axes, sequence of Axes, or None
        Axes to draw into.
    count : int
        Number of panels.
    size : (float, float), inches
        Width and height of a new figure.
    **grid
        Arguments of `Figure.subplots` for a new figure.

    Returns
    -------
    figure : Figure
        The figure.
    panels : list of Axes
        Its panels.
    is_new : bool
        Whether the figure is new, so that it needs a title of its own.

    Raises
    ------
    InputError
        If the number of axes given is another.
    """
    if given is None:
        figure: Figure = Picture(figsize=size, layout="constrained")
        return figure, list(np.ravel(figure.subplots(**grid))), True
    axes = cast("list[Axes]", list(np.ravel(np.asarray(given, dtype=object))))
    if len(axes) != count or not all(isinstance(one, Axes) for one in axes):
        raise InputError(f"axes=: got {len(axes)}; give {count} Axes of Matplotlib, one for each panel")
    return cast("Figure", axes[0].get_figure(root=True)), axes, False
