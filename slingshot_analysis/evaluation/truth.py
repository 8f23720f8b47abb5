"""What is known about runs: their true slingshots, loss spikes and climbs, from a file or from labels by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.events import CERTAIN, Outcome
from slingshot_analysis.labels import Labels, as_outcome
from slingshot_analysis.trace import Trace

FIELDS = {"slingshots": "transition", "loss_spikes": "start", "accuracy_climbs": "onset"}
"""Kinds of events, named as in the JSON document of an analysis, and the key of the step of each."""

TrueSpike: TypeAlias = tuple[float, Outcome | None]
"""Start of a true loss spike, and its outcome if that is known."""


@dataclass(frozen=True)
class Truth:
    """The true events of one run.

    Parameters
    ----------
    slingshots : sequence of float or None, updates
        Transitions. None if they are not known, as with the others.
    loss_spikes : sequence of (float, str or None) or None, updates
        Start and outcome of each; None for an outcome that is not known.
    accuracy_climbs : sequence of float or None, updates
        Onsets.
    """

    slingshots: Sequence[float] | None = None
    loss_spikes: Sequence[TrueSpike] | None = None
    accuracy_climbs: Sequence[float] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return self.slingshots is None and self.loss_spikes is None and self.accuracy_climbs is None


Known = TypeVar("Known", bound=Sequence[float] | Truth)


def read_truth(path: str | Path) -> dict[str, Truth]:
    """Read true events from JSON.

    Parameters
    ----------
    path : str or Path
        A file with an object that holds for each name of a run the transitions of its slingshots, or an object with
        some of the keys ``slingshots``, ``loss_spikes`` and ``accuracy_climbs``. Each of these has a list of steps, or
        of objects as in the JSON document of an analysis: ``{"start": 700, "outcome": "lingering"}``.

    Returns
    -------
    dict of str to Truth

    Raises
    ------
    InputError
        If the file is not of this form.
    """
    try:
        given = json.loads(Path(path).read_text(encoding="utf-8"))
        return {str(name): _truth(known, f"{path}: run {name!r}") for name, known in given.items()}
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        example = '{"NAME OF RUN": [18280, 39500]} or {"NAME OF RUN": {"loss_spikes": [700]}}'
        raise InputError(f"{path}: give JSON such as {example} ({error})") from error


def _truth(known: Any, where: str) -> Truth:
    if not isinstance(known, Mapping):
        return Truth([float(step) for step in known])
    if unknown := sorted(set(known) - set(FIELDS)):
        raise unknown_name("kind of event", unknown[0], FIELDS, where)
    steps = {
        kind: [float(event[FIELDS[kind]] if isinstance(event, Mapping) else event) for event in events]
        for kind, events in known.items()
    }
    outcomes = [
        as_outcome(event["outcome"], where) if isinstance(event, Mapping) and event.get("outcome") else None
        for event in known.get("loss_spikes", ())
    ]
    spikes = list(zip(steps["loss_spikes"], outcomes, strict=True)) if "loss_spikes" in known else None
    return Truth(steps.get("slingshots"), spikes, steps.get("accuracy_climbs"))


def usable_truth(runs: Sequence[Trace], truth: Mapping[str, Known]) -> tuple[dict[str, Known], list[InputError]]:
    """Return what is known for each name that exactly one run has, and an error for each other name."""
    paths: dict[str, list[str]] = {name: [] for name in truth}
    for run in runs:
        paths.setdefault(run.name, []).append(str(run.path))
    errors = []
    for name in truth:
        if not paths[name]:
            errors.append(unknown_name("run", name, {run.name for run in runs}, "truth"))
        elif len(paths[name]) > 1:
            where = ", ".join(paths[name])
            errors.append(InputError(f"truth: several runs are named {name!r} ({where}); evaluate each file alone"))
    return {name: known for name, known in truth.items() if len(paths[name]) == 1}, errors


def labelled_truth(labels: Labels, corrected: Analysis) -> Truth:
    """Return the events that labels by hand confirm or add, of each kind of which some are labelled.

    Parameters
    ----------
    labels : Labels
        Of the run. Empty ones confirm its slingshots.
    corrected : Analysis
        Of the run with these labels.

    Returns
    -------
    Truth
    """
    spikes = labels.added_spikes or labels.removed_spikes
    climbs = labels.added_climbs or labels.removed_climbs
    slingshots = labels.added or labels.removed or not (spikes or climbs)
    return Truth(
        [event.transition for event in corrected.slingshots if event.confidence >= CERTAIN] if slingshots else None,
        [(spike.start, spike.outcome) for spike in corrected.loss_spikes] if spikes else None,
        [climb.onset for climb in corrected.accuracy_climbs] if climbs else None,
    )
