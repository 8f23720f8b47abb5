"""What all verbs share: examples at the top of the help, ``--quiet`` and ``--verbose``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import click

QUIET, VERBOSE = "cli.quiet", "cli.verbose"
"""Keys of `click.Context.meta` under which the options stand."""


class Verb(click.Command):
    """A verb of the command line.

    Parameters
    ----------
    examples : sequence of str
        What to type after ``slingshot``; the help begins with these lines.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.examples = tuple(examples)
        self.params += [
            click.Option(
                ["-q", "--quiet"],
                is_flag=True,
                expose_value=False,
                callback=_keep(QUIET),
                help="Print results and errors only: no notes, no progress.",
            ),
            click.Option(
                ["-v", "--verbose"],
                is_flag=True,
                expose_value=False,
                callback=_keep(VERBOSE),
                help="Print a line for each file that is done, and of an error where in the code it happened.",
            ),
        ]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, and below them what the verb does."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}slingshot {example}\n")
        super().format_help_text(ctx, formatter)

    def example_arguments(self) -> list[list[str]]:
        """Return the arguments of each example, without the name of the verb."""
        return [shlex.split(example, comments=True)[1:] for example in self.examples]


def is_quiet() -> bool:
    """Return whether only results and errors are wanted."""
    return _given(QUIET)


def is_verbose() -> bool:
    """Return whether more than results and errors is wanted."""
    return _given(VERBOSE)


def _given(key: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(key))


def _keep(key: str) -> Any:
    def keep(context: click.Context, option: click.Parameter, value: bool) -> None:
        context.meta[key] = value

    return keep
