"""The console that the verbs print on."""

from __future__ import annotations

from rich.console import Console

__all__ = ["open_console"]

PIPED_WIDTH = 160
"""Columns where the output goes into a file or another program."""


def open_console() -> Console:
    """Return standard output, wide enough for tables where it is no terminal."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console
