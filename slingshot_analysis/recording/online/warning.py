"""The early warning while a run is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.online_rules import EarlyWarning, SlingshotWarning
from slingshot_analysis.recording._table import Table
from slingshot_analysis.recording.probes._base import Columns


def warn_from(tables: Sequence[Table], rule: EarlyWarning, on_warning: Callable[[SlingshotWarning], None]) -> None:
    """Arrange that `on_warning` is called with each warning of a run when its rows of `softmax_collapse` arrive.

    Raises
    ------
    InputError
        If no table measures `softmax_collapse`.
    """
    table = next((t for t in tables if "softmax_collapse" in [q.name for q in t.group.quantities]), None)
    if table is None:
        raise InputError("on_warning= needs the probe 'precision': add it to probes=")

    def read(steps: npt.NDArray[np.int64], values: Columns) -> None:
        for warning in rule.update(steps.tolist(), np.nan_to_num(values["softmax_collapse"], nan=1.0).tolist()):
            on_warning(warning)

    table.on_rows.append(read)
