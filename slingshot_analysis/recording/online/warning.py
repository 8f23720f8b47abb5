"""The early warning: whether a slingshot is to be expected."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import Columns
from slingshot_analysis.recording.table import Table

__all__ = ["MEASURED", "EarlyWarning", "SlingshotWarning", "warn_from"]

ROWS = 100
THRESHOLD = 0.5


@dataclass(frozen=True)
class SlingshotWarning:
    """A slingshot may be coming.

    Parameters
    ----------
    step : int, updates
        Since when the rule holds.
    lead : (int, int, int), updates
        Quartiles of the time to the transition on recorded runs, see `MEASURED`.
    precision : float
        Share of warnings there that a transition followed.
    """

    step: int
    lead: tuple[int, int, int]
    precision: float


MEASURED = (1651, 9361, 18110), 0.56
"""Quartiles of the lead in updates, and precision, of the rule: see ``benchmarks/early_warning.py``."""


class EarlyWarning:
    """Warns when `softmax_collapse`, averaged over 100 rows, exceeds 0.5; again only after it has fallen below 0.25.

    Of the signals tried it announces most transitions, and it is a condition of a slingshot rather than a sign of it:
    no transition came without it, but about every second warning is followed by none.

    References
    ----------
    Prieto et al. 2025, arXiv 2501.04697 (softmax collapse); Liu et al. 2026, arXiv 2605.06152.

    Examples
    --------
    >>> warning = EarlyWarning()
    >>> [each.step for each in warning.update(range(400), [0.0] * 200 + [1.0] * 200)]
    [250]
    """

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=ROWS)
        self._sum = 0.0
        self._warned = False

    def state_dict(self) -> dict[str, Any]:
        """Return what the next warning depends on."""
        return {"last": list(self._last), "warned": self._warned}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self._last.extend(state["last"])
        self._sum, self._warned = sum(self._last), state["warned"]

    def update(self, steps: Iterable[int], collapse: Iterable[float]) -> list[SlingshotWarning]:
        """Take the next rows; return the warnings that begin in them."""
        found = []
        for step, value in zip(steps, collapse, strict=True):
            if len(self._last) == ROWS:
                self._sum -= self._last[0]
            self._last.append(value)
            self._sum += value
            mean = self._sum / len(self._last)
            if not self._warned and len(self._last) == ROWS and mean > THRESHOLD:
                self._warned = True
                found.append(SlingshotWarning(int(step), *MEASURED))
            elif mean < THRESHOLD / 2:
                self._warned = False
        return found


def warn_from(tables: Sequence[Table], rule: EarlyWarning, on_warning: Callable[[SlingshotWarning], None]) -> None:
    """Have `on_warning` called with the warnings of a run, as its rows of `softmax_collapse` reach the host.

    Raises
    ------
    InputError
        If no table measures it.
    """
    table = next((t for t in tables if "softmax_collapse" in [q.name for q in t.group.quantities]), None)
    if table is None:
        raise InputError("on_warning needs the probe 'precision': add it to probes=")

    def read(steps: npt.NDArray[np.int64], values: Columns) -> None:
        for warning in rule.update(steps.tolist(), np.nan_to_num(values["softmax_collapse"], nan=1.0).tolist()):
            on_warning(warning)

    table.on_rows = read
