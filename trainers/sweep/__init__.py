"""Sweeps: many runs from a grid, a list or random draws, on one machine or on a cluster."""

from trainers.sweep.config import SweepConfig, read_config, shipped_sweeps
from trainers.sweep.file import plan_file
from trainers.sweep.manifest import RunState, read_manifest
from trainers.sweep.plan import parse_seeds, parse_values, plan_runs
from trainers.sweep.run import Status, sweep

__all__ = [
    "RunState",
    "Status",
    "SweepConfig",
    "parse_seeds",
    "parse_values",
    "plan_file",
    "plan_runs",
    "read_config",
    "read_manifest",
    "shipped_sweeps",
    "sweep",
]
