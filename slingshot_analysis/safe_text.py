"""Text from files of others, made safe to print, to export and to write into messages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

MOST_LINES = 39
"""Lines of the text that Python shows for an object."""

LONGEST = 200
"""Characters of a name or message that are kept."""

PLAIN = re.compile(r"[ -~]*")
"""Text in which nothing has to be replaced."""

FORMULA = re.compile(r"[=+@\t\r]|-(?![\d.])")
"""How a formula of a spreadsheet begins."""

UNPRINTABLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode categories of control and format characters, halves of surrogate pairs and line separators."""


def printable(text: str, longest: int = LONGEST, keep: str = "") -> str:
    r"""Return a text with escapes in place of what a terminal would act on or can't show, and not too long.

    Parameters
    ----------
    text : str
        Any text.
    longest : int, optional
        Characters that are kept; an ellipsis and the number of characters follow if there are more.
    keep : str, optional
        Control characters that stay as they are.

    Examples
    --------
    >>> printable("train\x1b[2J loss"), printable("\ud800"), printable("validation λ")
    ('train\\x1b[2J loss', '\\ud800', 'validation λ')
    """
    if len(text) > longest:
        text = f"{text[: longest - 24]}... ({len(text):,} characters)"
    if PLAIN.fullmatch(text):
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if character not in keep and unicodedata.category(character) in UNPRINTABLE
        else character
        for character in text
    )


def in_one_line(error: BaseException) -> str:
    r"""Return what an error says, in one printable line.

    Examples
    --------
    >>> in_one_line(ValueError("bad\n  magic")), in_one_line(EOFError())
    ('bad magic', 'EOFError')
    """
    return printable(" ".join(str(error)[: 4 * LONGEST].split())) or type(error).__name__


def few_lines(lines: Iterable[str]) -> str:
    r"""Return lines, each printable and not too long, as one text of at most 39; the last one counts those left out.

    Examples
    --------
    >>> print(few_lines(["Log run", "  a\nb"]))
    Log run
      a\nb
    >>> few_lines(str(line) for line in range(100)).splitlines()[-2:]
    ['37', '  and 62 more']
    """
    shown = [printable(line) for line in lines]
    if len(shown) > MOST_LINES:
        shown[MOST_LINES - 1 :] = [f"  and {len(shown) - MOST_LINES + 1:,} more"]
    return "\n".join(shown)


def without_formula(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula: names come from files of others.

    Examples
    --------
    >>> without_formula("=1+1"), without_formula("loss"), without_formula(-3)
    ("'=1+1", 'loss', -3)
    """
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell
