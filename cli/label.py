"""``slingshot label``."""

from __future__ import annotations

import json
from collections.abc import Iterable

import click

from cli._reading import Reading, reading_options
from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.labels import Labels, read_labels, write_labels
from slingshot_analysis.trace import Trace


@click.command()
@click.argument("file", type=click.Path())
@reading_options
@click.option("--add", type=int, multiple=True, metavar="STEP", help="A slingshot that was missed; repeatable.")
@click.option(
    "--remove", type=int, multiple=True, metavar="STEP", help="A detection that is not a slingshot; repeatable."
)
@click.option("--forget", type=int, multiple=True, metavar="STEP", help="A label to take back; repeatable.")
@click.option("--run", metavar="NAME", help="Name of the run, if the file has several.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def label(
    file: str,
    reading: Reading,
    add: tuple[int, ...],
    remove: tuple[int, ...],
    forget: tuple[int, ...],
    run: str | None,
    form: str,
) -> None:
    """Correct the slingshots of a run by hand.

    Writes FILE.labels.json, which `analyze` and `evaluate` use. Without --add, --remove and --forget, shows the labels.
    A label applies to the nearest detected slingshot, at most 1% of the run away.
    """
    runs = {trace.name: trace for trace in reading.runs_of(file)}
    if run is not None and run not in runs:
        raise unknown_name("run", run, runs, file)
    if run is None and len(runs) > 1 and (add or remove or forget):
        raise unknown_name("run", "", runs, f"{file}: holds {len(runs)} runs; name one with --run")
    found: dict[str, Labels] = {}
    for name, trace in runs.items():
        if run in (None, name):
            found[name] = read_labels(trace)
            if add or remove or forget:
                _check_inside(trace, add + remove)
                found[name] = labels = found[name].change(add, remove, forget)
                written = write_labels(trace, None if labels == Labels() else labels)
                click.echo(f"written: {written}", err=form == "json")
    if form == "json":
        rows = [{"run": name, "added": labels.added, "removed": labels.removed} for name, labels in found.items()]
        click.echo(json.dumps(rows, indent=2))
    else:
        for name, labels in found.items():
            click.echo(f"{name}: added {list(labels.added)}, removed {list(labels.removed)}")


def _check_inside(trace: Trace, given: Iterable[int]) -> None:
    """Raise InputError if a step lies outside the run."""
    if trace.steps is None:
        raise InputError(f"{trace.path}: run {trace.name!r} has no rows to label")
    first, last = trace.steps
    for step in given:
        if not first <= step <= last:
            raise InputError(f"{trace.path}: step {step} lies outside the run; give one from {first} to {last}")
