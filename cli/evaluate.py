"""``slingshot evaluate``."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from cli.logs import reading_options, runs_of
from slingshot_analysis.analysis import finite
from slingshot_analysis.evaluation import evaluate as evaluate_runs
from slingshot_analysis.evaluation import find_detector, read_truth


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@reading_options
@click.option(
    "--truth",
    default="labels",
    show_default=True,
    help="Where the true transitions come from: labels, misclassification, or a JSON file of steps by name of the run.",
)
@click.option("--detector", metavar="MODULE:FUNCTION", help="A detector of your own: a function of a run.")
@click.option("--margin", type=float, metavar="UPDATES", help="Largest timing error; by default 1% of each run.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def evaluate(
    files: tuple[str, ...],
    mapping: tuple[str, ...],
    names: str | None,
    input_format: str | None,
    truth: str,
    detector: str | None,
    margin: float | None,
    form: str,
) -> None:
    """Score a detector against labels.

    Precision, recall, F1 and timing errors by run and over all. What people have not struck out of a labelled run
    counts as confirmed.
    """
    runs = [run for file in files for run in runs_of(file, mapping, names, input_format)]
    known = truth if truth in ("labels", "misclassification") else read_truth(truth)
    found = evaluate_runs(runs, known, detector=find_detector(detector) if detector else None, margin=margin)
    rows = found.summary().to_dict("records")
    if form == "json":
        click.echo(json.dumps(finite(rows), indent=2))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in rows[0]:
        table.add_column(heading.replace("_", " "), justify="left" if heading == "run" else "right", overflow="fold")
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    Console(highlight=False).print(table)


def _shown(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return "-" if value != value else f"{value:.3f}".rstrip("0").rstrip(".")
