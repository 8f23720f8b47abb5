"""The run that is branched: its setup, read from its trace, and its state at any step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from slingshot_analysis.errors import InputError
from slingshot_analysis.trace import Trace, open_trace
from trainers.checkpoint import kept_checkpoints, load_checkpoint, save_checkpoint
from trainers.loop import updates
from trainers.optimizers import OPTIMIZERS, as_kind
from trainers.recorded_run import find_device
from trainers.run import Run
from trainers.setup import BEFORE, Setup, check_settings
from trainers.setups import SETUPS

Value = TypeVar("Value")


@dataclass(frozen=True)
class Parent:
    """A recorded run from which branches begin.

    Parameters
    ----------
    trace : Trace
        Its trace.
    setup : Setup
        Its setup.
    device : str
        Where it was trained, "cpu" or "cuda".
    threads : int
        Threads of PyTorch's CPU kernels with which it was trained.
    flush_denormal : bool
        Whether denormal numbers were rounded to zero.
    """

    trace: Trace
    setup: Setup
    device: str
    threads: int
    flush_denormal: bool


def open_parent(path: str | Path) -> Parent:
    """Open the trace of a run of a setup.

    Raises
    ------
    InputError
        If the trace can't be read, or is not of a run of a registered setup.
    """
    trace = open_trace(path)
    found = trace.attributes
    threads = found.get("threads", 1)
    if not isinstance(threads, int) or threads < 1:
        raise InputError(f"{path}: attribute 'threads' is {threads!r}; expected a number of at least 1")
    device = "cuda" if str(found.get("device", "cpu")).startswith("cuda") else "cpu"
    return Parent(trace, _setup_of(Path(path), trace.config), device, threads, bool(found.get("flush_denormal", True)))


def state_at(parent: Parent, step: int, folder: Path, progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Return the state of a run after some updates, from the last checkpoint before, or else from its beginning.

    The state is kept as a checkpoint in `folder`, where the next call finds it.

    Parameters
    ----------
    parent : Parent
        The run.
    step : int, updates
        At most the length of the run.
    folder : Path
        Where the state is kept.
    progress : callable, optional
        Called with the number of updates after each update that is made again.

    Returns
    -------
    dict
        What :meth:`Run.state_dict` returns.

    Raises
    ------
    InputError
        If the step is beyond the end of the run, or a checkpoint is damaged or belongs to another run.
    """
    setup = parent.setup
    if not 0 <= step <= setup.steps:
        raise InputError(f"at={step}: the run has the steps 0 to {setup.steps:,}")
    kept = folder / f"{step}.checkpoint"
    before = {at: path for at, path in kept_checkpoints(parent.trace.path).items() if at <= step}
    before |= {step: kept} if kept.exists() else {}
    run, start = Run(setup, find_device(parent.device)), max(before, default=0)
    if before:
        run.load_state_dict(load_checkpoint(before[start], setup)["run"])
    if start < step:
        for made in updates(run, start=start):
            if progress:
                progress(made)
            if made == step:
                break
    if not kept.exists():
        save_checkpoint(kept, run)
    return run.state_dict()


def _setup_of(path: Path, config: Mapping[str, Any]) -> Setup:
    name = config.get("name")
    if name not in SETUPS:
        raise InputError(
            f"{path}: is not a run of a setup of `slingshot setups`, so it can't be trained again; for a loop of your "
            "own see slingshot_analysis.branching"
        )
    setup, kinds = SETUPS[name], {kind.__name__: kind for kind in OPTIMIZERS.values()}
    kind = _kind(config.get("optimizer"))
    if kind not in kinds:
        raise InputError(f"{path}: its optimizer is of the kind {kind!r}; known are {', '.join(kinds)}")
    setup = _filled(path, dataclasses.replace(setup, optimizer=as_kind(setup.optimizer, kinds[kind])), config)
    check_settings(path, setup, config)
    return setup


def _kind(config: Any) -> Any:
    return config.get("kind") if isinstance(config, Mapping) else None


def _filled(path: Path, standard: Value, config: Mapping[str, Any], prefix: str = "") -> Value:
    """Return a nested dataclass with the values of a configuration, or with its own where a field is missing."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(standard):  # type: ignore[arg-type]
        own, name = getattr(standard, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(own):
            inner = config.get(field.name, {"kind": type(own).__name__})
            if _kind(inner) != type(own).__name__:
                raise InputError(f"{path}: its {name} is of the kind {_kind(inner)!r}, not {type(own).__name__}")
            values[field.name] = _filled(path, own, inner, f"{name}.")
            continue
        value = config.get(field.name, BEFORE.get(name, own))
        value = tuple(value) if isinstance(own, tuple) and isinstance(value, list) else value
        value = float(value) if isinstance(own, float) and type(value) is int else value
        if type(value) is not type(own):
            raise InputError(f"{path}: its {name} is {value!r}; expected a value such as {own!r}")
        values[field.name] = value
    return dataclasses.replace(standard, **values)  # type: ignore[type-var]
