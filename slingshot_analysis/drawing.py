"""The way from a run, an analysis or a comparison to its figure.

They stand below `report` and may not import it. So their method ``plot`` finds what draws them by name, when it is
called, and nothing loads matplotlib before.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawer(name: str) -> Callable[..., Figure]:
    """Return a function of ``report/plots.py`` by name."""
    found: Callable[..., Figure] = getattr(import_module("slingshot_analysis.report.plots"), name)
    return found
