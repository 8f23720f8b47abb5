"""Watch runs while they are recorded, and any log while it grows."""

from slingshot_analysis.watching.command import CommandRunner
from slingshot_analysis.watching.curve import GrowingCurve
from slingshot_analysis.watching.page import LivePage
from slingshot_analysis.watching.run import Event, RunState, WatchedRun
from slingshot_analysis.watching.source import Source
from slingshot_analysis.watching.terminal import run_view, runs_view
from slingshot_analysis.watching.watcher import Watcher

__all__ = [
    "CommandRunner",
    "Event",
    "GrowingCurve",
    "LivePage",
    "RunState",
    "Source",
    "WatchedRun",
    "Watcher",
    "run_view",
    "runs_view",
]
