"""Record training runs densely and find the slingshots in them.

Importing this package loads neither PyTorch nor a plotting library; each name below loads what it needs when it is
first used.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slingshot_analysis.analysis import Analysis, analyze
    from slingshot_analysis.association import association_test
    from slingshot_analysis.detectors import (
        detect_accuracy_jumps,
        detect_loss_spikes,
        detect_slingshots,
        segment_norm,
    )
    from slingshot_analysis.errors import InputError, SlingshotError
    from slingshot_analysis.events import AccuracyJump, LossSpike, Phase, Slingshot
    from slingshot_analysis.recording import Recorder
    from slingshot_analysis.signal import Axis, Signal
    from slingshot_analysis.trace import Group, Quantity, Trace, TraceWriter, open_trace

_HOMES = {
    "AccuracyJump": "events",
    "Analysis": "analysis",
    "Axis": "signal",
    "Group": "trace",
    "InputError": "errors",
    "LossSpike": "events",
    "Phase": "events",
    "Quantity": "trace",
    "Recorder": "recording",
    "Signal": "signal",
    "Slingshot": "events",
    "SlingshotError": "errors",
    "Trace": "trace",
    "TraceWriter": "trace",
    "analyze": "analysis",
    "association_test": "association",
    "detect_accuracy_jumps": "detectors",
    "detect_loss_spikes": "detectors",
    "detect_slingshots": "detectors",
    "open_trace": "trace",
    "segment_norm": "detectors",
}

__all__ = [
    "AccuracyJump",
    "Analysis",
    "Axis",
    "Group",
    "InputError",
    "LossSpike",
    "Phase",
    "Quantity",
    "Recorder",
    "Signal",
    "Slingshot",
    "SlingshotError",
    "Trace",
    "TraceWriter",
    "analyze",
    "association_test",
    "detect_accuracy_jumps",
    "detect_loss_spikes",
    "detect_slingshots",
    "open_trace",
    "segment_norm",
]

__version__ = version("slingshot-analysis")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
