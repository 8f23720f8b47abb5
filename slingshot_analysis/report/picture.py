"""A figure that a notebook shows by itself."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

DPI, NOTEBOOK_DPI = 130, 72
"""Resolution of a picture in a file, and in a notebook."""


class Picture(Figure):
    """A figure of no window, which a notebook shows as PNG whether pyplot is loaded or not."""

    def _repr_png_(self) -> bytes:
        written = io.BytesIO()
        self.savefig(written, format="png", dpi=NOTEBOOK_DPI)
        return written.getvalue()
