"""Train the arms of a branch and record a trace of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import InputError, OtherFileError
from slingshot_analysis.many_runs import Agreement, agreement
from slingshot_analysis.trace import open_trace
from trainers.branch.arms import Arm, control_arm
from trainers.branch.parent import Parent, state_at
from trainers.lock import owned
from trainers.loop import updates
from trainers.recorded_run import find_device, make_recorder
from trainers.run import cpu_settings

PROBES = "batch,norms:10,evaluation:200"
"""What is recorded of an arm by default."""


def branch(
    parent: Parent,
    step: int,
    steps: int,
    arms: Sequence[Arm],
    out: str | Path,
    *,
    probes: str = PROBES,
    progress: Callable[[str, int], None] | None = None,
) -> Iterator[tuple[Arm, Agreement]]:
    """Train the control and the arms from one state of a run, and compare each with the run.

    Arms that are finished already are not trained again, so the same call goes on with a branch that was stopped.

    Parameters
    ----------
    parent : Parent
        The run.
    step : int, updates
        The branch point.
    steps : int, updates
        Length of each arm.
    arms : sequence of Arm
        The arms besides the control.
    out : path-like
        Folder of the traces, ``control.h5`` and one for each arm, and of the state at the branch point.
    probes : str, optional
        What to record.
    progress : callable, optional
        Called after each update with the name of the arm, or "replay" before the branch point, and the number of
        updates made.

    Yields
    ------
    (Arm, Agreement)
        The control comes first, with how far its rows equal those of the parent, bit for bit. If they do not, nothing
        follows.

    Raises
    ------
    InputError
        If the folder has arms of another branch, or the state can't be restored.
    """
    folder = Path(out)
    planned = [control_arm(parent.setup, step + steps), *arms]
    if twice := [arm.name for i, arm in enumerate(planned) if arm.name in [other.name for other in planned[:i]]]:
        raise InputError(f"arms={twice[0]!r}: is given twice; leave one out")
    with owned(folder / "branch.h5"), cpu_settings(parent.threads, parent.flush_denormal):
        headers = {arm.name: _header(parent, step, steps, arm, folder) for arm in planned}
        left = [arm for arm in planned if not _is_finished(folder / arm.file, headers[arm.name])]
        state: dict[str, Any] = {}
        if left:
            state = state_at(parent, step, folder, None if progress is None else lambda made: progress("replay", made))
        for arm in planned:
            if arm in left:
                _train(parent, step, arm, state, folder, headers[arm.name], probes, progress)
            found = agreement(parent.trace, open_trace(folder / arm.file), step)
            yield arm, found
            if arm is planned[0] and not found.is_equal:
                return


def _train(
    parent: Parent,
    step: int,
    arm: Arm,
    state: dict[str, Any],
    folder: Path,
    header: dict[str, object],
    probes: str,
    progress: Callable[[str, int], None] | None,
) -> None:
    run = arm.begin(parent.setup, state, find_device(parent.device), str(parent.trace.attributes["last_layer"]))
    recorder = make_recorder(
        run, folder / arm.file, True, None, probes=probes.split(","), start=step, attributes=header
    )
    with recorder:
        for made in updates(run, recorder, step):
            if progress:
                progress(arm.name, made)


def _header(parent: Parent, step: int, steps: int, arm: Arm, folder: Path) -> dict[str, object]:
    """Return the attributes of a trace that say what it branches from, and how."""
    return {
        "parent": os.path.relpath(parent.trace.path, folder),
        "parent_start_time": parent.trace.attributes.get("start_time", ""),
        "branch_step": step,
        "branch_steps": steps,
        "arm": arm.name,
        "change": arm.change,
    }


def _is_finished(path: Path, header: dict[str, object]) -> bool:
    """Return whether the trace of an arm is finished.

    Raises
    ------
    InputError
        If there is a trace of another branch.
    """
    if not path.exists():
        return False
    trace = open_trace(path)
    differ = [name for name, value in header.items() if name != "parent" and trace.attributes.get(name) != value]
    if differ:
        raise OtherFileError(
            f"{path}: belongs to another branch ({', '.join(differ)} differ); give the same at= and steps=, or choose "
            "another out="
        )
    return trace.finished
