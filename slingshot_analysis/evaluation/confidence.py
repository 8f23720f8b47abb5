"""Whether the confidences of a detector are calibrated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.evaluation.matching import FloatArray, IntArray, numbers


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidences of a detector against the share of its events that are true.

    Parameters
    ----------
    error : float, in [0, 1]
        Expected calibration error: the distance between mean confidence and share correct in a bin, averaged over the
        bins with their counts as weights. NaN without events.
    edges : (b + 1,) float array, in [0, 1]
        Edges of bins of equal width; the last bin is closed.
    count : (b,) int array
        Number of events in each bin.
    confidence, correct : (b,) float array, in [0, 1]
        Mean confidence and share correct in each bin; NaN where it is empty.
    """

    error: float
    edges: FloatArray
    count: IntArray
    confidence: FloatArray
    correct: FloatArray

    @property
    def n(self) -> int:
        """Number of events."""
        return int(self.count.sum())


def calibration(confidence: npt.ArrayLike, correct: npt.ArrayLike, bins: int = 10) -> Calibration:
    """Compare confidences with the share of events that are true, in bins of equal width.

    With equal width, equal confidences always share a bin, so the order of the events does not matter.

    Parameters
    ----------
    confidence : (n,) array_like, in [0, 1]
        Confidence of each detected event.
    correct : (n,) array_like of bool
        Whether the event is true.
    bins : int, optional
        Number of bins.

    Returns
    -------
    Calibration
        Expected calibration error, and the bins that it is computed from.

    Raises
    ------
    InputError
        If the lengths differ, a confidence is not in [0, 1], or `bins` is less than 1.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On Calibration of Modern Neural Networks, 2017,
       arXiv:1706.04599, equation 3.

    Examples
    --------
    >>> table = calibration([0.9, 0.9, 0.9, 0.9, 0.1], [True, True, True, False, False])
    >>> round(table.error, 3), table.count[9], table.correct[9]
    (0.14, np.int64(4), np.float64(0.75))
    """
    sure, came = numbers(confidence, "confidence"), numbers(correct, "correct")
    if len(sure) != len(came) or bins < 1:
        raise InputError(
            f"got {len(sure)} confidences, {len(came)} outcomes and {bins} bins; give one outcome for each confidence, "
            "and at least one bin"
        )
    if ((sure < 0) | (sure > 1)).any() or not np.isin(came, (0, 1)).all():
        raise InputError("confidence, correct: give confidences from 0 to 1, and True or False for each")
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, sure, side="right") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    filled = np.where(count, count, np.nan)
    mean, share = (np.bincount(place, values, bins) / filled for values in (sure, came))
    error = float(np.nansum(count * np.abs(mean - share)) / len(sure)) if len(sure) else float("nan")
    return Calibration(error, edges, count, mean, share)
