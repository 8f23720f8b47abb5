"""Recording for a training loop that passes on the batches of many updates at once; the batched trainer uses it."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from slingshot_analysis.recording._rows import Rows
from slingshot_analysis.recording.probes._base import Moment
from slingshot_analysis.recording.recorder import Recorder


def share_time(recorder: Recorder, runs: int) -> None:
    """Tell a recorder how many runs train at the same time, so that their curvature keeps within its share of it."""
    for table in recorder._rows.tables:
        if table.budget is not None:
            table.budget.runs = runs


def without_following(recorder: Recorder) -> Callable[[Tensor, Tensor, Tensor, Tensor], None]:
    """Return what records an update, given its loss, logits, targets and indices, without help and checks.

    The recorder no longer follows the optimizer's ``step()``, which may not be called at all. The caller disables
    gradients. On a small network this costs half as much.
    """
    recorder._loop.close()
    return recorder._rows.record


class LaggedRecording:
    """A recorder that sees a state only where a probe needs it, and gets the batches of several updates at once later.

    Parameters
    ----------
    recorder : Recorder
        All batches up to its step have been handed over. It can be used in the usual way again between two calls of
        :meth:`record_batches`.
    """

    def __init__(self, recorder: Recorder) -> None:
        without_following(recorder)
        assert isinstance(recorder._rows, Rows)
        self._rows = recorder._rows
        self._after = recorder.step
        """The step after the last state that was recorded."""

    @property
    def is_possible(self) -> bool:
        """Whether the recorder can wait for batches: after the first update, if it keeps the batch of every update."""
        return any(table.kept_batches for table in self._rows.tables)

    @property
    def next_state(self) -> float:
        """The step of the next update whose state has to be recorded; infinite if there is none."""
        if self._rows.needs_every_state:
            return max(self._after, self._rows.step)
        return min((table.next_due for table in self._rows.tables if table.kept_batches is None), default=math.inf)

    def record_state(self, step: int, loss: Tensor, logits: Tensor, targets: Tensor, indices: Tensor) -> None:
        """Record everything but the batch itself of the update from `step`, a step that :attr:`next_state` gave.

        Parameters
        ----------
        step : int, updates
            At least the step of the recorder.
        loss, logits, targets, indices
            As for :meth:`Recorder.update`.
        """
        tables = [table for table in self._rows.tables if table.kept_batches is None]
        self._rows.record_moment(Moment(step, loss, logits, targets, indices), tables)
        self._after = step + 1

    def record_batches(self, losses: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Record the batches of the next n updates, after the last of them was made and all states were recorded.

        Parameters
        ----------
        losses : (n,) Tensor
            Losses of the batches, as they were differentiated.
        logits : (n, ..., classes) Tensor
            Outputs of the model for each batch.
        targets : (n, ...) integer Tensor
            Class of each sample.
        """
        self._rows.take(losses, logits, targets)
