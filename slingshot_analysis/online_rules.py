"""The online rules: they take a run row by row, and tell when a transition begins and when one is to be expected."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from slingshot_analysis.markup import Shown

FLOOR = math.log10(2.0**-23)
"""Decimal logarithm of the resolution of float32. Lower losses are raised to it, as their changes are rounding."""
MINIMUM_RISE = 1.0
"""Rise of the loss that may be a transition; decimal logarithm."""
DEVIATIONS = 8
"""Rise of the loss that may be a transition, in mean absolute deviations."""
MEMORY = 100
"""Number of updates over which the loss and its deviation are averaged."""
FITTED = 0.05
"""Share of the first loss below which the network counts as fitted."""
REST = 256
"""Minimum number of updates between two detections."""
ROWS = 100
"""Number of rows over which the share of collapsed samples is averaged."""
THRESHOLD = 0.5
"""Average share of collapsed samples above which a warning is given."""


class TransitionTrigger:
    """Fires when the training loss of a fitted network begins to rise sharply.

    Let x be the decimal logarithm of the loss, m its exponential moving average and d that of |x − m|, capped at
    `MINIMUM_RISE`. The trigger fires when x − m exceeds the limit max(`MINIMUM_RISE`, `DEVIATIONS` · d) while the
    network is fitted, that is, while m is below log₁₀(`FITTED` · first loss). It fires again only after x − m has
    fallen below half of the limit and `REST` updates have passed.

    A misclassified sample in a batch of n contributes at least log(2)/n to the loss. So errors on a training set that
    has been fitted make the loss rise sharply too.

    Examples
    --------
    >>> trigger = TransitionTrigger()
    >>> losses = [0.7] * 10 + [1e-6] * 900 + [1e-6, 3e-5, 1e-2, 2.0] + [1e-6] * 900
    >>> [step for step, loss in enumerate(losses) if trigger.update(loss)]
    [911]
    """

    def __init__(self) -> None:
        self._first: float | None = None
        self._mean = self._deviation = 0.0
        self._armed = True
        self._waiting = 0

    def update(self, loss: float) -> bool:
        """Take the loss of the next update; return whether a transition begins at it."""
        x = max(math.log10(loss), FLOOR) if 0 < loss < math.inf else (FLOOR if loss <= 0 else 300.0)
        if self._first is None:
            self._first = self._mean = x
        rise = x - self._mean
        limit = max(MINIMUM_RISE, DEVIATIONS * self._deviation)
        self._waiting -= 1
        is_fitted = self._mean < self._first + math.log10(FITTED)
        fires = self._armed and self._waiting <= 0 and rise > limit and is_fitted
        if fires:
            self._armed, self._waiting = False, REST
        elif rise < limit / 2:
            self._armed = True
        self._deviation += (min(abs(rise), MINIMUM_RISE) - self._deviation) / MEMORY
        self._mean += rise / MEMORY
        return fires

    def state_dict(self) -> dict[str, Any]:
        """Return the state on which the next detection depends."""
        return {name: value for name, value in vars(self).items() if name.startswith("_")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that :meth:`state_dict` returned."""
        vars(self).update(state)


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
