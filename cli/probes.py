"""``slingshot probes``."""

from __future__ import annotations

import json

import click
from rich.table import Table

from cli._cache import kept
from cli._completion import probe_catalogue
from cli._console import open_console
from cli._verb import Verb


@click.command(
    cls=Verb,
    examples=(
        "probes",
        "probes --format json",
    ),
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def probes(form: str) -> None:
    """List what can be recorded: quantities with unit, cadence, bundles, cost and source."""
    entries = kept("probes", ("slingshot_analysis/recording",), probe_catalogue)
    if form == "json":
        click.echo(json.dumps(entries, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("probe", "writes", "every", "bundles", "cost", "source"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "probe")
    for entry in entries:
        written = ", ".join(f"{q['name']} [{q['unit']}]" if q["unit"] else q["name"] for q in entry["quantities"])
        every = entry["every"].removeprefix("every ")
        table.add_row(entry["name"], written, every, ", ".join(entry["bundles"]), entry["cost"], entry["source"])
    console = open_console()
    console.print(table)
    console.print(
        "Column 'every': updates between two measurements. --probes takes names of this list, NAME:UPDATES for another "
        "cadence, and bundles: light (norms every 10 updates, evaluation every 1,000), standard, full (with "
        "curvature, in at most 12% of the run's time), and stability (for runs whose loss spikes or diverges)."
    )
