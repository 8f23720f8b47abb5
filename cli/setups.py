"""``slingshot setups``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from cli._cache import kept
from cli._console import open_console
from cli._verb import Verb

if TYPE_CHECKING:
    from trainers.setup import Setup


@click.command(
    cls=Verb,
    examples=(
        "setups",
        "setups --format json",
    ),
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--measure", is_flag=True, help="Measure the cost anew; it is kept from the first time on.")
def setups(form: str, measure: bool) -> None:
    """List the setups with the paper's figures and their cost.

    The cost is measured: a few updates of each setup on one CPU thread of this machine. What was measured is kept until
    the version, or the machine, is another.
    """
    rows = kept("setups", ("trainers",), _measured, measure)
    if form == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "experiment", "figures"):
        table.add_column(heading, no_wrap=heading == "name", overflow="fold")
    for heading in ("parameters", "updates", "ms/update", "minutes"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["name"],
            row["title"],
            row["figures"],
            f"{row['parameters']:,}",
            f"{row['updates']:,}",
            f"{row['seconds_per_update'] * 1e3:.2f}",
            f"{row['seconds'] / 60:.1f}",
        )
    console = open_console()
    console.print(table)
    console.print(
        "Figures are those of Thilak et al. 2022, arXiv 2206.04817. Times are without recording, on one CPU thread "
        "of this machine."
    )


def _measured() -> list[dict[str, Any]]:
    from trainers.setups import SETUPS

    with Console(stderr=True).status("measuring what an update costs on this machine"):
        return [_row(setup) for setup in SETUPS.values()]


def _row(setup: Setup) -> dict[str, Any]:
    from trainers.cost import estimate_cost

    cost = estimate_cost(setup)
    return {
        "name": setup.name,
        "title": setup.title,
        "figures": setup.figures,
        "parameters": cost.parameters,
        "updates": setup.steps,
        "seconds_per_update": cost.seconds_per_update,
        "seconds": cost.seconds_per_update * setup.steps,
    }
