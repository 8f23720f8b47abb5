"""Read the text of a log, a notebook or progress bars as the lines that a terminal would have shown."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._parts.text_file import plain_suffix, read_text

ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\n]*\x07?|[()][A-Z0-9]|[@-Z\\-_])")
"""Escape sequences of terminals: colours, cursor movements and titles."""
MARKS = "\0\1\2\3\4\5\6"
"""Characters that have a meaning of their own in masked lines."""
BACKSPACES = re.compile("\b+")


def text_of(path: Path) -> str:
    r"""Return the text of a log; each state of a progress bar is a line.

    Raises
    ------
    InputError
        If the file can't be read or is no text.
    """
    text = read_text(path)
    if _is_notebook(path, text):
        text = _notebook_text(text, path)
    return _cleaned(text)


def _cleaned(text: str) -> str:
    r"""Return a text without escape sequences, with a line for each state of a progress bar.

    Examples
    --------
    >>> _cleaned("\x1b[1m1/2\x1b[0m loss: 3\b\b\b2/2 loss: 2")
    '1/2 loss: 3\n2/2 loss: 2'
    """
    if "\x1b" in text:
        text = ESCAPE.sub("", text)
    if "\b" in text:
        text = BACKSPACES.sub("\n", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    for mark in MARKS:
        if mark in text:
            text = text.replace(mark, " ")
    return text


def _is_notebook(path: Path, text: str) -> bool:
    """Return whether a text is a Jupyter notebook."""
    return plain_suffix(path) == ".ipynb" or (text[:200].lstrip()[:1] == "{" and '"cells"' in text[:200])


def _notebook_text(text: str, path: Path) -> str:
    """Return what the cells of a notebook printed, in order. HTML tables become rows with ``|``.

    Raises
    ------
    InputError
        If it is no notebook, or its cells printed nothing.
    """
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: can't be read as a notebook ({error}); save it again") from error
    cells = [cell for sheet in _objects(notebook, "worksheets") for cell in _objects(sheet, "cells")]
    shown = ["".join(map(_output, _objects(cell, "outputs"))) for cell in cells or _objects(notebook, "cells")]
    found = "\n".join(one for one in shown if one.strip())
    if not found:
        raise InputError(f"{path}: the cells of this notebook have no output; run it, and save it with its output")
    return found


def _objects(holder: Any, key: str) -> list[dict[str, Any]]:
    """Return the objects in a list of an object; none if it has another form."""
    found = holder.get(key) if isinstance(holder, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _output(output: dict[str, Any]) -> str:
    """Return the text of one output. The text of a stream may continue in the next output."""
    if "text" in output:
        return _joined(output["text"])
    data = output.get("data", output)
    if isinstance(data, dict) and (page := _joined(data.get("text/html", data.get("html", "")))):
        rows = _Rows()
        rows.feed(page)
        return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows.found)
    plain = _joined(data.get("text/plain", "")) if isinstance(data, dict) else ""
    return plain + "\n" if plain else ""


def _joined(text: Any) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


class _Rows(HTMLParser):
    """The cells of the tables of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[list[str]] = []
        self.cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.found.append([])
        elif tag in ("td", "th"):
            self.cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self.cell is not None and self.found:
            self.found[-1].append("".join(self.cell).strip())
            self.cell = None

    def handle_data(self, data: str) -> None:
        if self.cell is not None:
            self.cell.append(data)
