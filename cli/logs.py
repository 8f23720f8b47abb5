"""The options that say how to read a log, shared by the verbs that read any."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from slingshot_analysis.errors import InputError, NoRunError
from slingshot_analysis.readers import Names, read_log
from slingshot_analysis.trace import Trace

__all__ = ["reading_options", "runs_of", "runs_of_all"]


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--map``, ``--names`` and ``--input-format``."""
    for option in (
        click.option("--input-format", metavar="NAME", help="Format of the files, where the guess is wrong."),
        click.option(
            "--names", metavar="TOML", type=click.Path(), help="A table of column names to ask before the built-in one."
        ),
        click.option(
            "--map", "mapping", metavar="SIGNAL=COLUMN", multiple=True, help="Say which column a signal is; repeatable."
        ),
    ):
        command = option(command)
    return command


def runs_of(file: str, mapping: tuple[str, ...], names: str | None, input_format: str | None) -> list[Trace]:
    """Read the runs of one file as the options say; every error names the file."""
    chosen = {}
    for given in mapping:
        signal, equals, column = given.partition("=")
        if not (signal and equals and column):
            raise InputError(f"--map {given}: give SIGNAL=COLUMN, such as val_accuracy=Accuracy/test")
        chosen[signal] = column
    try:
        table = Names.read(names) if names else None
        return read_log(Path(file), format=input_format, map=chosen, names=table)
    except InputError as error:
        raise error if file in str(error) else InputError(f"{file}: {error}") from None


def runs_of_all(
    files: Iterable[str], mapping: tuple[str, ...], names: str | None, input_format: str | None
) -> tuple[list[Trace], list[str]]:
    """Read the runs of all files that can be read; also return why the others can't be. What holds no run is noted."""
    runs: list[Trace] = []
    problems: list[str] = []
    for file in files:
        try:
            runs += runs_of(file, mapping, names, input_format)
        except NoRunError as error:
            click.echo(f"Note: left out: {error}", err=True)
        except InputError as error:
            problems.append(str(error))
    return runs, list(dict.fromkeys(problems))
