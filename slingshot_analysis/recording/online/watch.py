"""What a recorder does when it sees a transition during the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slingshot_analysis.markup import Shown
from slingshot_analysis.online_rules import TransitionTrigger
from slingshot_analysis.recording.online._window import EventWindow
from slingshot_analysis.recording.online.flight import FlightRecorder
from slingshot_analysis.recording.online.lagged_loss import LaggedLoss
from slingshot_analysis.recording.online.sample_losses import SampleLosses
from slingshot_analysis.recording.probes._base import Moment
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
    """Passes each loss to the online detector, and each transition to what keeps the last updates and the callbacks.

    Parameters
    ----------
    flight : FlightRecorder or None
        Keeps and measures the states around a transition.
    samples : SampleLosses or None
        Keeps the losses of samples around a transition.
    callbacks : sequence of callable
        Each is called with the `Transition` within ``recorder.update``. An exception that it raises ends the run.
    """

    def __init__(
        self,
        flight: FlightRecorder | None,
        samples: SampleLosses | None,
        callbacks: Sequence[Callable[[Transition], None]],
    ) -> None:
        self._flight, self._samples = flight, samples
        self._windows: list[EventWindow] = [window for window in (flight, samples) if window is not None]
        self.groups = [window.group for window in self._windows]
        """The groups of the trace that are written around a transition."""
        self._callbacks = callbacks
        self._trigger = TransitionTrigger()
        self._losses = LaggedLoss()

    def update(self, moment: Moment, writer: TraceWriter) -> None:
        """Take the state and the batch of an update."""
        for window in self._windows:
            window.keep(moment)
            window.follow(writer)
        if moment.loss is None:
            return
        for at, value in self._losses.read(moment.step, moment.loss):
            if self._trigger.update(value):
                for window in self._windows:
                    window.transition(writer)
                for callback in self._callbacks:
                    callback(Transition(at, moment.step, value))

    def close(self, writer: TraceWriter) -> None:
        """Write what has followed the last transition."""
        for window in self._windows:
            window.finish(writer)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the detector and of what keeps the last updates."""
        flight = None if self._flight is None else self._flight.state_dict()
        samples = None if self._samples is None else self._samples.state_dict()
        return {"trigger": self._trigger.state_dict(), "flight": flight, "samples": samples}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that :meth:`state_dict` returned."""
        self._trigger.load_state_dict(state["trigger"])
        if self._flight is not None:
            self._flight.load_state_dict(state["flight"])
        if self._samples is not None:
            self._samples.load_state_dict(state["samples"])
