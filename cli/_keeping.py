"""What ``slingshot analyze`` keeps of a run besides its analysis. Every process that analyzes loads this module."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.many_runs import thin_curves
from slingshot_analysis.signal import Signal
from slingshot_analysis.trace import Trace


@dataclass(frozen=True)
class Kept:
    """The picture of a run, under a temporary name, and its thinned curves."""

    picture: Path | None
    curves: Mapping[str, Signal]


@dataclass(frozen=True)
class Keep:
    """Draws a run and thins its curves in the process that has read it.

    Parameters
    ----------
    folder : str or None
        Folder of the pictures; None draws none.
    curves : bool
        Whether curves are wanted.
    form : str
        Format of the pictures, which is their suffix.
    panels : tuple of str
        What to draw; see `run_figure`.
    size : (float, float) or None, inches
        Size of the pictures.
    titles : mapping of str to str
        What to call a run in the title of its picture, by path; by default its name.
    """

    folder: str | None
    curves: bool
    form: str = "png"
    panels: tuple[str, ...] = ()
    size: tuple[float, float] | None = None
    titles: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, run: Trace, analysis: Analysis) -> Kept:
        """Return the picture and the curves that are wanted."""
        picture = None
        if self.folder is not None:
            from slingshot_analysis.report.figure import draw

            picture = Path(self.folder) / f".{uuid.uuid4().hex}.{self.form}"
            picture = draw(
                analysis, run, picture, panels=self.panels, size=self.size, title=self.titles.get(analysis.path)
            )
        return Kept(picture, thin_curves(run) if self.curves else {})
