"""``slingshot label``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

from cli._reading import Reading, reading_options
from cli._verb import Verb
from slingshot_analysis.analysis.signals import LOSSES, choose_signals, first_of
from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.labels import Labels, SpikeLabel, as_outcome, read_labels, write_labels
from slingshot_analysis.trace import Trace


@click.command(
    cls=Verb,
    examples=(
        "label runs/parity_3_50-s3.h5 --add 18280",
        "label metrics.csv --remove-spike 700 --add-spike 900=lingering",
    ),
)
@click.argument("file", type=click.Path())
@reading_options
@click.option("--add", type=int, multiple=True, metavar="STEP", help="A slingshot that was missed; repeatable.")
@click.option(
    "--remove", type=int, multiple=True, metavar="STEP", help="A detection that is not a slingshot; repeatable."
)
@click.option(
    "--add-spike",
    multiple=True,
    metavar="STEP[=OUTCOME]",
    help="A loss spike that was missed, or the outcome of a detected one: recovered, lingering, diverged or "
    "not-finite; repeatable.",
)
@click.option(
    "--remove-spike", type=int, multiple=True, metavar="STEP", help="A detection that is no loss spike; repeatable."
)
@click.option(
    "--add-climb",
    type=int,
    multiple=True,
    metavar="ONSET",
    help="A climb of the validation accuracy that was missed; repeatable.",
)
@click.option(
    "--remove-climb", type=int, multiple=True, metavar="ONSET", help="A detection that is no climb; repeatable."
)
@click.option(
    "--forget", type=int, multiple=True, metavar="STEP", help="A step whose labels are taken back; repeatable."
)
@click.option("--run", metavar="NAME", help="Name of the run, if the file has several.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def label(
    file: str,
    reading: Reading,
    add: tuple[int, ...],
    remove: tuple[int, ...],
    add_spike: tuple[str, ...],
    remove_spike: tuple[int, ...],
    add_climb: tuple[int, ...],
    remove_climb: tuple[int, ...],
    forget: tuple[int, ...],
    run: str | None,
    form: str,
) -> None:
    """Correct the slingshots, loss spikes and accuracy climbs of a run by hand.

    Writes FILE.labels.json, which `analyze` and `evaluate` use. Without anything to add, remove or forget, shows the
    labels. A label applies to the nearest detected event of its kind, at most 1% of the run away.
    """
    spikes = [_spike(text) for text in add_spike]
    given = (*add, *remove, *(spike.step for spike in spikes), *remove_spike, *add_climb, *remove_climb)
    runs = {trace.name: trace for trace in reading.runs_of(file)}
    if run is not None and run not in runs:
        raise unknown_name("run", run, runs, file)
    if run is None and len(runs) > 1 and (given or forget):
        raise unknown_name("run", "", runs, f"{file}: holds {len(runs)} runs; name one with --run")
    found: dict[str, Labels] = {}
    for name, trace in runs.items():
        if run in (None, name):
            found[name] = read_labels(trace)
            if given or forget:
                _check_inside(trace, given)
                _check_measurable(trace, spikes, add_climb)
                found[name] = labels = found[name].change(
                    add,
                    remove,
                    forget,
                    add_spikes=spikes,
                    remove_spikes=remove_spike,
                    add_climbs=add_climb,
                    remove_climbs=remove_climb,
                )
                written = write_labels(trace, None if labels == Labels() else labels)
                click.echo(f"written: {written}", err=form == "json")
    if form == "json":
        click.echo(json.dumps([{"run": name} | _plain(labels) for name, labels in found.items()], indent=2))
    else:
        for name, labels in found.items():
            click.echo(f"{name}: {_shown(labels)}")


def _spike(text: str) -> SpikeLabel:
    """Return the label of a text such as ``"700=lingering"``."""
    step, equals, outcome = text.partition("=")
    where = f"--add-spike {text}"
    try:
        return SpikeLabel(int(step), as_outcome(outcome, where) if equals else None)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: give STEP or STEP=OUTCOME, such as 700=lingering") from None


def _check_inside(trace: Trace, given: Iterable[int]) -> None:
    """Raise InputError if a step lies outside the run."""
    if trace.steps is None:
        raise InputError(f"{trace.path}: run {trace.name!r} has no rows to label")
    first, last = trace.steps
    for step in given:
        if not first <= step <= last:
            raise InputError(f"{trace.path}: step {step} lies outside the run; give one from {first} to {last}")


def _check_measurable(trace: Trace, spikes: Sequence[SpikeLabel], climbs: Sequence[int]) -> None:
    """Raise InputError if an event is to be added in whose signal nothing was logged."""
    signals = choose_signals(trace) if spikes or climbs else {}
    if spikes and first_of(LOSSES, signals) is None:
        raise InputError(f"{trace.path}: run {trace.name!r} has no training loss, so that no loss spike can be added")
    if climbs and "val_accuracy" not in signals:
        raise InputError(f"{trace.path}: run {trace.name!r} has no validation accuracy, so that no climb can be added")


def _plain(labels: Labels) -> dict[str, Any]:
    return {
        "added": labels.added,
        "removed": labels.removed,
        "added_spikes": [spike._asdict() for spike in labels.added_spikes],
        "removed_spikes": labels.removed_spikes,
        "added_climbs": labels.added_climbs,
        "removed_climbs": labels.removed_climbs,
    }


def _shown(labels: Labels) -> str:
    """Return the labels of a run in words; those of spikes and climbs only where there are some."""
    spikes = ", ".join(str(step) + (f" ({outcome})" if outcome else "") for step, outcome in labels.added_spikes)
    words = f"added {list(labels.added)}, removed {list(labels.removed)}"
    if labels.added_spikes or labels.removed_spikes:
        words += f"; loss spikes added [{spikes}], removed {list(labels.removed_spikes)}"
    if labels.added_climbs or labels.removed_climbs:
        words += f"; climbs added {list(labels.added_climbs)}, removed {list(labels.removed_climbs)}"
    return words
