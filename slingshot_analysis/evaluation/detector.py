"""Score a detector of slingshots on runs whose transitions are known."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slingshot_analysis.analysis import analyze
from slingshot_analysis.detectors import detect_misclassification, terminal_phase_start
from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.evaluation.score import Score, pool_scores, score_events
from slingshot_analysis.events import CERTAIN, Slingshot
from slingshot_analysis.labels import Labels, is_labelled, read_labels
from slingshot_analysis.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

MARGIN_SHARE = 0.01
"""Margin as a share of the run, where none is given."""

Detector = Callable[[Trace], Sequence[Any]]
"""A function of a run that returns steps, or events with a ``transition`` and perhaps a ``confidence``."""


@dataclass(frozen=True)
class DetectorEvaluation:
    """How well a detector did.

    Parameters
    ----------
    scores : dict of str to Score
        The score of each run by its name, or by path and name where several runs have the same name.
    pooled : Score
        The score over all runs.
    problems : tuple of str
        Why runs could not be scored.
    """

    scores: dict[str, Score]
    pooled: Score
    problems: tuple[str, ...] = ()

    def summary(self) -> pd.DataFrame:
        """Return one row for each run and one for all: counts, precision, recall, F1 and timing errors in updates."""
        import pandas as pd

        rows = {**self.scores, "all": self.pooled}
        return pd.DataFrame(
            [
                {
                    "run": name,
                    "true": score.n_true,
                    "found": score.n_found,
                    "hits": score.hits,
                    "precision": score.precision,
                    "recall": score.recall,
                    "f1": score.f1,
                    "median_error": score.median_error,
                    "error_90": score.error_90,
                }
                for name, score in rows.items()
            ]
        )


def evaluate(
    runs: Sequence[Trace],
    truth: str | Mapping[str, Sequence[float]] = "labels",
    *,
    detector: Detector | None = None,
    margin: float | None = None,
) -> DetectorEvaluation:
    """Score a detector on runs whose slingshots are known.

    Parameters
    ----------
    runs : sequence of Trace
        As `read_log` returns them.
    truth : {"labels", "misclassification"} or mapping of str to steps, optional
        Source of the true transitions. "labels": labels by hand, which confirm every detected slingshot that they do
        not remove; runs without labels are left out. "misclassification": bursts of misclassified samples after the
        terminal phase began. A mapping gives the steps by name of the run; no two runs may have that name.
    detector : callable, optional
        By default `analyze`, without labels. Bursts of misclassified samples say nothing about the norm: against them,
        loss spikes without norm growth count as detected too.
    margin : float, updates, optional
        Largest distance between a detected transition and its true one; by default 1% of each run.

    Returns
    -------
    DetectorEvaluation
        Scores by run and pooled; events with a confidence below 0.5 do not count as detected.

    Raises
    ------
    InputError
        If no run has known transitions, or steps are given for a name that no run or several runs have.

    Examples
    --------
    >>> from slingshot_analysis.readers import Log
    >>> from slingshot_analysis.synthetic import slingshot_run
    >>> made = slingshot_run(0)
    >>> evaluate([Log(Path("made"), "made", made.signals)], {"made": made.transitions}).pooled.recall
    1.0
    """
    if not isinstance(truth, str):
        truth, errors = usable_truth(runs, truth)
        for error in errors:
            raise error
    find = detector or (_spikes if truth == "misclassification" else _slingshots)
    names = Counter(run.name for run in runs)
    scores, problems = {}, []
    for run in runs:
        try:
            steps = _true_steps(run, truth)
            if steps is not None:
                key = run.name if names[run.name] == 1 else f"{run.path}: {run.name}"
                scores[key] = score_events(_certain(find(run)), steps, _margin(run, margin))
        except InputError as error:
            problems.append(str(error) if str(run.path) in str(error) else f"{run.path}: {error}")
    if not scores and not problems:
        raise InputError(
            f"none of the {len(runs)} runs has known transitions ({truth if isinstance(truth, str) else 'by name'}): "
            "label some with `slingshot label`, or give another truth="
        )
    return DetectorEvaluation(scores, pool_scores(scores.values()), tuple(problems))


def _slingshots(run: Trace) -> Sequence[Slingshot]:
    return analyze(run, labels=Labels()).slingshots


def _spikes(run: Trace) -> Sequence[Slingshot]:
    """Return the slingshots and the loss spikes without norm growth."""
    found = analyze(run, labels=Labels())
    return (*found.slingshots, *found.spikes_without_norm_growth)


def find_detector(place: str) -> Detector:
    """Import a detector from ``package.module:function``.

    Raises
    ------
    InputError
        If it can't be imported, or is no function.
    """
    module, colon, name = place.partition(":")
    if not (module and colon and name):
        raise InputError(f"detector {place!r}: give package.module:function")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"detector {place!r}: can't be imported ({error})") from error
    if not callable(found):
        raise InputError(f"detector {place!r}: is {type(found).__name__}; give a function of a run")
    return found  # type: ignore[no-any-return]


def read_truth(path: str | Path) -> dict[str, list[float]]:
    """Read true transitions from JSON: an object of lists of steps by name of the run.

    Raises
    ------
    InputError
        If the file is not of this form.
    """
    try:
        given = json.loads(Path(path).read_text(encoding="utf-8"))
        return {str(name): [float(step) for step in steps] for name, steps in given.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f'{path}: give JSON such as {{"NAME OF RUN": [18280, 39500]}} ({error})') from error


def usable_truth(
    runs: Sequence[Trace], truth: Mapping[str, Sequence[float]]
) -> tuple[dict[str, Sequence[float]], list[InputError]]:
    """Return the true steps for each name that exactly one run has, and an error for each other name."""
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
    return {name: steps for name, steps in truth.items() if len(paths[name]) == 1}, errors


def _true_steps(run: Trace, truth: str | Mapping[str, Sequence[float]]) -> Sequence[float] | None:
    if not isinstance(truth, str):
        return truth.get(run.name)
    if truth == "labels":
        return _certain(analyze(run, labels=read_labels(run)).slingshots) if is_labelled(run) else None
    if truth == "misclassification":
        return _misclassified(run)
    raise InputError(f"truth {truth!r}: give 'labels', 'misclassification', or steps by name of the run")


def _misclassified(run: Trace) -> Sequence[float] | None:
    """Return the starts of the bursts of misclassified batches after the training set was first fitted."""
    if "batch_errors" not in run or "train_errors" not in run:
        return None
    whole, batches = run["train_errors"], run["batch_errors"]
    starts = (
        terminal_phase_start(whole.step, whole.value),
        terminal_phase_start(batches.step, batch_errors=batches.value),
    )
    fitted = min((start for start in starts if start is not None), default=None)
    if fitted is None:
        return []
    return [b.start for b in detect_misclassification(batches.step, batch_errors=batches.value, after=fitted)]


def _certain(found: Sequence[Any]) -> list[float]:
    """Return the steps of the events that count; an event without a confidence always does."""
    return [
        float(getattr(event, "transition", event)) for event in found if getattr(event, "confidence", 1.0) >= CERTAIN
    ]


def _margin(run: Trace, margin: float | None) -> float:
    span = run.steps
    return margin if margin is not None else MARGIN_SHARE * float(np.ptp(span) if span else 0)
