"""Send scalars on to TensorBoard, Weights & Biases or Trackio while a run is recorded."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.recording._table import Table
from slingshot_analysis.recording.probes._base import Columns
from slingshot_analysis.safe_text import in_one_line


@dataclass(frozen=True)
class Mirror:
    """A logger of others that gets scalars of a run while it is recorded.

    Parameters
    ----------
    target : object
        What has ``add_scalar(name, value, step)``, such as ``torch.utils.tensorboard.SummaryWriter``, or else
        ``log(values, step=step)``, such as a run of Weights & Biases, or the module ``trackio``.
    names : sequence of str, optional
        The quantities to send. By default all scalars.
    every : int, optional
        Only rows of steps that this number divides are sent.

    Raises
    ------
    InputError
        If `target` has neither method, or `every` is not positive.
    """

    target: Any
    names: Sequence[str] | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if not any(callable(getattr(self.target, method, None)) for method in ("add_scalar", "log")):
            raise InputError(
                f"mirrors=: {type(self.target).__name__} has no method add_scalar or log; give a SummaryWriter, a run "
                "of wandb, the module trackio, or a Mirror of one of them"
            )
        if self.every < 1:
            raise InputError(f"mirrors=: a Mirror of every {self.every} updates; give 1 or more")

    def send(self, step: int, row: dict[str, float]) -> None:
        """Send a row, if it is one of those wanted."""
        wanted = {name: value for name, value in row.items() if self.names is None or name in self.names}
        if step % self.every or not wanted:
            return
        if hasattr(self.target, "add_scalar"):
            for name, value in wanted.items():
                self.target.add_scalar(name, value, step)
        else:
            self.target.log(wanted, step=step)


class Mirrors:
    """The mirrors of a recorder: they get the rows that have reached the host, by increasing step.

    The rows of different schedules arrive in blocks of their own. So rows are kept until those of all schedules are
    known to be there, which is one flush later, since on a GPU their copy only starts with a flush.

    Parameters
    ----------
    mirrors : iterable of Mirror or of its target
        What the user gave.
    tables : sequence of Table
        All tables of the recorder.

    Raises
    ------
    InputError
        If one is no mirror, or wants a scalar that is not recorded.
    """

    def __init__(self, mirrors: Iterable[Any], tables: Sequence[Table]) -> None:
        self._mirrors = [each if isinstance(each, Mirror) else Mirror(each) for each in mirrors]
        scalars = {q.name for table in tables for q in table.group.quantities if not q.axes}
        for name in (name for mirror in self._mirrors for name in mirror.names or ()):
            if name not in scalars:
                raise unknown_name("scalar", name, scalars, "mirrors=")
        everything = any(mirror.names is None for mirror in self._mirrors)
        self._wanted = scalars if everything else {name for mirror in self._mirrors for name in mirror.names or ()}
        self._rows: defaultdict[int, dict[str, float]] = defaultdict(dict)
        self._last_flush = 0
        if self._mirrors:
            for table in tables:
                table.on_rows.append(self._keep)

    def _keep(self, steps: npt.NDArray[np.int64], values: Columns) -> None:
        for name in self._wanted & values.keys():
            for step, value in zip(steps.tolist(), values[name].tolist(), strict=True):
                self._rows[step][name] = value

    def flushed(self, step: int) -> None:
        """Send the rows before the last flush; `step` is that of the present one."""
        self._send(self._last_flush)
        self._last_flush = step

    def close(self) -> None:
        """Send all remaining rows."""
        self._send(None)

    def _send(self, before: int | None) -> None:
        for step in sorted(step for step in self._rows if before is None or step < before):
            row = self._rows.pop(step)
            for mirror in list(self._mirrors):
                try:
                    mirror.send(step, row)
                except Exception as error:  # of somebody else's logger, which must not end the run
                    self._mirrors = [other for other in self._mirrors if other is not mirror]
                    warnings.warn(
                        f"the mirror {type(mirror.target).__name__} failed at step {step} and gets no more rows: "
                        f"{type(error).__name__}: {in_one_line(error)}",
                        stacklevel=2,
                    )
