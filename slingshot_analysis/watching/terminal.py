"""The terminal's view of watched runs: curves made of dots, and what was found in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slingshot_analysis.markup import duration_words, words_of
from slingshot_analysis.watching.curve import GrowingCurve
from slingshot_analysis.watching.run import RunState

ROWS = 4
"""Rows of a curve; each has four dots."""
COLUMNS = 36
"""Columns of a curve; each has two dots."""
LINES_OF_RUN = 9
"""Lines that a run takes with its curves."""
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Bits of the dots of a Braille character, by row and column."""
BLANK = 0x2800
SMALLEST = 1e-300


def runs_view(states: Sequence[RunState], lines: int) -> RenderableType:
    """Return the view of several runs: with curves as far as the lines allow, and a row in a table for each other.

    Parameters
    ----------
    states : sequence of RunState
        The runs.
    lines : int
        Lines of the terminal.
    """
    if not states:
        return Text("waiting for the first rows")
    whole = len(states) if len(states) * LINES_OF_RUN <= lines else max(1, (lines - len(states) - 2) // LINES_OF_RUN)
    shown: list[RenderableType] = [run_view(state) for state in states[:whole]]
    rest = states[whole:]
    room = max(lines - whole * LINES_OF_RUN - 3, 1)
    if rest:
        table = Table(box=None, pad_edge=False)
        for heading in ("run", "step", "phase", "slingshots"):
            table.add_column(
                heading, no_wrap=heading != "run", justify="left" if heading in ("run", "phase") else "right"
            )
        for state in rest[:room]:
            phase = state.ended or state.phase
            table.add_row(Text(state.run), words_of(state.step), phase, f"{len(state.slingshots)}")
        shown.append(table)
    if len(rest) > room:
        shown.append(Text(f"and {len(rest) - room:,} more runs"))
    return Group(*shown)


def run_view(state: RunState) -> RenderableType:
    """Return the view of one run: how far it is, its norm and its loss as curves, and what was found so far."""
    curves = Table.grid(padding=(0, 3, 0, 0))
    columns = []
    for name, curve, logarithmic in ((state.norm_name, state.norm, False), (state.loss_name, state.loss, True)):
        if name:
            scale = " (log)" if logarithmic else ""
            title = Text.assemble((name.replace("_", " "), "bold"), f"  {curve.last:.3g}{scale}")
            columns.append(Group(title, Text("\n".join(draw_curve(curve, logarithmic)), style="cyan")))
    curves.add_row(*columns)
    facts = [state.phase, *state.facts]
    return Group(
        Text.assemble((state.run, "bold"), f"  {_progress(state)}"), curves, Text(" · ".join(filter(None, facts))), ""
    )


def draw_curve(curve: GrowingCurve, logarithmic: bool, rows: int = ROWS, columns: int = COLUMNS) -> list[str]:
    """Return a curve as lines of Braille characters.

    Parameters
    ----------
    curve : GrowingCurve
        The curve.
    logarithmic : bool
        Whether its logarithm is drawn. Values of 0 stand at the bottom.
    rows, columns : int, optional
        Size in characters.

    Examples
    --------
    >>> curve = GrowingCurve()
    >>> curve.extend(np.arange(100), np.arange(100.0))
    >>> print("|".join(draw_curve(curve, False, rows=2, columns=4)))
    ⠀⠀⣠⠞|⡴⠋⠀⠀
    """
    step, low, high = curve.steps, curve.low, curve.high
    picture = np.zeros((4 * rows, 2 * columns), dtype=bool)
    if len(step):
        if logarithmic:
            positive = low[low > 0]
            least = positive.min() if len(positive) else SMALLEST
            low, high = np.log(np.maximum(low, least)), np.log(np.maximum(high, least))
        top, bottom, span = high.max(), low.min(), max(step[-1] - step[0], 1e-12)
        scale = (4 * rows - 1) / (top - bottom) if top > bottom else 0.0
        column = np.minimum(((step - step[0]) / span * 2 * columns).astype(int), 2 * columns - 1)
        for at, one, other in zip(column, (top - high) * scale, (top - low) * scale, strict=True):
            picture[round(one) : round(other) + 1, at] = True
    cells = picture.reshape(rows, 4, columns, 2).transpose(0, 2, 1, 3)
    return ["".join(chr(BLANK + int(DOTS[cell].sum())) for cell in row) for row in cells]


def _progress(state: RunState) -> str:
    words = words_of(state.step) if state.step is not None else "no rows yet"
    words += f" of {words_of(state.steps)} steps" if state.steps is not None else " steps"
    if state.ended:
        return f"{words} · {state.ended}"
    words += f" · {state.pace:,.3g}/s" if state.pace else " · pace not known yet"
    left = state.seconds_left
    return words if left is None else f"{words} · {duration_words(left)} left"
