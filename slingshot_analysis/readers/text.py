"""Any text in which lines repeat: what trainers print, log and paste, without a list of trainers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._parts.text_file import head_text, plain_suffix
from slingshot_analysis.readers._raw import RawRun, Reader
from slingshot_analysis.readers._text.given import scanned_as_given
from slingshot_analysis.readers._text.reading import Reading, reading_of
from slingshot_analysis.readers._text.scan import scanned
from slingshot_analysis.readers._text.series import SHOWN
from slingshot_analysis.readers._text.source import text_of
from slingshot_analysis.readers.delimited import DelimitedReader

OTHERS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".toml", ".yaml", ".yml")
"""Ends of names of files that other readers read or that are no logs."""

SAMPLE = 200
"""Lines from which text is told from a table."""
PAIR = re.compile(r"[A-Za-z_][\"']?\s?[:=]\s?[\"'(\[{]?[-+.\d]")
"""A name with a value."""


class TextReader(Reader):
    """Text in which lines repeat that differ in nothing but their numbers.

    Parameters
    ----------
    lines : sequence of str, optional
        Lines with ``{name}`` in the place of each number that is wanted and ``{}`` for what is skipped; only what fits
        one of them is read.
    step : str, optional
        Name of the number that is the step, where the guess is wrong.
    refuse : bool, optional
        Whether a text without a loss is refused; not if the user has said what the loss is called.
    """

    name = "text"
    suffixes = (".log", ".txt", ".out", ".err", ".md", ".ipynb")

    def __init__(self, lines: Sequence[str] = (), step: str | None = None, refuse: bool = True) -> None:
        self.lines = tuple(lines)
        self.step = step
        self.refuse = refuse and not self.lines

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Take all text that is neither JSON nor a plain table."""
        text = head_text(head)
        if not text.strip() or plain_suffix(path) in OTHERS:
            return False
        if plain_suffix(path) == ".ipynb":
            return True
        if _is_json(text):
            return False
        lines = [line for line in text.split("\n")[:SAMPLE] if line.strip()]
        if 2 * sum(PAIR.search(line) is not None for line in lines) > len(lines):
            return True
        if not DelimitedReader().recognizes(path, head):
            return True
        reading = reading_of(scanned(text), str(path))
        return reading.has_loss and reading.header != lines[0].strip()

    def read(self, path: Path) -> list[RawRun]:
        """Read the runs of a text.

        Raises
        ------
        InputError
            If the file can't be read, no line repeats, or none has a loss.
        """
        text = text_of(path)
        scan = scanned_as_given(text, self.lines, str(path)) if self.lines else scanned(text)
        reading = reading_of(scan, str(path), self.step, told=not self.refuse)
        self._check(path, reading)
        attributes = {"train_iters": int(reading.total)} if np.isfinite(reading.total) else {}
        several = len(reading.parts) > 1
        notes = [*reading.notes]
        if several:
            often = "once" if len(reading.parts) == 2 else f"{len(reading.parts) - 1} times"
            notes.append(f"steps start afresh {often}: read as {len(reading.parts)} runs")
        names = [part.heading for part in reading.parts]
        runs = []
        for number, part in enumerate(reading.parts, start=1):
            name = ""
            if several:
                name = part.heading if part.heading and names.count(part.heading) == 1 else f"run {number}"
            runs.append(RawRun(name, part.columns, attributes, notes, reading.templates))
        return runs

    def _check(self, path: Path, reading: Reading) -> None:
        if not reading.repeats:
            raise InputError(
                f"{path}: no line with numbers repeats: this is a configuration or a note, not a log; give the log"
            )
        if not reading.has_loss and not any(name == "loss" for name in reading.names) and self.refuse:
            names = ", ".join(map(repr, reading.names[:SHOWN]))
            more = f" and {len(reading.names) - SHOWN} more" if len(reading.names) > SHOWN else ""
            raise InputError(
                f"{path}: holds no loss; what repeats is called {names}{more}. If one of them is the loss, name it "
                "with map=, or give a line with line="
            )


def _is_json(text: str) -> bool:
    """Tell JSON, whole or one object a line, from text that begins with a bracket."""
    start = text.lstrip()
    if start[:1] not in ("{", "["):
        return False
    first = start.split("\n", 1)[0].strip()
    try:
        json.loads(first)
        return True
    except RecursionError:
        return True
    except ValueError:
        pass
    try:
        json.loads(start)
        return True
    except json.JSONDecodeError as error:
        return error.pos >= len(start.rstrip()) or error.msg.startswith("Unterminated string")
    except (ValueError, RecursionError):
        return True
