"""The console on which the verbs print tables."""

from __future__ import annotations

from rich.console import Console

PIPED_WIDTH = 160
"""Width in columns where the output goes into a file or another program."""


def open_console() -> Console:
    """Return standard output; where it is no terminal, it is wide enough for tables."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console
