"""Record training runs densely and find the slingshots in them.

Importing this package loads neither PyTorch nor a plotting library; each name below loads what it needs when it is
first used.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slingshot_analysis.analysis import Analysis, analyze
    from slingshot_analysis.association import association_test, event_triggered_average, gain_association
    from slingshot_analysis.detectors import (
        detect_accuracy_jumps,
        detect_curvature_peaks,
        detect_feature_bursts,
        detect_loss_spikes,
        fit_log_growth,
        segment_norm,
    )
    from slingshot_analysis.errors import InputError, SlingshotError
    from slingshot_analysis.evaluation import evaluate
    from slingshot_analysis.events import AccuracyJump, LogGrowth, LossSpike, Peak, Phase, Slingshot
    from slingshot_analysis.labels import Labels
    from slingshot_analysis.many_runs import analyze_files, compare_runs, runs_table
    from slingshot_analysis.readers import Log, Names, read_log
    from slingshot_analysis.recording import Recorder
    from slingshot_analysis.signal import Axis, Signal
    from slingshot_analysis.slingshots import Options, detect_slingshots
    from slingshot_analysis.trace import Group, Quantity, Trace, TraceWriter, open_trace

_HOMES = {
    "AccuracyJump": "events",
    "Analysis": "analysis",
    "Axis": "signal",
    "Group": "trace",
    "InputError": "errors",
    "Labels": "labels",
    "Log": "readers",
    "LogGrowth": "events",
    "LossSpike": "events",
    "Names": "readers",
    "Options": "slingshots",
    "Peak": "events",
    "Phase": "events",
    "Quantity": "trace",
    "Recorder": "recording",
    "Signal": "signal",
    "Slingshot": "events",
    "SlingshotError": "errors",
    "Trace": "trace",
    "TraceWriter": "trace",
    "analyze": "analysis",
    "analyze_files": "many_runs",
    "association_test": "association",
    "compare_runs": "many_runs",
    "detect_accuracy_jumps": "detectors",
    "detect_curvature_peaks": "detectors",
    "detect_feature_bursts": "detectors",
    "detect_loss_spikes": "detectors",
    "detect_slingshots": "slingshots",
    "evaluate": "evaluation",
    "event_triggered_average": "association",
    "fit_log_growth": "detectors",
    "gain_association": "association",
    "open_trace": "trace",
    "read_log": "readers",
    "runs_table": "many_runs",
    "segment_norm": "detectors",
}

__all__ = [
    "AccuracyJump",
    "Analysis",
    "Axis",
    "Group",
    "InputError",
    "Labels",
    "Log",
    "LogGrowth",
    "LossSpike",
    "Names",
    "Options",
    "Peak",
    "Phase",
    "Quantity",
    "Recorder",
    "Signal",
    "Slingshot",
    "SlingshotError",
    "Trace",
    "TraceWriter",
    "analyze",
    "analyze_files",
    "association_test",
    "compare_runs",
    "detect_accuracy_jumps",
    "detect_curvature_peaks",
    "detect_feature_bursts",
    "detect_loss_spikes",
    "detect_slingshots",
    "evaluate",
    "event_triggered_average",
    "fit_log_growth",
    "gain_association",
    "open_trace",
    "read_log",
    "runs_table",
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
