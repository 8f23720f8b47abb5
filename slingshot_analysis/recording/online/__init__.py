"""What happens while a run is recorded: transitions, early warnings, and the flight recorder's measurements."""

from slingshot_analysis.recording.online.flight import FlightRecorder
from slingshot_analysis.recording.online.lagged_loss import LaggedLoss
from slingshot_analysis.recording.online.warning import warn_from
from slingshot_analysis.recording.online.watch import Transition, Watch

__all__ = ["FlightRecorder", "LaggedLoss", "Transition", "Watch", "warn_from"]
