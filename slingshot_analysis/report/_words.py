"""Numbers as text, in the form that the tables and sentences of a report show."""

from __future__ import annotations

from rich.padding import Padding
from rich.text import Text

from slingshot_analysis.association import GainAssociation

DIGITS = 6
"""Significant digits of a fractional step."""
LONGEST = 1e15
"""Steps from here on, which count no updates, are printed with an exponent."""


def step_words(step: float | None) -> str:
    """Return a step or a number of steps; a fractional one, as in a log that counts epochs, has six digits.

    Examples
    --------
    >>> step_words(123456789), step_words(10_000 / 97), step_words(10_000 / 7), step_words(2.0)
    ('123,456,789', '103.093', '1,428.57', '2')
    >>> step_words(1.5e30)
    '1.5e+30'
    """
    if step is None:
        return "-"
    if abs(step) >= LONGEST:
        return f"{step:.{DIGITS}g}"
    whole = len(f"{abs(step):.0f}")
    text = f"{step:,.{max(0, DIGITS - whole)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def lag_words(lag: float) -> str:
    """Return a number of steps with its sign."""
    return f"{'-' if lag < 0 else '+'}{step_words(abs(lag))}"


def p_words(p_value: float | None) -> str:
    """Return a p-value with two digits."""
    return "-" if p_value is None else f"{p_value:.2g}"


def count_of(count: int, what: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> count_of(1, "loss spike"), count_of(0, "loss spike")
    ('1 loss spike', '0 loss spikes')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def sentence(words: str) -> str:
    """Return words as a sentence.

    Examples
    --------
    >>> sentence("no grokking"), sentence("It is over.")
    ('No grokking.', 'It is over.')
    """
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "?")) else ".")


def early_words(found: GainAssociation) -> str:
    """Return the share of the gain that falls into first halves of cycles, with the p-value if there is one."""
    words = f"{found.early_share:.0%} in first halves of {count_of(found.cycles, 'cycle')}"
    words += f" ({found.expected_share:.0%} by chance)"
    return words if found.p_value is None else f"{words}, p = {p_words(found.p_value)}"


def indented(line: str, style: str = "") -> Padding:
    """Return a line whose indent holds in every row of the terminal that it takes."""
    text = line.lstrip()
    return Padding(Text(text, style=style), (0, 0, 0, len(line) - len(text)), expand=False)
