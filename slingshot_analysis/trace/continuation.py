"""Continue the trace of a run that was killed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from slingshot_analysis.errors import InputError
from slingshot_analysis.files import replaced
from slingshot_analysis.trace._header import RESERVED
from slingshot_analysis.trace._writer_lock import WriterLock
from slingshot_analysis.trace.reader import TraceFile, open_trace
from slingshot_analysis.trace.schema import Group
from slingshot_analysis.trace.writer import TraceWriter


def continue_trace(
    path: str | Path, groups: Iterable[Group], step: int, attributes: Mapping[str, object] | None = None
) -> TraceWriter:
    """Return a writer that continues the trace of a killed run at a given step.

    The rows before `step` are copied into a new file, which then replaces the trace, so that there is one complete file
    at every moment. The old attributes are kept. The attribute `resumed` says at which step and when the run continued,
    and which attributes have changed.

    Parameters
    ----------
    path : path-like
        A trace, finished or not.
    groups : iterable of Group
        All that will be measured; the trace must hold the same.
    step : int, updates
        Where the run continues; rows from here on are dropped.
    attributes : mapping, optional
        As for `TraceWriter`, of the run that continues.

    Raises
    ------
    InputError
        If there is no such trace, it holds other quantities or can't be written.

    Examples
    --------
    >>> import tempfile
    >>> from slingshot_analysis.trace import Group, Quantity, TraceWriter
    >>> path, groups = Path(tempfile.mkdtemp()) / "run.h5", [Group("every_1", [Quantity("batch_loss", "nat")])]
    >>> killed = TraceWriter(path, groups)
    >>> killed.append("every_1", step=[0, 1, 2], batch_loss=[0.7, 0.6, 0.9])
    >>> killed.close(finished=False)
    >>> with continue_trace(path, groups, step=2) as writer:
    ...     writer.append("every_1", step=2, batch_loss=0.5)
    >>> open_trace(path)["batch_loss"].value.tolist()
    [0.7, 0.6, 0.5]
    """
    path, groups = Path(path), tuple(groups)
    old = open_trace(path)
    _check_quantities(old, groups)
    lock = WriterLock(path)
    try:
        with replaced(path) as aside:
            writer = TraceWriter(aside, groups, _attributes(old, step, attributes or {}), overwrite=True)
            for group in groups:
                signals = [old[quantity.name] for quantity in group.quantities]
                rows = min(int(signal.step.searchsorted(step)) for signal in signals)
                writer.append(group.name, signals[0].step[:rows], **{s.name: s.value[:rows] for s in signals})
            writer.flush()
    except BaseException:
        lock.release()
        raise
    writer._moved(path, lock)
    return writer


def _check_quantities(old: TraceFile, groups: tuple[Group, ...]) -> None:
    there = {name: set(names) for name, names in old.groups.items()}
    asked = {group.name: {quantity.name for quantity in group.quantities} for group in groups}
    for name in sorted(there | asked):
        if other := there.get(name, set()) ^ asked.get(name, set()):
            raise InputError(
                f"{old.path}: /{name}: the run that goes on and the trace differ in {', '.join(sorted(other))}; "
                "go on with the same probes and schedules"
            )


def _attributes(old: TraceFile, step: int, attributes: Mapping[str, object]) -> dict[str, object]:
    kept = {name: value for name, value in old.attributes.items() if name not in RESERVED}
    changed = {
        name: value
        for name, value in attributes.items()
        if name not in ("config", "command") and kept.get(name) != value
    }
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return kept | {"resumed": [*json.loads(kept.get("resumed", "[]")), {"step": step, "time": now, **changed}]}
