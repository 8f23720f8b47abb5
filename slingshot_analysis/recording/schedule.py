"""When to measure: schedules are values, functions of the step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from slingshot_analysis.errors import InputError

__all__ = ["Every", "LogSpaced", "Schedule", "Within"]


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
