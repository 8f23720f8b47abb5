"""The options that say how to read a log, and the reading itself: shared by all verbs that take files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import click

from cli._messages import print_note
from cli._progress import track
from slingshot_analysis.errors import InputError, NoRunError
from slingshot_analysis.readers import Names, read_log
from slingshot_analysis.trace import Trace

Command = Callable[..., Any]


@dataclass(frozen=True)
class Reading:
    """How to read files: the arguments of `read_log`. It can be sent to other processes.

    Parameters
    ----------
    format : str or None
        Name of the reader; None guesses it.
    map : mapping of str to str
        Column by canonical signal, where the guess is wrong.
    names : Names or None
        Names of columns to try before the built-in ones.
    line : tuple of str
        Lines of a text log, with ``{name}`` in the place of each number that is wanted.
    """

    format: str | None = None
    map: Mapping[str, str] = field(default_factory=dict)
    names: Names | None = None
    line: tuple[str, ...] = ()

    def runs_of(self, file: str) -> list[Trace]:
        """Return the runs of a file.

        Raises
        ------
        InputError
            If the file can't be read; the message names it.
        """
        try:
            return read_log(Path(file), format=self.format, map=self.map, names=self.names, line=self.line)
        except InputError as error:
            raise error if file in str(error) else InputError(f"{file}: {error}") from None

    def runs_of_all(self, files: Sequence[str]) -> tuple[list[Trace], list[str]]:
        """Return the runs of all files that can be read, and why the others can't be; print which hold no run."""
        runs: list[Trace] = []
        problems: list[str] = []
        for file in track(files, len(files), "reading"):
            try:
                runs += self.runs_of(file)
            except NoRunError as error:
                print_note(f"left out: {error}")
            except InputError as error:
                problems.append(str(error))
        return runs, list(dict.fromkeys(problems))


def reading_options(command: Command) -> Command:
    """Add the options that say how to read a log to a command, which gets them together as ``reading``."""

    @wraps(command)
    def with_reading(
        format: str | None,
        map: tuple[str, ...],
        names: str | None,
        line: tuple[str, ...],
        step: str | None,
        **others: Any,
    ) -> Any:
        columns = _columns(map) | ({"step": step} if step else {})
        reading = Reading(format, columns, Names.read(names) if names else None, line)
        return command(reading=reading, **others)

    for option in (
        click.option("--input-format", "format", metavar="NAME", help="Format of the files, if the guess is wrong."),
        click.option(
            "--names",
            metavar="FILE",
            type=click.Path(),
            help="A TOML table of column names that takes precedence over the built-in one.",
        ),
        click.option(
            "--line",
            metavar="TEMPLATE",
            multiple=True,
            help="For text: a line with {name} in place of each number to read and {} in place of what to skip, "
            "such as 'it {step}: loss {loss} ({})'; repeatable. Only lines that fit are read.",
        ),
        click.option("--step", metavar="COLUMN", help="Column that counts steps; the same as --map step=COLUMN."),
        click.option("--map", metavar="SIGNAL=COLUMN", multiple=True, help="Column of a signal; repeatable."),
    ):
        with_reading = option(with_reading)
    return with_reading


def _columns(given: Iterable[str]) -> dict[str, str]:
    """Return column by signal of texts such as ``"val_accuracy=Accuracy/test"``."""
    columns = {}
    for text in given:
        signal, equals, column = text.partition("=")
        if not (signal and equals and column):
            raise InputError(f"--map {text}: give SIGNAL=COLUMN, such as val_accuracy=Accuracy/test")
        columns[signal] = column
    return columns
