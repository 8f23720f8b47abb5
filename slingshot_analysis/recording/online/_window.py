"""The bookkeeping of what is kept of the last updates and written around a transition."""

from __future__ import annotations

from abc import ABC, abstractmethod

from slingshot_analysis.recording.probes._base import Moment
from slingshot_analysis.trace import Group, TraceWriter

UPDATES = 64
"""Number of states that are measured before a transition, and after it."""


class EventWindow(ABC):
    """Keeps something of each of the last 64 updates, and writes it when a transition begins; then of the 64 after."""

    group: Group
    """The group of the trace that gets it."""

    def __init__(self) -> None:
        self._oldest = self._newest = self._written = 0
        self._end: int | None = None

    def keep(self, moment: Moment) -> None:
        """Keep the update that starts from this moment."""
        self._copy(moment)
        self._oldest, self._newest = max(self._oldest, moment.step - UPDATES), moment.step

    @abstractmethod
    def _copy(self, moment: Moment) -> None:
        """Copy what is kept of an update."""

    @abstractmethod
    def _write(self, writer: TraceWriter, steps: range) -> None:
        """Write rows for some of the updates that are kept."""

    def transition(self, writer: TraceWriter) -> None:
        """Write the updates kept, as a transition has begun; :meth:`follow` writes those after it."""
        if self._end is None:
            self._write_new(writer)
            self._end = self._newest + UPDATES

    def follow(self, writer: TraceWriter) -> None:
        """Write the updates after a transition once there are `UPDATES` of them."""
        if self._end is not None and self._newest >= self._end:
            self.finish(writer)

    def finish(self, writer: TraceWriter) -> None:
        """Write the updates after a transition, however many there are."""
        if self._end is not None:
            self._write_new(writer)
            self._end = None

    def _write_new(self, writer: TraceWriter) -> None:
        """Write all updates kept that are not written, except the newest, which has not been made yet."""
        steps = range(max(self._oldest, self._written), self._newest)
        if steps:
            self._write(writer, steps)
            self._written = self._newest

    @property
    def _numbers(self) -> list[int | None]:
        """The state of the bookkeeping."""
        return [self._oldest, self._newest, self._written, self._end]
