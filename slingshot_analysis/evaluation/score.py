"""Detected events against true events: counts, and precision, recall and timing errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from slingshot_analysis.evaluation.matching import match_events, numbers


@dataclass(frozen=True)
class Score:
    """Counts of detected and true events; the scores of several runs can be added.

    Parameters
    ----------
    n_true, n_found : int
        Number of true events, and of detected events without those that match an optional event.
    hits : int
        Number of pairs of a detected and a true event.
    errors : tuple of float, updates
        Detected minus true step of each pair.
    judged, right : int
        Number of pairs of loss spikes whose true outcome is known, and of those whose detected outcome is the same.

    Examples
    --------
    >>> both = Score(2, 3, 2, (0.0, -4.0)) + Score(1, 0, 0)
    >>> both.n_true, both.precision, both.recall, both.f1, both.median_error
    (3, 0.6666666666666666, 0.6666666666666666, 0.6666666666666666, 2.0)
    """

    n_true: int = 0
    n_found: int = 0
    hits: int = 0
    errors: tuple[float, ...] = ()
    judged: int = 0
    right: int = 0

    def __add__(self, other: Score) -> Score:
        if not isinstance(other, Score):
            return NotImplemented
        return Score(
            self.n_true + other.n_true,
            self.n_found + other.n_found,
            self.hits + other.hits,
            self.errors + other.errors,
            self.judged + other.judged,
            self.right + other.right,
        )

    @property
    def precision(self) -> float:
        """Share of the detected events that are true; NaN if none was detected."""
        return _ratio(self.hits, self.n_found)

    @property
    def recall(self) -> float:
        """Share of the true events that were detected; NaN if there are none."""
        return _ratio(self.hits, self.n_true)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 2 hits / (true + detected); NaN if both are zero."""
        return _ratio(2 * self.hits, self.n_true + self.n_found)

    @property
    def right_outcomes(self) -> float:
        """Share of the pairs with a known outcome whose detected outcome is right; NaN without such pairs."""
        return _ratio(self.right, self.judged)

    @property
    def median_error(self) -> float:
        """Median distance of the pairs, in updates; NaN without pairs."""
        return float(np.median(np.abs(self.errors))) if self.errors else float("nan")

    @property
    def error_90(self) -> float:
        """Distance that 90% of the pairs do not exceed, in updates; NaN without pairs."""
        return float(np.quantile(np.abs(self.errors), 0.9)) if self.errors else float("nan")


def score_events(
    found: npt.ArrayLike, true: npt.ArrayLike, margin: npt.ArrayLike, *, optional: npt.ArrayLike = ()
) -> Score:
    """Count how many true events were detected, and how many detected events are true.

    Parameters
    ----------
    found, true, margin
        As for `match_events`.
    optional : (j,) array_like, updates
        Events that a detector may report or not: a detected event that matches one is neither a hit nor a false alarm,
        and an undetected one is no miss. Each matches at most one detected event, within the largest margin, of those
        that match no true event.

    Returns
    -------
    Score
        Its undefined shares are NaN, such as the precision where nothing was detected.

    Raises
    ------
    InputError
        As for `match_events`.

    Examples
    --------
    >>> score = score_events([100, 205, 300, 777], [103, 200], margin=10, optional=[298])
    >>> score.hits, score.n_found, score.f1, score.errors
    (2, 3, 0.8, (-3.0, 5.0))
    """
    founds, trues, extra = numbers(found, "found"), numbers(true, "true"), numbers(optional, "optional")
    pairs = match_events(founds, trues, margin)
    free = np.delete(founds, pairs[:, 0])
    widest = np.max(np.asarray(margin, dtype=np.float64), initial=0.0)
    forgiven = len(match_events(free, extra, widest))
    errors = tuple((founds[pairs[:, 0]] - trues[pairs[:, 1]]).tolist())
    return Score(len(trues), len(founds) - forgiven, len(pairs), errors)


def score_spikes(
    found: Sequence[tuple[float, str]], true: Sequence[tuple[float, str | None]], margin: npt.ArrayLike
) -> Score:
    """Count how many true loss spikes were detected, and how many of these have the right outcome.

    Parameters
    ----------
    found : sequence of (float, str), updates
        Start and outcome of each detected spike.
    true : sequence of (float, str or None), updates
        Start and outcome of each true spike; None where the outcome is not known.
    margin
        As for `match_events`.

    Returns
    -------
    Score

    Raises
    ------
    InputError
        As for `match_events`.

    Examples
    --------
    >>> score = score_spikes([(100, "recovered"), (500, "lingering")], [(103, "recovered"), (500, "diverged")], 10)
    >>> score.recall, score.right_outcomes
    (1.0, 0.5)
    """
    starts, true_starts = [start for start, _ in found], [start for start, _ in true]
    pairs = match_events(starts, true_starts, margin)
    judged = [(found[i][1], true[j][1]) for i, j in pairs.tolist() if true[j][1] is not None]
    right = sum(one == other for one, other in judged)
    return replace(score_events(starts, true_starts, margin), judged=len(judged), right=right)


def pool_scores(scores: Iterable[Score]) -> Score:
    """Add the scores of several runs, so that each event has the same weight.

    Parameters
    ----------
    scores : iterable of Score
        One for each run; a run without true events still adds its false alarms.

    Returns
    -------
    Score
        Their sum.

    Examples
    --------
    >>> pool_scores([Score(3, 3, 3), Score(0, 1, 0)]).precision
    0.75
    """
    return sum(scores, Score())


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
