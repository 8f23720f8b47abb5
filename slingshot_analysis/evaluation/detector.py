"""Score detectors on runs whose events are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from slingshot_analysis.analysis import analyze
from slingshot_analysis.detectors import detect_misclassification, terminal_phase_start
from slingshot_analysis.errors import InputError
from slingshot_analysis.evaluation.score import Score, pool_scores, score_events, score_spikes
from slingshot_analysis.evaluation.truth import Truth, labelled_truth, usable_truth
from slingshot_analysis.events import CERTAIN
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
        The score of the slingshots of each run by its name, or by path and name where several runs have the same name.
    pooled : Score
        The score of the slingshots of all runs.
    problems : tuple of str
        Why runs could not be scored.
    loss_spikes, accuracy_climbs : dict of str to Score
        The scores of the other events, in the runs in which they are known.
    """

    scores: dict[str, Score]
    pooled: Score
    problems: tuple[str, ...] = ()
    loss_spikes: dict[str, Score] = field(default_factory=dict)
    accuracy_climbs: dict[str, Score] = field(default_factory=dict)

    def summary(self) -> pd.DataFrame:
        """Return one row for each run and kind of event, and one for all runs: counts, shares and errors in updates."""
        import pandas as pd

        kinds = {"slingshots": self.scores, "loss_spikes": self.loss_spikes, "accuracy_climbs": self.accuracy_climbs}
        return pd.DataFrame(
            [
                {
                    "run": name,
                    "events": kind,
                    "true": score.n_true,
                    "found": score.n_found,
                    "hits": score.hits,
                    "precision": score.precision,
                    "recall": score.recall,
                    "f1": score.f1,
                    "median_error": score.median_error,
                    "error_90": score.error_90,
                    "right_outcomes": score.right_outcomes,
                }
                for kind, scores in kinds.items()
                if scores or not any(kinds.values())
                for name, score in {**scores, "all": pool_scores(scores.values())}.items()
            ]
        )


def evaluate(
    runs: Sequence[Trace],
    truth: str | Mapping[str, Sequence[float] | Truth] = "labels",
    *,
    detector: Detector | None = None,
    margin: float | None = None,
    track: Callable[[Sequence[Trace]], Iterable[Trace]] = iter,
) -> DetectorEvaluation:
    """Score detectors on runs whose slingshots, loss spikes or climbs of the validation accuracy are known.

    Parameters
    ----------
    runs : sequence of Trace
        As `read_log` returns them.
    truth : {"labels", "misclassification"} or mapping of str to steps or Truth, optional
        Source of the true events. "labels": labels by hand, which confirm every detected event that they do not remove.
        A kind of event is scored in the runs in which some of it are labelled, and slingshots also in those whose
        labels are empty. "misclassification": bursts of misclassified samples after the terminal phase began, as
        slingshots. A mapping gives the slingshots' steps, or a `Truth`, by name of the run; no two runs may have that
        name.
    detector : callable, optional
        A detector of slingshots; then they alone are scored. By default `analyze`, without labels. Bursts of
        misclassified samples say nothing about the norm: against them, loss spikes without norm growth count as
        detected too.
    margin : float, updates, optional
        Largest distance between a detected event and its true one, from transition to transition, start to start and
        onset to onset; by default 1% of each run.
    track : callable, optional
        Is called with the runs and yields each when its turn comes, such as to show progress.

    Returns
    -------
    DetectorEvaluation
        Scores by run and pooled; slingshots with a confidence below 0.5 do not count as detected.

    Raises
    ------
    InputError
        If no run has known events, or they are given for a name that no run or several runs have.

    Examples
    --------
    >>> from pathlib import Path
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
    names = Counter(run.name for run in runs)
    scores, spikes, climbs = dict[str, Score](), dict[str, Score](), dict[str, Score]()
    problems = []
    for run in track(runs):
        key = run.name if names[run.name] == 1 else f"{run.path}: {run.name}"
        try:
            true, near = _known(run, truth), _margin(run, margin)
            if detector is not None:
                if true.slingshots is not None:
                    scores[key] = score_events(_certain(detector(run)), true.slingshots, near)
                continue
            if true.is_empty:
                continue
            found = analyze(run, labels=Labels())
            if true.slingshots is not None:
                events = _certain(found.slingshots)
                if truth == "misclassification":
                    events += _certain(found.spikes_without_norm_growth)
                scores[key] = score_events(events, true.slingshots, near)
            if true.loss_spikes is not None:
                starts = [(spike.start, spike.outcome) for spike in found.loss_spikes]
                spikes[key] = score_spikes(starts, true.loss_spikes, near)
            if true.accuracy_climbs is not None:
                onsets = [climb.onset for climb in found.accuracy_climbs]
                climbs[key] = score_events(onsets, true.accuracy_climbs, near)
        except InputError as error:
            problems.append(str(error) if str(run.path) in str(error) else f"{run.path}: {error}")
    if not (scores or spikes or climbs or problems):
        raise InputError(
            f"none of the {len(runs)} runs has known events ({truth if isinstance(truth, str) else 'by name'}): "
            "label some with `slingshot label`, or give another truth="
        )
    return DetectorEvaluation(scores, pool_scores(scores.values()), tuple(problems), spikes, climbs)


def _known(run: Trace, truth: str | Mapping[str, Sequence[float] | Truth]) -> Truth:
    """Return the true events of a run."""
    if not isinstance(truth, str):
        known = truth.get(run.name)
        return known if isinstance(known, Truth) else Truth(known)
    if truth == "labels":
        if not is_labelled(run):
            return Truth()
        labels = read_labels(run)
        return labelled_truth(labels, analyze(run, labels=labels))
    if truth == "misclassification":
        return Truth(_misclassified(run))
    raise InputError(f"truth {truth!r}: give 'labels', 'misclassification', or events by name of the run")


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
    return margin if margin is not None else MARGIN_SHARE * (float(max(span)) - float(min(span)) if span else 0.0)
