"""When to measure: schedules are functions of the number of updates that the run has made."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from slingshot_analysis.errors import InputError

SET_UP_SECONDS = 0.5
"""Seconds that the first measurement may take at no charge: it loads kernels and reserves memory."""


class Schedule(ABC):
    """The steps at which something is measured."""

    @abstractmethod
    def next(self, step: int) -> int:
        """Return the first due step at or after `step`."""

    @property
    @abstractmethod
    def slug(self) -> str:
        """The schedule as a group name of a trace: lower-case letters, digits and underscores."""


@dataclass(frozen=True)
class Every(Schedule):
    """Due at step 0 and every `n` updates after it.

    Examples
    --------
    >>> Every(500).next(0), Every(500).next(7)
    (0, 500)
    """

    n: int = 1

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(f"a schedule needs n of at least 1, got Every({self.n})")

    def next(self, step: int) -> int:
        return -(-step // self.n) * self.n

    @property
    def slug(self) -> str:
        return f"every_{self.n}"

    def __str__(self) -> str:
        return f"every {self.n}"


class Budget(Schedule):
    """Due as often as a share of the run's time allows; which steps these are depends on the machine.

    Parameters
    ----------
    share : float, in (0, 1)
        Largest share of the run's whole time, measurements included, that measurements may take.

    Attributes
    ----------
    runs : int
        Number of runs that train at the same time on the same processor, and share the time; 1 unless it is set.
    """

    def __init__(self, share: float = 0.12) -> None:
        if not 0 < share < 1:
            raise InputError(f"a budget is a share of the run's time between 0 and 1, got Budget({share})")
        self.share = share
        self.runs = 1
        self._began: float | None = None
        self._first = self._due = self._charged = 0
        self._spent = self._latest = 0.0

    def next(self, step: int) -> int:
        return max(step, self._due)

    def charge(self, step: int, now: float, seconds: float) -> None:
        """Charge the measurement at `step`, which took some seconds and ended at the time `now`."""
        if self._began is None:
            self._spent = self._latest = max(seconds - SET_UP_SECONDS, 0.0)
            self._charged = step
            self._began, self._first, self._due = now - self._spent, step, step + 1
            return
        self._spent += seconds
        self._latest = seconds if step != self._charged else self._latest + seconds
        self._charged = step
        made, elapsed = step - self._first, now - self._began
        seconds_per_update = max(elapsed - self._spent, 1e-9) / max(made, 1)
        # the next measurement, which may take as long as the latest, is due once training has taken this long
        training_needed = (self._spent + self._latest) * (1 - self.share) / self.share * self.runs
        self._due = max(step + 1, self._first + math.ceil(training_needed / seconds_per_update))

    def spend(self, seconds: float) -> None:
        """Charge something else that is paid out of the budget."""
        self._spent += seconds

    def debt(self, now: float) -> float:
        """Return how many seconds more than the share allows have been spent at the time `now`."""
        return 0.0 if self._began is None else self._spent - self.share * (now - self._began) / self.runs

    @property
    def slug(self) -> str:
        return f"within_{self.share * 100:g}_percent_of_the_time".replace(".", "_")

    @staticmethod
    def share_of(slug: str) -> float | None:
        """Return the share that a slug tells, or None if it is that of another schedule."""
        found = re.fullmatch(r"within_([0-9_]+)_percent_of_the_time", slug)
        return float(found[1].replace("_", ".")) / 100 if found else None

    def __str__(self) -> str:
        return f"within {self.share:.0%} of the time"
