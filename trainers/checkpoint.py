"""Checkpoints, from which a killed run continues and records what it would have recorded uninterrupted."""

from __future__ import annotations

import json
import pickle
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from slingshot_analysis.errors import InputError, UnwritableError
from slingshot_analysis.files import replaced
from slingshot_analysis.recording import Recorder
from trainers.run import Run
from trainers.setup import Setup, check_settings, resolved

FORMAT = "slingshot-checkpoint"
VERSION = 2
UNREADABLE = EOFError, KeyError, OSError, RuntimeError, ValueError, pickle.UnpicklingError
"""Errors of ``torch.load`` and of the keys of a file that is no intact checkpoint."""


def checkpoint_path(trace: Path) -> Path:
    """Return the path of a run's checkpoint, which is in the folder of its trace.

    Examples
    --------
    >>> checkpoint_path(Path("runs/parity_3_50-s3.h5")).name
    'parity_3_50-s3.checkpoint'
    """
    return trace.with_suffix(".checkpoint")


def kept_checkpoints(trace: Path) -> dict[int, Path]:
    """Return the checkpoints that a run has kept, by step in increasing order.

    They are in a folder beside the trace, as in ``run.checkpoints/4000.checkpoint``.
    """
    found = [path for path in trace.with_suffix(".checkpoints").glob("*.checkpoint") if path.stem.isdecimal()]
    return {int(path.stem): path for path in sorted(found, key=lambda path: int(path.stem))}


def keep_checkpoint(trace: Path, step: int, most: int | None) -> None:
    """Keep the checkpoint of a run, which has just been written, and delete the oldest of those kept beyond `most`.

    The file is linked and not copied, where the file system can do that.

    Raises
    ------
    InputError
        If the folder can't be written.
    """
    kept = trace.with_suffix(".checkpoints") / f"{step}.checkpoint"
    try:
        kept.parent.mkdir(exist_ok=True)
        with replaced(kept) as aside:
            try:
                aside.hardlink_to(checkpoint_path(trace))
            except (OSError, NotImplementedError):
                shutil.copyfile(checkpoint_path(trace), aside)
        for old in list(kept_checkpoints(trace).values())[: -most if most else 0]:
            old.unlink()
    except OSError as error:
        raise UnwritableError(f"{kept}: can't be written ({error}); free some space, or keep fewer") from error


def save_checkpoint(path: Path, run: Run, recorder: Recorder | None = None) -> None:
    """Write the state of a run and of its recorder. The recorder writes its rows first.

    The checkpoint is written to another file that then replaces the old one, so a complete checkpoint exists at any
    time.

    Parameters
    ----------
    path : Path
        The file. Missing parent folders are created.
    run : Run
        The run, between two updates.
    recorder : Recorder, optional
        Its recorder; None before the first update.
    """
    state = {
        "format": FORMAT,
        "version": VERSION,
        "config": json.dumps(resolved(run.setup)),
        "recorder": recorder.state_dict() if recorder else None,
        "run": run.state_dict(),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as aside:
            torch.save(state, aside)
    except (OSError, RuntimeError) as error:
        raise UnwritableError(f"{path}: can't be written ({error}); choose another place or free some space") from error


def load_checkpoint(path: Path, setup: Setup) -> dict[str, Any]:
    """Return the states `run` and `recorder` of a checkpoint of this setup. No code in the file is executed.

    Raises
    ------
    InputError
        If the file is missing or damaged, or belongs to another setup; the message names the fields that differ.
    """
    if not path.exists():
        raise InputError(
            f"{path}: there is no checkpoint to resume from; checkpoint_every= makes checkpoints. To start the run "
            "again, give overwrite=True instead of resume=True"
        )
    state = _load(path)
    check_settings(path, setup, state["config"])
    return state


def discard_checkpoints(trace: Path) -> None:
    """Delete the checkpoints of an earlier run. Files of those names that are no checkpoints are kept."""
    for path in (checkpoint_path(trace), *kept_checkpoints(trace).values()):
        with suppress(InputError):
            _load(path)
            path.unlink()
    with suppress(OSError):
        trace.with_suffix(".checkpoints").rmdir()


def _load(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found, state["config"] = (state["format"], state["version"]), json.loads(state["config"])
    except UNREADABLE as error:
        raise InputError(f"{path}: can't be read as a checkpoint ({error}); record the run again") from error
    if found != (FORMAT, VERSION):
        raise InputError(f"{path}: format and version are {found}; this program reads {(FORMAT, VERSION)}")
    return state
