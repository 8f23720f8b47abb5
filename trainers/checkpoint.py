"""Checkpoints: a run that was killed goes on where it was, and records what it would have recorded."""

from __future__ import annotations

import json
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from slingshot_analysis.errors import InputError, UnwritableError
from slingshot_analysis.files import replaced
from slingshot_analysis.recording import Recorder
from trainers.loop import Run
from trainers.setup import Setup, check_settings, resolved

__all__ = ["checkpoint_path", "discard_checkpoint", "load_checkpoint", "save_checkpoint"]

FORMAT = "slingshot-checkpoint"
VERSION = 2
DAMAGED = EOFError, KeyError, OSError, RuntimeError, ValueError, pickle.UnpicklingError


def checkpoint_path(trace: Path) -> Path:
    """Return where the checkpoint of a run stands: beside its trace.

    Examples
    --------
    >>> checkpoint_path(Path("runs/parity_3_50-s3.h5")).name
    'parity_3_50-s3.checkpoint'
    """
    return trace.with_suffix(".checkpoint")


def save_checkpoint(path: Path, run: Run, recorder: Recorder | None = None) -> None:
    """Write the state of a run, and of its recorder, whose rows are written first.

    The file is written aside and renamed, so that one whole checkpoint exists at every moment.

    Parameters
    ----------
    path : Path
        Missing parent folders are made.
    run : Run
        Between two updates.
    recorder : Recorder, optional
        None before the first update.
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
    """Return the `run` and the `recorder` of a checkpoint of this very setup; no code in it is run.

    Raises
    ------
    InputError
        If there is none, it is damaged, or it is of another setup; the message names what differs.
    """
    if not path.exists():
        raise InputError(
            f"{path}: there is no checkpoint to resume; checkpoints are made with checkpoint_every=, and the same "
            "call with overwrite=True instead of resume=True starts anew"
        )
    state = _load(path)
    check_settings(path, setup, state["config"])
    return state


def discard_checkpoint(path: Path) -> None:
    """Delete the checkpoint of an earlier run; a file of that name that is none is somebody else's and stays."""
    with suppress(InputError):
        _load(path)
        path.unlink()


def _load(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found, state["config"] = (state["format"], state["version"]), json.loads(state["config"])
    except DAMAGED as error:
        raise InputError(f"{path}: can't be read as a checkpoint ({error}); record the run anew") from error
    if found != (FORMAT, VERSION):
        raise InputError(f"{path}: format and version are {found}; this program reads {(FORMAT, VERSION)}")
    return state
