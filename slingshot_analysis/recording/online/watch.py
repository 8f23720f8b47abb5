"""What a recorder does when it sees a transition during the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from slingshot_analysis.markup import Shown
from slingshot_analysis.online_rules import TransitionTrigger
from slingshot_analysis.recording.online.flight import FlightRecorder
from slingshot_analysis.recording.online.lagged_loss import LaggedLoss
from slingshot_analysis.trace import TraceWriter


@dataclass(frozen=True)
class Transition(Shown):
    """A transition that was detected during the run.

    Parameters
    ----------
    step : int, updates
        The update at which the loss rose sharply.
    seen : int, updates
        The update at which that was known: the same on a CPU, a few updates later on a GPU.
    loss : float
        Loss of the batch at `step`.
    """

    step: int
    seen: int
    loss: float


class Watch:
    """Passes each loss to the online detector, and each transition to the flight recorder and the callbacks.

    Parameters
    ----------
    flight : FlightRecorder or None
        Keeps and measures the states around a transition.
    callbacks : sequence of callable
        Each is called with the `Transition` within ``recorder.update``. An exception that it raises ends the run.
    """

    def __init__(self, flight: FlightRecorder | None, callbacks: Sequence[Callable[[Transition], None]]) -> None:
        self.flight = flight
        self._callbacks = callbacks
        self._trigger = TransitionTrigger()
        self._losses = LaggedLoss()

    def update(self, step: int, loss: Tensor | None, writer: TraceWriter) -> None:
        """Take the state at `step` and the loss of its batch."""
        if self.flight is not None:
            self.flight.keep(step)
            self.flight.follow(writer)
        if loss is None:
            return
        for at, value in self._losses.read(step, loss):
            if self._trigger.update(value):
                if self.flight is not None:
                    self.flight.transition(writer)
                for callback in self._callbacks:
                    callback(Transition(at, step, value))

    def close(self, writer: TraceWriter) -> None:
        """Measure the states that have followed the last transition."""
        if self.flight is not None:
            self.flight.finish(writer)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the detector and of the flight recorder."""
        flight = None if self.flight is None else self.flight.state_dict()
        return {"trigger": self._trigger.state_dict(), "flight": flight}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that :meth:`state_dict` returned."""
        self._trigger.load_state_dict(state["trigger"])
        if self.flight is not None:
            self.flight.load_state_dict(state["flight"])
