"""When to measure: schedules are values, functions of the step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from slingshot_analysis.errors import InputError

__all__ = ["Budget", "Every", "LogSpaced", "Schedule", "Within"]


class Schedule(ABC):
    """The steps at which something is measured. ``a | b`` is due whenever `a` or `b` is.

    Examples
    --------
    >>> dense_start = Every(500) | Within(0, 100)
    >>> dense_start.next(7), dense_start.next(101)
    (7, 500)
    """

    @abstractmethod
    def next(self, step: int) -> int | None:
        """Return the first due step at or after `step`, or None if there is none."""

    @property
    @abstractmethod
    def slug(self) -> str:
        """The schedule as a group name of a trace: lower-case letters, digits and underscores."""

    def __or__(self, other: Schedule) -> Schedule:
        return _Either(self, other)


@dataclass(frozen=True)
class Every(Schedule):
    """Due at step 0 and every `n` updates after it."""

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


@dataclass(frozen=True)
class LogSpaced(Schedule):
    """Due at step 0 and at about `per_decade` steps in each decade, evenly spaced on a logarithmic axis."""

    per_decade: int = 20

    def __post_init__(self) -> None:
        if self.per_decade < 1:
            raise InputError(f"a schedule needs at least 1 step per decade, got LogSpaced({self.per_decade})")

    def next(self, step: int) -> int:
        if step <= 0:
            return 0
        k = max(0, math.floor(self.per_decade * math.log10(step)) - 1)
        while (due := round(10 ** (k / self.per_decade))) < step:
            k += 1
        return due

    @property
    def slug(self) -> str:
        return f"log_{self.per_decade}_per_decade"

    def __str__(self) -> str:
        return f"log-spaced, {self.per_decade} per decade"


@dataclass(frozen=True)
class Within(Schedule):
    """Due every `every` updates in the half-open window [start, stop), and never outside."""

    start: int
    stop: int
    every: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop or self.every < 1:
            raise InputError(f"a window needs 0 <= start < stop and every >= 1, got {self!r}")

    def next(self, step: int) -> int | None:
        periods = max(0, -(-(step - self.start) // self.every))
        due = self.start + periods * self.every
        return due if due < self.stop else None

    @property
    def slug(self) -> str:
        return f"every_{self.every}_from_{self.start}_to_{self.stop}"

    def __str__(self) -> str:
        return f"every {self.every} in [{self.start}, {self.stop})"


@dataclass(frozen=True)
class _Either(Schedule):
    first: Schedule
    second: Schedule

    def next(self, step: int) -> int | None:
        return min((due for s in (self.first, self.second) if (due := s.next(step)) is not None), default=None)

    @property
    def slug(self) -> str:
        return f"{self.first.slug}_or_{self.second.slug}"

    def __str__(self) -> str:
        return f"{self.first} or {self.second}"


class Budget(Schedule):
    """Due as often as a share of the run's time allows; which steps these are depends on the machine.

    Parameters
    ----------
    share : float, in (0, 1)
        Of the whole time of the run, measurements included.
    """

    def __init__(self, share: float = 0.12) -> None:
        if not 0 < share < 1:
            raise InputError(f"a budget is a share of the run's time between 0 and 1, got Budget({share})")
        self.share = share
        self._began: float | None = None
        self._first = self._due = 0
        self._spent = 0.0

    def next(self, step: int) -> int:
        return max(step, self._due)

    def charge(self, step: int, now: float, seconds: float) -> None:
        """Take into account what the measurement at `step`, which ended at the time `now`, has cost."""
        if self._began is None:  # the first one pays for what is set up once, so that only its own end counts
            self._began, self._first, self._due = now, step, step + 1
            return
        self._spent += seconds
        made, elapsed = step - self._first, now - self._began
        bare = max(elapsed - self._spent, 1e-9) / max(made, 1)
        allowed = self._spent * (1 - self.share) / self.share  # seconds of bare training that the cost so far takes
        self._due = max(step + 1, self._first + math.ceil(allowed / bare))

    def spend(self, seconds: float) -> None:
        """Take into account what else is paid out of the budget."""
        self._spent += seconds

    def debt(self, now: float) -> float:
        """Return by how many seconds, at the time `now`, more has been spent than the share allows."""
        return 0.0 if self._began is None else self._spent - self.share * (now - self._began)

    @property
    def slug(self) -> str:
        return f"within_{self.share * 100:g}_percent_of_the_time".replace(".", "_")

    def __str__(self) -> str:
        return f"within {self.share:.0%} of the time"
