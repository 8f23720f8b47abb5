"""Messages of the library in the words of the command line: options in place of arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from cli._verb import is_quiet

if TYPE_CHECKING:
    from slingshot_analysis.analysis import Analysis

ARGUMENT = re.compile(r"""(?<![\w.])([a-z_]+)=(?:True\b|('[^']*'|"[^"]*")|(?=[\s,.;:)]|$))""")
"""An argument as messages of the library name it: ``overwrite=True``, ``device='cuda'``, or ``map=``."""


def in_options(message: str, command: click.Command | None = None) -> str:
    """Replace each argument that a message names by the option of the command that gives it, where there is one.

    Parameters
    ----------
    message : str
        A message of the library.
    command : click.Command, optional
        By default the one that runs.

    Examples
    --------
    >>> command = click.Command("record", params=[click.Option(["--device"]), click.Option(["--data", "train_data"])])
    >>> in_options("device='cuda': no GPU; use device='cpu' and train_data=, or weights=", command)
    '--device cuda: no GPU; use --device cpu and --data, or weights='
    """
    command = command or click.get_current_context().command
    options = {option.name: option.opts[0] for option in command.params if isinstance(option, click.Option)}

    def translate(argument: re.Match[str]) -> str:
        name, value = argument.groups()
        if name not in options:
            return argument[0]
        return f"{options[name]} {value[1:-1]}" if value else options[name]

    return ARGUMENT.sub(translate, message)


def analysis_in_options(analysis: Analysis) -> Analysis:
    """Return an analysis with its remarks in the words of the command line."""
    return replace(
        analysis,
        notes=tuple(map(in_options, analysis.notes)),
        skipped=tuple(replace(skipped, why=in_options(skipped.why)) for skipped in analysis.skipped),
    )


def print_errors(messages: Iterable[str]) -> None:
    """Print what went wrong, a line each, to standard error."""
    for message in messages:
        click.echo(f"Error: {in_options(message)}", err=True)


def print_note(message: str) -> None:
    """Print a remark to standard error, unless --quiet was given."""
    if is_quiet():
        return
    click.echo(f"Note: {in_options(message)}", err=True)
