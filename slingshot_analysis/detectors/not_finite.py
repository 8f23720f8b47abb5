"""Values that are not finite: where NaN and infinity begin, and whether they end."""

from __future__ import annotations

from typing import Any

import numpy as np

from slingshot_analysis.canonical import as_step, canonical
from slingshot_analysis.events import NotFinite


def detect_not_finite(step: Any, value: Any, *, name: str = "value") -> list[NotFinite]:
    """Find the parts of a signal that are NaN or infinite.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the signal was measured.
    value : (n,) array_like
        NaN means that NaN was measured.
    name : str, optional
        Name of the signal.

    Returns
    -------
    list of NotFinite
        In order; one for each part without finite values in between. A signal without any finite value gives none, as
        it was never measured.

    Raises
    ------
    InputError
        If the arrays do not fit together.

    Examples
    --------
    >>> detect_not_finite([0, 10, 20, 30], [2.0, float("nan"), float("inf"), 1.9], name="train_loss")
    [NotFinite(signal='train_loss', start=10, end=30, values=2)]
    """
    steps, values = canonical(step, value, name, keep_nan=True)
    lost = ~np.isfinite(values)
    if lost.all():
        return []
    change = np.flatnonzero(np.diff(lost, prepend=False, append=False))
    return [
        NotFinite(name, as_step(steps[start]), as_step(steps[stop]) if stop < len(steps) else None, stop - start)
        for start, stop in zip(change[::2].tolist(), change[1::2].tolist(), strict=True)
    ]
