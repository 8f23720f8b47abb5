"""Train the arms of a branch and record a trace of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import InputError, OtherFileError
from slingshot_analysis.many_runs import Agreement, agreement
from slingshot_analysis.recording import Recorder
from slingshot_analysis.trace import open_trace
from trainers.batch import exact_key, train_exactly
from trainers.branch.arms import Arm, control_arm
from trainers.branch.parent import Parent, state_at
from trainers.lock import owned
from trainers.loop import updates
from trainers.recorded_run import find_device, make_recorder
from trainers.run import Run, cpu_settings

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

    Arms of the same network are trained together with the control, if the control then equals the run bit for bit, and
    one by one otherwise. Arms that are finished already are not trained again, so the same call goes on with a branch
    that was stopped.

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
        Called with the number of updates made and the name of the arm, "replay" before the branch point, or "arms"
        where they are trained together.

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
        if left:
            state = state_at(parent, step, folder, None if progress is None else lambda made: progress("replay", made))
            training = _Training(parent, step, state, folder, headers, probes, progress)
            left = training.together(planned[0], left)
        for arm in planned:
            if arm in left:
                training.alone(arm)
            found = agreement(parent.trace, open_trace(folder / arm.file), step)
            yield arm, found
            if arm is planned[0] and not found.is_equal:
                return


@dataclass(frozen=True)
class _Training:
    """Trains arms from a state of the parent; the fields are those of :func:`branch`."""

    parent: Parent
    step: int
    state: Mapping[str, Any]
    folder: Path
    headers: Mapping[str, Mapping[str, object]]
    probes: str
    progress: Callable[[str, int], None] | None

    def together(self, control: Arm, arms: Sequence[Arm]) -> list[Arm]:
        """Train as one batch the control and those arms that can be, and return the arms that are left.

        These are all arms, if the control does not equal the parent. The control takes part even if it was finished,
        because it shows how this batch rounds.
        """
        first = self._begin(control)
        if (key := exact_key(first)) is None:
            return list(arms)
        runs = {control: first} | {arm: self._begin(arm) for arm in arms if arm is not control}
        joined = {arm: run for arm, run in runs.items() if exact_key(run) == key}
        if len(joined) == 1:
            return list(arms)
        with ExitStack() as stack:
            for run in joined.values():
                run.data = first.data
            recorders = [stack.enter_context(self._recorder(arm, run)) for arm, run in joined.items()]
            for made in train_exactly(list(joined.values()), recorders):
                if self.progress:
                    self.progress("arms", made)
        if agreement(self.parent.trace, open_trace(self.folder / control.file), self.step).is_equal:
            return [arm for arm in arms if arm not in joined]
        for arm in joined:
            (self.folder / arm.file).unlink()
        return list(dict.fromkeys((control, *arms)))

    def alone(self, arm: Arm) -> None:
        """Train one arm."""
        run = self._begin(arm)
        with self._recorder(arm, run) as recorder:
            for made in updates(run, recorder, self.step):
                if self.progress:
                    self.progress(arm.name, made)

    def _begin(self, arm: Arm) -> Run:
        last_layer = str(self.parent.trace.attributes["last_layer"])
        return arm.begin(self.parent.setup, self.state, find_device(self.parent.device), last_layer)

    def _recorder(self, arm: Arm, run: Run) -> Recorder:
        names, header = self.probes.split(","), self.headers[arm.name]
        return make_recorder(run, self.folder / arm.file, True, None, probes=names, start=self.step, attributes=header)


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
