"""The early warning that a slingshot is likely to come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.markup import Shown
from slingshot_analysis.recording._table import Table
from slingshot_analysis.recording.probes._base import Columns

ROWS = 100
"""Number of rows over which the share of collapsed samples is averaged."""
THRESHOLD = 0.5
"""Average share of collapsed samples above which a warning is given."""


@dataclass(frozen=True)
class SlingshotWarning(Shown):
    """A warning that a slingshot is to be expected.

    Parameters
    ----------
    step : int, updates
        First step at which the rule holds.
    lead : (int, int, int), updates
        Quartiles of the time from a warning to the transition on recorded runs; see `MEASURED`.
    precision : float
        Share of the warnings on those runs that were followed by a transition.
    """

    step: int
    lead: tuple[int, int, int]
    precision: float


MEASURED = (1651, 9361, 18110), 0.56
"""Quartiles of the lead, in updates, and precision of the rule, as ``benchmarks/early_warning.py`` measured them
before spikes without norm growth were counted apart."""


class EarlyWarning:
    """Warns when `softmax_collapse`, averaged over 100 rows, exceeds 0.5; again only after it has fallen below 0.25.

    Of the signals that were tried, this one announces the most transitions. It is a precondition of a slingshot rather
    than a sign of one: no transition came without it, but about half of the warnings are followed by none.

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
        """Return the state on which the next warning depends."""
        return {"last": list(self._last), "warned": self._warned}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that :meth:`state_dict` returned."""
        self._last.extend(state["last"])
        self._sum, self._warned = sum(self._last), state["warned"]

    def update(self, steps: Iterable[int], collapse: Iterable[float]) -> list[SlingshotWarning]:
        """Take the next rows; return the warnings that they cause."""
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
    """Arrange that `on_warning` is called with each warning of a run when its rows of `softmax_collapse` arrive.

    Raises
    ------
    InputError
        If no table measures `softmax_collapse`.
    """
    table = next((t for t in tables if "softmax_collapse" in [q.name for q in t.group.quantities]), None)
    if table is None:
        raise InputError("on_warning= needs the probe 'precision': add it to probes=")

    def read(steps: npt.NDArray[np.int64], values: Columns) -> None:
        for warning in rule.update(steps.tolist(), np.nan_to_num(values["softmax_collapse"], nan=1.0).tolist()):
            on_warning(warning)

    table.on_rows.append(read)
