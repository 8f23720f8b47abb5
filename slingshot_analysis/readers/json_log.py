"""Logs in JSON: one value in a file, or one record a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._parts.histories import CONFIGURATION, runs_of_json
from slingshot_analysis.readers._parts.plain_records import plain_records
from slingshot_analysis.readers._parts.text_file import head_text, plain_suffix, read_text
from slingshot_analysis.readers._raw import RawRun, Reader

SUMMARY = ("_summary", "summary", "_final", "final", "result")
"""Keys of lines with final results, which are no rows."""


class JsonReader(Reader):
    """A JSON file: an array for each metric, a list of records, or several runs of either."""

    name = "json"
    suffixes = (".json",)

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Return whether the first character begins JSON and the file ending is not that of another format."""
        return plain_suffix(path) in (*self.suffixes, ".txt", ".log", "") and head_text(head).lstrip()[:1] in ("{", "[")

    def read(self, path: Path) -> list[RawRun]:
        """Read all runs of a file.

        Raises
        ------
        InputError
            If the file can't be read or is not JSON, or holds no list of numbers or of records.
        """
        return runs_of_json(parsed(path), path)


class JsonLinesReader(Reader):
    """A file with one JSON object a line."""

    name = "jsonl"
    suffixes = (".jsonl", ".ndjson")

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Return whether the first line is a whole object, and another one follows or the file ending is right."""
        lines = [line for line in head_text(head).split("\n") if line.strip()]
        if not lines or not lines[0].startswith("{"):
            return False
        try:
            json.loads(lines[0])
        except (ValueError, RecursionError):
            return False
        return plain_suffix(path) in self.suffixes or (len(lines) > 1 and lines[1].startswith("{"))

    def read(self, path: Path) -> list[RawRun]:
        """Read all runs of a file.

        Raises
        ------
        InputError
            If the file can't be read, a line before the last is no JSON object, or none is a row.
        """
        text = read_text(path)
        quick = _plain(text)
        return [quick] if quick is not None else self._carefully(path, text)

    def _carefully(self, path: Path, text: str) -> list[RawRun]:
        """Read records of any kind."""
        records, notes = _records(path, text)
        attributes: dict[str, Any] = {}
        rows, summaries, configurations = [], 0, 0
        for record in records:
            key, value = next(iter(record.items())) if len(record) == 1 else ("", None)
            if isinstance(value, dict) and key.lower() in CONFIGURATION:
                attributes |= value
                configurations += 1
            elif isinstance(value, dict) and key.lower() in SUMMARY:
                summaries += 1
            else:
                rows.append(record)
        if configurations > 1:
            notes.append(f"{configurations} lines hold a configuration; the later ones count where they differ")
        if summaries:
            notes.append(f"lines that sum up the run skipped: {summaries}")
        if len(rows) > 2 and not set(rows[0]) & {key for row in rows[1:] for key in row}:
            attributes |= rows.pop(0)
            notes.append("the first line shares no key with the others and is taken for the configuration")
        if not rows:
            raise InputError(f"{path}: has no line with a row; nothing was logged to it")
        return runs_of_json(rows, path, attributes, notes)


def parsed(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    InputError
        If it is not JSON; the message names the line.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        hint = (
            "was its writer killed? Write it again" if error.msg != "Extra data" else "one value a line is JSON Lines"
        )
        raise InputError(f"{path}: line {error.lineno}: is not JSON ({error.msg}); {hint}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: can't be read as JSON ({error}); is this a training log?") from error


def _plain(text: str) -> RawRun | None:
    """Return the run of records of numbers, with or without a configuration above them. None for any other text."""
    table = plain_records(text)
    attributes: dict[str, Any] = {}
    if table is None:
        first, _, below = text.partition("\n")
        try:
            record = json.loads(first)
        except (ValueError, RecursionError):
            return None
        key, value = next(iter(record.items())) if isinstance(record, dict) and len(record) == 1 else ("", None)
        if not (isinstance(value, dict) and key.lower() in CONFIGURATION):
            return None
        table, attributes = plain_records(below), value
    if table is None:
        return None
    columns, notes = table
    rows = np.column_stack([column.missing for column in columns.values() if column.missing is not None])
    if len(rows) > 2 and not (~rows[0] & ~rows[1:].all(axis=0)).any():
        return None  # the first record shares no key with the others
    return RawRun("", columns, attributes, notes)


def _records(path: Path, text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the object of each line; the last line may be cut."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    records: list[dict[str, Any]] = []
    for number, line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == lines[-1][0] and records:
                return records, [f"line {number} is cut short and was left out; the writer was killed"]
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise InputError(f"{path}: line {number}: is not JSON ({reason}); repair or remove the line") from error
        if not isinstance(record, dict):
            raise InputError(
                f"{path}: line {number}: is no JSON object; expected one such as {{'step': 1, 'loss': 0.5}}"
            )
        records.append(record)
    return records, []
