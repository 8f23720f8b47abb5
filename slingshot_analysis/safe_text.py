"""Text from files of others, made safe to print, to export and to write into messages."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200
"""Characters of a name or message that are kept."""

PLAIN = re.compile(r"[ -~]*")
"""Text in which nothing has to be replaced."""

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
