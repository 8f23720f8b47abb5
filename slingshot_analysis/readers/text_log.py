"""The text that llm.c and Megatron-LM print: a line for each step, with names and values in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._parts.text_file import head_text, read_text
from slingshot_analysis.readers._raw import Column, RawRun, Reader

__all__ = ["TextLogReader"]

LLM_C = re.compile(r"^s:(?P<step>\d+) (?P<fields>(trl|tel|eval):.*)")
MEGATRON = re.compile(r"(?:^|\s)iteration +(?P<step>\d+) */ *(?P<last>\d+) *\|(?P<fields>.*)")
EVALUATION = re.compile(r"validation loss at iteration +(?P<step>\d+)(?: on (?P<split>\w+) set)? *\|(?P<fields>.*)")

LLM_C_NAMES = {"trl": "train_loss", "tel": "val_loss", "norm": "grad_norm"}
"""What llm.c calls ``norm`` is that of the gradient."""


class TextLogReader(Reader):
    """The ``main.log`` of llm.c, or the output of Megatron-LM."""

    name = "text"
    suffixes = (".log", ".txt", ".out")

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Tell by a line of either form."""
        return any(_matched(line) for line in head_text(head).split("\n"))

    def read(self, path: Path) -> list[RawRun]:
        """Read the one run of a file, in its order: after a restart steps go back.

        Raises
        ------
        InputError
            If the file can't be read, or no line is of either form.
        """
        found: dict[str, tuple[list[float], list[float]]] = {}
        attributes = {}
        others, odd = 0, []
        for number, line in enumerate(read_text(path).split("\n"), start=1):
            match = _matched(line)
            if match is None:
                others += bool(line.strip())
                continue
            if match.re is MEGATRON:
                attributes["train_iters"] = int(match["last"])
            for name, word in _fields(match):
                try:
                    value = float(word)
                except ValueError:
                    odd.append(f"line {number}: {name!r} is {word!r}")
                    continue
                steps, values = found.setdefault(name, ([], []))
                steps.append(float(match["step"]))
                values.append(value)
        if not found:
            raise InputError(
                f"{path}: has no line as llm.c or Megatron-LM print them; name its format, or give the log"
            )
        columns = {
            name: Column(np.asarray(values, dtype=np.float64), np.asarray(steps, dtype=np.float64))
            for name, (steps, values) in found.items()
        }
        notes = [f"lines of other text skipped: {others}"] if others else []
        notes += [f"values that are no numbers left out: {len(odd)}, first in {odd[0]}"] if odd else []
        return [RawRun("", columns, attributes, notes)]


def _matched(line: str) -> re.Match[str] | None:
    return LLM_C.search(line) or MEGATRON.search(line) or EVALUATION.search(line)


def _fields(match: re.Match[str]) -> Iterator[tuple[str, str]]:
    """Return the names and values of a line."""
    if match.re is LLM_C:
        for field in match["fields"].split():
            name, _, word = field.partition(":")
            yield LLM_C_NAMES.get(name, name), word
        return
    split = match["split"] if match.re is EVALUATION else None
    for field in match["fields"].split("|"):
        name, _, word = field.rpartition(":")
        if name.strip():
            prefix = f"{split}/" if split not in (None, "validation") else ""
            yield prefix + name.strip(), word.strip()
