"""Arrays as text in a page: base64 of 32-bit numbers, which a browser reads as typed arrays."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FLOAT32 = np.finfo(np.float32)


def packed_steps(step: Array) -> dict[str, Any]:
    """Return increasing steps as their first one and the distances to the next.

    Parameters
    ----------
    step : (n,) float array, updates
        Whole numbers, or fractions, as in a log that counts epochs.

    Returns
    -------
    dict
        ``type`` is that of the distances, "uint16" or "uint32"; "float64" holds the steps themselves.

    Examples
    --------
    >>> packed_steps(np.array([5.0, 6.0, 16.0]))
    {'type': 'uint16', 'first': 5.0, 'data': 'AQAKAA=='}
    """
    gaps = np.diff(step)
    whole = len(step) > 0 and bool((step == np.floor(step)).all()) and float(np.abs(step).max()) < 2**53
    for kind in ("uint16", "uint32"):
        if whole and gaps.max(initial=0) <= np.iinfo(kind).max:
            return {"type": kind, "first": float(step[0]), "data": _base64(gaps.astype(f"<u{np.dtype(kind).itemsize}"))}
    return {"type": "float64", "first": 0.0, "data": _base64(step.astype("<f8"))}


def packed_values(value: Array) -> str:
    """Return values as float32: none but 0 becomes 0, and none but infinity becomes infinite.

    Examples
    --------
    >>> np.frombuffer(base64.b64decode(packed_values(np.array([0, 1e-300, 1e300, np.nan]))), "<f4").tolist()
    [0.0, 1.401298464324817e-45, 3.4028234663852886e+38, nan]
    """
    size = np.clip(np.abs(value), float(FLOAT32.smallest_subnormal), float(FLOAT32.max))
    kept = np.where((value == 0) | ~np.isfinite(value), value, np.copysign(size, value))
    return _base64(kept.astype("<f4"))


def _base64(numbers: npt.NDArray[Any]) -> str:
    return base64.b64encode(numbers.tobytes()).decode("ascii")
