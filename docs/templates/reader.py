"""Logs of the program Ticker: a line ``@STEP NAME VALUE`` for each value."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers import Column, RawRun, Reader, read_text


class TickerReader(Reader):
    """The text that Ticker writes. Lines that begin with ``#`` are comments."""

    name = "ticker"
    suffixes = (".tick",)

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Tell by the first byte and the ending."""
        return head.startswith((b"@", b"#")) and path.suffix == ".tick"

    def read(self, path: Path) -> list[RawRun]:
        """Read the one run of a file.

        Raises
        ------
        InputError
            If a line is of another form, or there is none.
        """
        steps: dict[str, list[float]] = {}
        values: dict[str, list[float]] = {}
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                step, name, value = line.removeprefix("@").split()
                at, found = float(step), float(value)
            except ValueError as error:
                raise InputError(f"{path}: line {number}: is {line[:60]!r}; expected '@STEP NAME VALUE'") from error
            steps.setdefault(name, []).append(at)
            values.setdefault(name, []).append(found)
        if not steps:
            raise InputError(f"{path}: holds no line '@STEP NAME VALUE'; nothing was logged to it")
        return [RawRun("", {name: Column(np.array(values[name]), np.array(steps[name])) for name in steps})]
