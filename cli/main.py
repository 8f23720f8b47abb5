"""The command ``slingshot``: its verbs, and how it ends when one fails."""

from __future__ import annotations

import importlib
import traceback
from importlib.metadata import version
from typing import Any

import click

from cli._messages import in_options
from cli._verb import VERBOSE
from slingshot_analysis.errors import SlingshotError, unknown_name

VERBS = {
    "demo": "Show what there is with a recorded run, in a few seconds.",
    "record": "Train a setup of the paper and write its trace.",
    "sweep": "Train many runs: grids, lists, random draws.",
    "reproduce": "Say whether the paper's claims hold here, and train what that needs.",
    "branch": "Continue a run with one thing changed, beside a control.",
    "analyze": "Find the slingshots in traces and logs.",
    "report": "Write a page about runs, to look at and to send.",
    "watch": "Follow runs while they are recorded, in the terminal or on a page.",
    "inspect": "Show which signal each column of a log was taken for.",
    "figure": "Draw the paper's figures from recorded runs.",
    "label": "Correct the slingshots of a run by hand.",
    "export": "Write traces and logs as CSV, Parquet, NetCDF, TensorBoard or W&B.",
    "evaluate": "Score a detector against labels.",
    "setups": "List the setups with the paper's figures and their cost.",
    "probes": "List what can be recorded.",
}


class Verbs(click.Group):
    """A group that imports a verb only when it is called, so that `analyze` never waits for PyTorch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in VERBS:
            ctx.fail(str(unknown_name("command", cmd_name, VERBS)))
        command: click.Command = getattr(importlib.import_module(f"cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SlingshotError as error:
            verb = self.get_command(ctx, ctx.invoked_subcommand) if ctx.invoked_subcommand else None
            if ctx.meta.get(VERBOSE):
                click.echo("".join(traceback.format_exception(error)), err=True)
            click.echo(f"Error: {in_options(str(error), verb)}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            ctx.exit(130)


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("slingshot-analysis"), prog_name="slingshot")
def main() -> None:
    """Record training runs densely and find the slingshots in them."""


if __name__ == "__main__":
    main(prog_name="slingshot")
