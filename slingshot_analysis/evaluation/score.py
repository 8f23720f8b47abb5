"""Found events against labels: counts, and the shares and distances that follow from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slingshot_analysis.evaluation.matching import match_events, numbers

__all__ = ["Score", "pool_scores", "score_events"]


@dataclass(frozen=True)
class Score:
    """Counts of a comparison of events with labels; counts of several runs add up.

    Parameters
    ----------
    n_true, n_found : int
        Events labelled, and events found that count: without those that match an optional label.
    hits : int
        Pairs.
    errors : tuple of float, updates
        Found minus true step of each pair.

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

    def __add__(self, other: Score) -> Score:
        if not isinstance(other, Score):
            return NotImplemented
        return Score(
            self.n_true + other.n_true,
            self.n_found + other.n_found,
            self.hits + other.hits,
            self.errors + other.errors,
        )

    @property
    def precision(self) -> float:
        """Share of the found events that are true; NaN where nothing was found."""
        return _ratio(self.hits, self.n_found)

    @property
    def recall(self) -> float:
        """Share of the true events that were found; NaN where there are none."""
        return _ratio(self.hits, self.n_true)

    @property
    def f1(self) -> float:
        """Harmonic mean of both, 2 hits / (true + found); NaN where nothing was there and nothing was found."""
        return _ratio(2 * self.hits, self.n_true + self.n_found)

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
    """Count how many events were found, and how many of what was found is true.

    Parameters
    ----------
    found, true, margin
        As for `match_events`.
    optional : (j,) array_like, updates
        What a detector may find: found, it counts neither as a hit nor as an extra; not found, it is not missed. Each
        takes one found event at most, of those that no true event took, within the largest margin.

    Returns
    -------
    Score
        Undefined shares are NaN, such as the precision of nothing found; pooled counts leave none undefined.

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


def pool_scores(scores: Iterable[Score]) -> Score:
    """Add the counts of several runs, so that each event weighs the same.

    Parameters
    ----------
    scores : iterable of Score
        One for each run; a run without events still adds what was wrongly found in it.

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
