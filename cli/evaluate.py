"""``slingshot evaluate``."""

from __future__ import annotations

import json
from collections.abc import Iterable

import click
from rich.table import Table

from cli.console import open_console
from cli.logs import reading_options, runs_of_all
from slingshot_analysis.analysis import finite
from slingshot_analysis.evaluation.detector import DetectorEvaluation, find_detector, read_truth, usable_truth
from slingshot_analysis.evaluation.detector import evaluate as evaluate_runs


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
    counts as confirmed. A file that can't be read is reported and the others are scored all the same; the exit status
    is then 2.
    """
    find = find_detector(detector) if detector else None
    known = truth if truth in ("labels", "misclassification") else read_truth(truth)
    runs, problems = runs_of_all(files, mapping, names, input_format)
    if not isinstance(known, str):
        known, errors = usable_truth(runs, known)
        problems += map(str, errors)
    report(problems)
    if known or not problems:
        found = evaluate_runs(runs, known, detector=find, margin=margin)
        print_scores(found, form)
        report(found.problems)
        problems += found.problems
    if problems:
        click.get_current_context().exit(2)


def report(problems: Iterable[str]) -> None:
    """Print what could not be scored."""
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)


def print_scores(found: DetectorEvaluation, form: str) -> None:
    """Print a row for each run and one over all."""
    rows = found.summary().to_dict("records")
    if form == "json":
        click.echo(json.dumps(finite(rows), indent=2))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in rows[0]:
        table.add_column(heading.replace("_", " "), justify="left" if heading == "run" else "right", overflow="fold")
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    open_console().print(table)


def _shown(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return "-" if value != value else f"{value:.3f}".rstrip("0").rstrip(".")
