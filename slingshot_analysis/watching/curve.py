"""A curve that grows, in bounded memory."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class GrowingCurve:
    """Keeps the lowest and the highest value of each of up to `buckets` equal stretches of steps.

    When the curve has outgrown its buckets, neighbours are joined, so that each is twice as long. No spike is lost.

    Parameters
    ----------
    buckets : int, optional
        Largest number of buckets, an even number.

    Examples
    --------
    >>> curve = GrowingCurve(buckets=4)
    >>> for step in range(0, 1000, 10):
    ...     curve.extend(np.array([step]), np.array([9.0 if step == 500 else 1.0]))
    >>> curve.steps.tolist(), curve.low.tolist(), curve.high.tolist()
    ([0.0, 256.0, 512.0, 768.0], [1.0, 1.0, 1.0, 1.0], [1.0, 9.0, 1.0, 1.0])
    """

    def __init__(self, buckets: int = 400) -> None:
        self._low = np.full(buckets, np.nan)
        self._high = np.full(buckets, np.nan)
        self._first: float | None = None
        self._width = 1.0
        self.last = np.nan
        """The last value."""

    def extend(self, step: npt.NDArray[np.generic], value: npt.NDArray[np.generic]) -> None:
        """Take more rows; steps before the first one are left out.

        Parameters
        ----------
        step : (n,) array, updates
            Steps of the rows.
        value : (n,) array
            Their values; those that are not finite leave a gap.
        """
        steps, values = step.astype(np.float64), value.astype(np.float64)
        if not len(steps):
            return
        self.last = float(values[-1])
        if self._first is None:
            self._first = float(steps.min())
        kept = np.isfinite(values) & (steps >= self._first)
        steps, values = steps[kept] - self._first, values[kept]
        if not len(steps):
            return
        while steps.max() >= self._width * len(self._low):
            self._join()
        at = (steps // self._width).astype(np.int64)
        np.fmin.at(self._low, at, values)
        np.fmax.at(self._high, at, values)

    @property
    def steps(self) -> Array:
        """First step of each bucket with rows."""
        return np.asarray((self._first or 0.0) + np.flatnonzero(self._filled) * self._width, dtype=np.float64)

    @property
    def low(self) -> Array:
        """Lowest value of each bucket with rows."""
        return np.asarray(self._low[self._filled])

    @property
    def high(self) -> Array:
        """Highest value of each bucket with rows."""
        return np.asarray(self._high[self._filled])

    @property
    def _filled(self) -> npt.NDArray[np.bool_]:
        return np.asarray(~np.isnan(self._low))

    def _join(self) -> None:
        """Join each two neighbours."""
        empty = np.full(len(self._low) // 2, np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # pairs without rows
            self._low = np.concatenate([np.nanmin(self._low.reshape(-1, 2), axis=1), empty])
            self._high = np.concatenate([np.nanmax(self._high.reshape(-1, 2), axis=1), empty])
        self._width *= 2
