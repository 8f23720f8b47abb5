"""``slingshot inspect``."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

import click
from rich.table import Table

from cli.console import open_console
from cli.logs import reading_options, runs_of_all
from slingshot_analysis.readers import Log
from slingshot_analysis.trace import Trace


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@reading_options
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def inspect(
    files: tuple[str, ...], mapping: tuple[str, ...], names: str | None, input_format: str | None, form: str
) -> None:
    """Show the runs of logs and how each column was understood.

    Where that is wrong, --map SIGNAL=COLUMN says better, for this verb and for `analyze`; --names takes a table for
    all logs of a lab. A file that can't be read is reported and the others are shown all the same; the exit status is
    then 2.
    """
    runs, problems = runs_of_all(files, mapping, names, input_format)
    if form == "json":
        click.echo(json.dumps([_plain(run) for run in runs], indent=2))
    else:
        _print(runs)
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        click.get_current_context().exit(2)


def _print(runs: list[Trace]) -> None:
    console = open_console()
    for run in runs:
        console.print(_table(run))
        for note in getattr(run, "notes", ()):
            console.print(f"note: {note}")
    if not all(run.names for run in runs):
        console.print("Nothing was understood in some run: give --map SIGNAL=COLUMN.")


def _rows(run: Trace) -> list[dict[str, Any]]:
    if isinstance(run, Log):
        return [
            {"column": c.column, "signal": c.signal, "rows": c.rows, "remark": c.remark}
            for c in sorted(run.columns, key=lambda column: (column.signal is None, column.signal == "parameter_norm"))
        ]
    return [{"column": name, "signal": name, "rows": len(run[name]), "remark": ""} for name in run]


def _joined(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Show the many columns of one vector signal as one row."""
    shown: list[dict[str, Any]] = []
    for signal, group in groupby(rows, key=lambda row: row["signal"]):
        columns = list(group)
        if signal is not None and len(columns) > 2:
            names = f"{columns[0]['column']} to {columns[-1]['column']}"
            columns = [columns[0] | {"column": names, "remark": f"{len(columns)} columns"}]
        shown += columns
    return shown


def _plain(run: Trace) -> dict[str, Any]:
    return {
        "path": str(run.path),
        "name": run.name,
        "steps": run.steps,
        "columns": _rows(run),
        "notes": list(getattr(run, "notes", ())),
    }


def _table(run: Trace) -> Table:
    steps = run.steps
    where = f"steps {steps[0]:,} to {steps[1]:,}" if steps else "no rows"
    table = Table(title=f"{run.name}: {where}", title_justify="left", title_style="bold")
    for heading in ("column", "signal"):
        table.add_column(heading, overflow="fold")
    table.add_column("rows", justify="right")
    table.add_column("remark", overflow="fold")
    for row in _joined(_rows(run)):
        table.add_row(row["column"], row["signal"] or "-", f"{row['rows']:,}", row["remark"])
    return table
