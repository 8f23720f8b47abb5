"""``slingshot evaluate``."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click
from rich.table import Table

from cli._console import open_console
from cli._messages import print_errors
from cli._progress import track
from cli._reading import Reading, reading_options
from cli._verb import Verb
from slingshot_analysis.analysis import finite
from slingshot_analysis.evaluation import DetectorEvaluation, Truth, find_detector, read_truth, usable_truth
from slingshot_analysis.evaluation import evaluate as evaluate_runs


@click.command(
    cls=Verb,
    examples=(
        "evaluate runs/*.h5",
        "evaluate runs/*.h5 --truth misclassification --margin 400",
    ),
)
@click.argument("files", nargs=-1, required=True, type=click.Path())
@reading_options
@click.option(
    "--truth",
    default="labels",
    show_default=True,
    help="Source of the true events: labels (see `slingshot label`), misclassification (bursts of misclassified "
    "training samples), or a JSON file that holds for each run name a list of steps, or such lists by kind: "
    "slingshots, loss_spikes, accuracy_climbs.",
)
@click.option(
    "--detector",
    metavar="MODULE:FUNCTION",
    help="Your own detector of slingshots, a function that takes a run and returns steps.",
)
@click.option(
    "--margin", type=float, metavar="UPDATES", help="Largest timing error of a hit; by default 1% of each run."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def evaluate(
    files: tuple[str, ...],
    reading: Reading,
    truth: str,
    detector: str | None,
    margin: float | None,
    form: str,
) -> None:
    """Score the detectors of slingshots, loss spikes and accuracy climbs against labels.

    Prints precision, recall, F1, timing errors and, for loss spikes, the share of right outcomes, of each run and of
    all together. Each kind of event is scored in the runs in which some are labelled; every detected one that was not
    removed by hand counts as true there. If a file can't be read, reports it, scores the others, and
    exits with status 2.
    """
    find = find_detector(detector) if detector else None
    known: str | Mapping[str, Truth] = truth if truth in ("labels", "misclassification") else read_truth(truth)
    runs, problems = reading.runs_of_all(files)
    if not isinstance(known, str):
        known, errors = usable_truth(runs, known)
        problems += map(str, errors)
    print_errors(problems)
    if known or not problems:
        found = evaluate_runs(
            runs, known, detector=find, margin=margin, track=lambda runs: track(runs, len(runs), "scoring")
        )
        _print_scores(found, form)
        print_errors(found.problems)
        problems += found.problems
    if problems:
        click.get_current_context().exit(2)


def _print_scores(found: DetectorEvaluation, form: str) -> None:
    """Print a row for each run and one for all together."""
    rows = found.summary().to_dict("records")
    if form == "json":
        click.echo(json.dumps(finite(rows), indent=2))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in rows[0]:
        table.add_column(
            str(heading).replace("_", " "), justify="left" if heading in ("run", "events") else "right", overflow="fold"
        )
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    open_console().print(table)


def _shown(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return "-" if value != value else f"{value:.3f}".rstrip("0").rstrip(".")
