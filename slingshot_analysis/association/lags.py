"""Lags of jumps behind transitions and the excess of hits over chance, with bootstrap intervals over runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from slingshot_analysis.association.jumps import Association
from slingshot_analysis.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Estimate:
    """An estimate with its interval and the numbers of runs and events that it is based on.

    Parameters
    ----------
    value : float or None
        The estimate; None without data.
    interval : (float, float) or None
        95% percentile bootstrap interval over runs.
    runs, jumps, transitions : int
        Number of runs that have both jumps and transitions, and of their jumps and transitions.
    reason : str
        Why the value or the interval is missing; empty if neither is.
    """

    value: float | None
    interval: tuple[float, float] | None
    runs: int
    jumps: int
    transitions: int
    reason: str = ""


@dataclass(frozen=True)
class LagSummary:
    """Lags and hit rates of several runs.

    Parameters
    ----------
    median_lag : Estimate, updates
        Median lag of the jumps behind their nearest transitions.
    rate_difference : Estimate, fraction
        Fraction of the jumps that are near a transition, minus the fraction expected by chance.
    rate_ratio : Estimate
        Ratio of these two fractions.
    """

    median_lag: Estimate
    rate_difference: Estimate
    rate_ratio: Estimate

    def summary(self) -> pd.DataFrame:
        """Return one row for each estimate."""
        import pandas as pd

        rows = []
        for name, fields in asdict(self).items():
            low, high = fields.pop("interval") or (None, None)
            rows.append({"quantity": name, "value": fields.pop("value"), "low": low, "high": high, **fields})
        return pd.DataFrame(rows).astype({"value": float, "low": float, "high": float})


def lag_summary(runs: Sequence[Association], *, resamples: int = 2000, seed: int = 0) -> LagSummary:
    """Summarize lags and hit rates over runs, with bootstrap intervals.

    The bootstrap draws whole runs and not single jumps (cluster bootstrap), because the jumps of a run depend on each
    other. With fewer than about ten runs such an interval is too narrow; `Estimate` states the number of runs.

    Parameters
    ----------
    runs : sequence of Association
        Result of `association_test` for each run.
    resamples : int, optional
        Number of bootstrap samples.
    seed : int, optional
        Seed of the bootstrap.

    Returns
    -------
    LagSummary
        Median lag, and difference and ratio of observed and expected hit rate.

    Raises
    ------
    InputError
        If there are no runs, or `resamples` is not positive.

    References
    ----------
    .. [1] A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
       doi:10.1017/CBO9780511802843

    Examples
    --------
    >>> from slingshot_analysis import association_test
    >>> runs = [association_test([at + 50, at + 90], [at], (-50, 100), (0, 1000)) for at in (200, 500, 700)]
    >>> found = lag_summary(runs)
    >>> found.median_lag.value, found.median_lag.interval, found.median_lag.jumps
    (70.0, (70.0, 70.0), 6)
    """
    if not len(runs):
        raise InputError("runs: got none; give the Association of each run")
    if resamples < 1:
        raise InputError(f"resamples: got {resamples}; give at least 1")
    # Collect the runs that have lags. Sorting makes the draws independent of the order in which the runs are given.
    used = sorted(
        (run for run in runs if run.lags), key=lambda run: (run.lags, run.jumps_near_transitions, run.expected)
    )
    lags = [np.array(run.lags) for run in used]
    number = np.array([len(run.lags) for run in used])
    hits = np.array([run.jumps_near_transitions for run in used])
    expected = np.array([run.expected for run in used])
    counts = (len(used), int(number.sum()), sum(run.transitions for run in used))

    # Each statistic is evaluated on all runs, and for its interval on random draws of as many runs.
    def estimate(statistic: Callable[[list[int]], float], undefined: str = "") -> Estimate:
        if not used or undefined:
            return Estimate(None, None, *counts, undefined or "no run has both jumps and transitions")
        value = statistic(list(range(len(used))))
        if len(used) < 2:
            reason = "one run with both jumps and transitions; an interval over runs needs at least 2"
            return Estimate(value, None, *counts, reason)
        drawn = np.random.default_rng(seed).integers(0, len(used), (resamples, len(used)))
        low, high = np.percentile([statistic(draw) for draw in drawn.tolist()], [2.5, 97.5])
        return Estimate(value, (float(low), float(high)), *counts)

    no_hits = "in some run no jump could fall near a transition by chance" if (expected <= 0).any() else ""
    return LagSummary(
        estimate(lambda drawn: float(np.median(np.concatenate([lags[i] for i in drawn])))),
        estimate(lambda drawn: float((hits[drawn] - expected[drawn]).sum() / number[drawn].sum())),
        estimate(lambda drawn: float(hits[drawn].sum() / expected[drawn].sum()), no_hits),
    )
