"""How long after transitions jumps come, and how much oftener near them than by chance, with intervals over runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from slingshot_analysis.association._steps import FloatArray
from slingshot_analysis.association.phase import Association
from slingshot_analysis.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Estimate", "LagSummary", "lag_summary"]


@dataclass(frozen=True)
class Estimate:
    """A number, its interval, and what both rest on.

    Parameters
    ----------
    value : float or None
        None where there is nothing to compute it from.
    interval : (float, float) or None
        95% percentile interval over runs.
    runs, jumps, transitions : int
        That went into it: runs with both jumps and transitions, and theirs.
    reason : str
        Why there is no value or no interval; empty where there are both.
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
        Of the jumps behind their nearest transitions.
    rate_difference : Estimate, fraction
        Share of the jumps that are near a transition, less the share that chance puts there.
    rate_ratio : Estimate
        The first of these shares over the second.
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


def lag_summary(runs: Sequence[Association | Sequence[float]], *, resamples: int = 2000, seed: int = 0) -> LagSummary:
    """Summarize lags and hit rates over runs, with intervals that resample whole runs.

    Jumps of one run share its fate, so runs are what is drawn with replacement (the cluster bootstrap), not jumps.
    With fewer than about ten runs such an interval is too narrow; its number of runs stands beside it.

    Parameters
    ----------
    runs : sequence of Association or of sequences of float, updates
        What `association_test` gave for each run, or only the lags of each run; then there are no hit rates.
    resamples : int, optional
        Number of bootstrap samples.
    seed : int, optional
        Of the bootstrap.

    Returns
    -------
    LagSummary
        Median lag, and difference and ratio of observed and expected hit rate.

    Raises
    ------
    InputError
        If there is no run, the two kinds are mixed, or a lag is not finite.

    References
    ----------
    .. [1] A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
       doi:10.1017/CBO9780511802843

    Examples
    --------
    >>> found = lag_summary([[50, 70], [100], [90, 60, 80]])
    >>> found.median_lag.value, found.median_lag.interval, found.median_lag.jumps
    (75.0, (60.0, 100.0), 6)
    """
    _check(runs, resamples)
    # Sorted, so that the draws do not depend on the order in which runs were given.
    telling = sorted((_Run.read(run) for run in runs), key=lambda run: (run.lags, run.hits, run.expected))
    telling = [run for run in telling if run.lags]
    jumps, transitions = sum(len(run.lags) for run in telling), sum(run.transitions for run in telling)
    number = np.array([len(run.lags) for run in telling], dtype=np.float64)
    hits = np.array([run.hits for run in telling], dtype=np.float64)
    expected = np.array([run.expected for run in telling], dtype=np.float64)

    def estimate(statistic: Callable[[list[int]], float], why_not: str = "") -> Estimate:
        if not telling or why_not:
            why_not = why_not or "no run has both jumps and transitions"
            return Estimate(None, None, len(telling), jumps, transitions, why_not)
        value = statistic(list(range(len(telling))))
        if len(telling) < 2:
            why_not = "one run with both jumps and transitions; an interval over runs needs at least 2"
            return Estimate(value, None, 1, jumps, transitions, why_not)
        drawn = np.random.default_rng(seed).integers(0, len(telling), (resamples, len(telling)))
        low, high = np.percentile([statistic(draw) for draw in drawn.tolist()], [2.5, 97.5])
        return Estimate(value, (float(low), float(high)), len(telling), jumps, transitions)

    lags = [np.array(run.lags) for run in telling]
    only_lags = "" if all(isinstance(run, Association) for run in runs) else "only lags were given"
    never = "in some run no jump could fall near a transition by chance" if (expected <= 0).any() else ""
    return LagSummary(
        estimate(lambda drawn: float(np.median(np.concatenate([lags[i] for i in drawn])))),
        estimate(lambda drawn: float((hits[drawn] - expected[drawn]).sum() / number[drawn].sum()), only_lags),
        estimate(lambda drawn: float(hits[drawn].sum() / expected[drawn].sum()), only_lags or never),
    )


@dataclass(frozen=True)
class _Run:
    lags: tuple[float, ...]
    hits: int
    expected: float
    transitions: int

    @classmethod
    def read(cls, run: Association | Sequence[float]) -> _Run:
        if isinstance(run, Association):
            return cls(run.lags, run.jumps_near_transitions, run.expected, run.transitions)
        lags: FloatArray = np.asarray(run, dtype=np.float64)
        if lags.ndim != 1 or not np.isfinite(lags).all():
            raise InputError("runs: give an Association or a flat sequence of finite lags for each run")
        return cls(tuple(lags.tolist()), 0, 0.0, 0)


def _check(runs: Sequence[Association | Sequence[float]], resamples: int) -> None:
    if not len(runs):
        raise InputError("runs: got none; give an Association or a sequence of lags for each run")
    if len({isinstance(run, Association) for run in runs}) > 1:
        raise InputError("runs: got both associations and sequences of lags; give one kind")
    if resamples < 1:
        raise InputError(f"resamples: got {resamples}; give at least 1")
