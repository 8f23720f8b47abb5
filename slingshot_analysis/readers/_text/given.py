"""Lines that the user describes: ``step {step} of {} | loss {loss}``, with a name for each number that is wanted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._text.scan import Group, Scan
from slingshot_analysis.readers._text.templates import Field, Template
from slingshot_analysis.readers._text.tokens import MARK, TOKEN, numbers_of, with_marks
from slingshot_analysis.readers._text.words import counter_of, side_of

BRACES = re.compile(r"\{([^{}'\":]*)\}")
"""A name in braces, or nothing; the braces of dicts and JSON are text."""
UNCLOSED = re.compile(r"\{[\w/]+(?![\w/])")


@dataclass(frozen=True)
class GivenLine:
    """A line with ``{name}`` for numbers.

    Parameters
    ----------
    text : str
        As it was given.
    literals : tuple of str
        Text before, between and after the braces, without blanks at its ends.
    names : tuple of str
        Names in the braces; empty for what is skipped.
    """

    text: str
    literals: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> GivenLine:
        """Read a line.

        Raises
        ------
        InputError
            If it names no number, two alike, or two without anything between them.

        Examples
        --------
        >>> GivenLine.of("it {step}: {loss} (avg {})").names
        ('step', 'loss', '')
        """
        pieces = BRACES.split(" ".join(text.split()))
        literals, names = [piece.strip() for piece in pieces[::2]], [name.strip() for name in pieces[1::2]]
        where = f"line {text!r}"
        named = [name for name in names if name]
        if not named:
            raise InputError(f"{where}: has no {{name}}; write one for each number that is wanted, such as {{loss}}")
        if len(set(named)) < len(named):
            raise InputError(f"{where}: has a name twice; each names another number")
        if any(not literal for literal in literals[1:-1]):
            raise InputError(f"{where}: has braces right after each other; write what stands between them")
        if any(UNCLOSED.search(literal) for literal in literals):
            raise InputError(f"{where}: has a brace without its partner; write {{name}} for a number and {{}} to skip")
        return cls(text, tuple(literals), tuple(names))

    def tokens(self, line: str) -> list[str] | None:
        """Return the numbers of a line that contains this one. None for any other line.

        Examples
        --------
        >>> GivenLine.of("it {step}: {loss}").tokens("INFO it  10: 2.5 nats"), GivenLine.of("it {step}").tokens("it x")
        (['10', '2.5'], None)
        """
        first = self.literals[0]
        line = with_marks(" ".join(line.split()))
        begin = line.find(first)
        while begin >= 0:
            found = self._from(line, begin + len(first))
            if found is not None:
                return found
            if not first:
                token = TOKEN.search(line, begin)
                begin = token.end() if token is not None and token.end() > begin else -1
            else:
                begin = line.find(first, begin + 1)
        return None

    def _from(self, line: str, position: int) -> list[str] | None:
        found: list[str] = []
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            if name:
                if not self.literals[0] and not found:
                    token = TOKEN.search(line, position)
                else:
                    token = TOKEN.match(line, position + (line[position : position + 1] == " "))
                if token is None:
                    return None
                found.append(token[0])
                position = token.end()
                gap = position + (line[position : position + 1] == " ")
                if not literal:
                    continue
                start = gap if line.startswith(literal, gap) else position
                if not line.startswith(literal, start):
                    return None
                position = start + len(literal)
            else:
                start = line.find(literal, position) if literal else len(line)
                if start < 0:
                    return None
                position = start + len(literal)
        return found


def scanned_as_given(text: str, lines: Sequence[str], where: str) -> Scan:
    """Return the lines of a text that fit one of some given lines, the first that fits.

    Raises
    ------
    InputError
        If none fits; the message shows a line of the text.
    """
    given = [GivenLine.of(line) for line in lines]
    found: list[tuple[list[int], list[list[str]], str]] = [([], [], "") for _ in given]
    count, sample = 0, ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        count += 1
        sample = sample or line
        for place, one in enumerate(given):
            tokens = one.tokens(line)
            if tokens is not None:
                numbers, rows, example = found[place]
                numbers.append(number)
                rows.append(tokens)
                found[place] = (numbers, rows, example or line)
                break
    scan = Scan(line_count=count)
    for one, (numbers, rows, example) in zip(given, found, strict=True):
        if not numbers:
            raise InputError(
                f"{where}: no line fits {one.text!r}; a line of the file is {' '.join(sample.split())[:120]!r}. "
                "Write it with {name} in the place of each number that is wanted and {} for what is skipped"
            )
        named = [name for name in one.names if name]
        columns = {slot: numbers_of([row[slot] for row in rows]) for slot in range(len(named))}
        fields = [_field(slot, name) for slot, name in enumerate(named)]
        masked = " ".join(" ".join(pair) for pair in zip(one.literals, [*(MARK for _ in one.names), ""], strict=True))
        template = Template(masked, "", fields, None, None, False, one.text)
        scan.groups.append(Group(template, numbers[0], example, np.asarray(numbers, dtype=np.int64), columns))
    return scan


def _field(slot: int, name: str) -> Field:
    counter = counter_of(name)
    if counter is not None:
        return Field(slot, counter[1], counter[0], side_of(name))
    return Field(slot, name, "value", side_of(name))
