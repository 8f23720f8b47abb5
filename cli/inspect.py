"""``slingshot inspect``."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from cli._console import open_console
from cli._messages import in_options, print_errors
from cli._reading import Reading, reading_options
from cli._verb import Verb
from slingshot_analysis.readers import LineTemplate, Log
from slingshot_analysis.trace import Trace

MOST_LINES = 6
"""Kinds of lines that are shown; the others are counted."""


@click.command(
    cls=Verb,
    examples=(
        "inspect metrics.csv",
        "inspect train.log --line 'it {step}: loss {loss} ({})'",
    ),
)
@click.argument("files", nargs=-1, required=True, type=click.Path())
@reading_options
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def inspect(files: tuple[str, ...], reading: Reading, form: str) -> None:
    """Show the runs of logs and which signal each column was taken for.

    For a text log it also shows the lines that were read, with {name} in place of each number. If a guess is wrong,
    correct it by --map SIGNAL=COLUMN, --step or --line, which all verbs that read logs have. --names takes a table for
    many logs. If a file can't be read, reports it, shows the others, and exits with status 2.
    """
    runs, problems = reading.runs_of_all(files)
    if form == "json":
        click.echo(json.dumps([_plain(run) for run in runs], indent=2))
    else:
        _print(runs)
    print_errors(problems)
    if problems:
        click.get_current_context().exit(2)


def _print(runs: list[Trace]) -> None:
    console = open_console()
    shown: tuple[LineTemplate, ...] = ()
    for run in runs:
        lines = run.templates if isinstance(run, Log) else ()
        if lines and lines != shown:
            _print_lines(console, lines)
            shown = lines
        console.print(_table(run))
        for note in getattr(run, "notes", ()):
            console.print(f"note: {in_options(note)}")
    if not all(run.names for run in runs):
        console.print("No column of some run was taken for a signal: name the columns with --map SIGNAL=COLUMN.")


def _print_lines(console: Console, lines: tuple[LineTemplate, ...]) -> None:
    """Show which lines of a text were taken, and an example of each."""
    for line in lines[:MOST_LINES]:
        count = "1 line" if line.count == 1 else f"{line.count:,} lines"
        console.print(f"{count} like {line.text}", markup=False, highlight=False, soft_wrap=True)
        console.print(f"  line {line.number:,}: {line.example}", markup=False, highlight=False, soft_wrap=True)
    if len(lines) > MOST_LINES:
        rest = sum(line.count for line in lines[MOST_LINES:])
        console.print(f"{rest:,} lines of {len(lines) - MOST_LINES} other kinds; --format json has them all")


def _rows(run: Trace) -> list[dict[str, Any]]:
    if isinstance(run, Log):
        return [
            {"column": c.column, "signal": c.signal, "rows": c.rows, "remark": c.remark}
            for c in sorted(run.columns, key=lambda column: (column.signal is None, column.signal == "parameter_norm"))
        ]
    return [{"column": name, "signal": name, "rows": len(run[name]), "remark": ""} for name in run]


MOST_UNUSED = 200
"""Columns that are not used and yet shown; the JSON form lists all."""


def _joined(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the rows of the many columns that make one vector signal."""
    shown: list[dict[str, Any]] = []
    for signal, group in groupby(rows, key=lambda row: row["signal"]):
        columns = list(group)
        if signal is not None and len(columns) > 2:
            names = f"{columns[0]['column']} to {columns[-1]['column']}"
            columns = [columns[0] | {"column": names, "remark": f"{len(columns)} columns"}]
        elif len(columns) > MOST_UNUSED:
            names = f"{columns[MOST_UNUSED]['column']} to {columns[-1]['column']}"
            rest = columns[MOST_UNUSED] | {"column": names, "remark": f"{len(columns) - MOST_UNUSED:,} more, not used"}
            columns = [*columns[:MOST_UNUSED], rest]
        shown += columns
    return shown


def _plain(run: Trace) -> dict[str, Any]:
    return {
        "path": str(run.path),
        "name": run.name,
        "steps": run.steps,
        "lines": [asdict(line) for line in run.templates] if isinstance(run, Log) else [],
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
        table.add_row(row["column"], row["signal"] or "-", f"{row['rows']:,}", in_options(row["remark"]))
    return table
