"""Losses whose scale drifts upwards, as in reinforcement learning, where the targets grow."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.canonical import MAD_OF_NORMAL, FloatArray

PARTS, ROWS_PER_PART = 10, 20
"""Number of parts of the run whose levels are compared, and the minimum number of rows of each."""
LOWEST, HIGHEST, LARGEST_STEP = 0.5, 10.0, 0.5
"""Minimum level of any part and maximum level of the last one, both relative to the first part. From one part to the
next the level gains at most this share of the whole rise; levels are compared as logarithms."""
LEAST_NOISE, WIDENS = 0.1, 2.0
"""Minimum noise relative to the level, and how many times as wide it may be in one half of the run as in the other."""


def scale_drifts(loss: FloatArray) -> bool:
    """Return whether a loss never fell and rises slowly, and its noise rises in proportion.

    Parameters
    ----------
    loss : (n,) float array, nats
        Finite.

    Returns
    -------
    bool

    Examples
    --------
    >>> noise = np.exp(np.random.default_rng(0).normal(0, 0.3, 1000))
    >>> scale_drifts(np.linspace(1, 4, 1000) * noise), scale_drifts(np.linspace(4, 1, 1000) * noise)
    (True, False)
    """
    size = len(loss) // PARTS
    if size < ROWS_PER_PART or np.median(loss[-size:]) <= np.median(loss[:size]) or loss.min() <= 0:
        return False
    parts = np.log(loss[: PARTS * size]).reshape(PARTS, size)
    level = np.median(parts, axis=1)
    noise = np.median(np.abs(parts - level[:, np.newaxis]), axis=1) / MAD_OF_NORMAL
    early, late = np.median(noise.reshape(2, -1), axis=1)
    risen = level - level[0]
    slowly = np.diff(level).max() <= LARGEST_STEP * risen[-1]
    in_proportion = min(early, late) >= LEAST_NOISE and max(early, late) <= WIDENS * min(early, late)
    return bool(slowly and in_proportion and risen.min() >= np.log(LOWEST) and risen[-1] <= np.log(HIGHEST))
