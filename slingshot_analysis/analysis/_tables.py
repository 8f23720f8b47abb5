"""The events of an analysis as tables of plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slingshot_analysis.events import (
    AccuracyClimb,
    AccuracyJump,
    LogGrowth,
    LossSpike,
    NotFinite,
    Peak,
    Phase,
    Slingshot,
)

if TYPE_CHECKING:
    import pandas as pd

EVENTS: dict[str, type] = {
    "slingshots": Slingshot,
    "spikes_without_norm_growth": Slingshot,
    "phases": Phase,
    "loss_spikes": LossSpike,
    "gradient_spikes": LossSpike,
    "not_finite": NotFinite,
    "accuracy_jumps": AccuracyJump,
    "accuracy_climbs": AccuracyClimb,
    "feature_bursts": Peak,
    "curvature_peaks": Peak,
    "norm_growth": LogGrowth,
}
"""The fields of an `Analysis` that hold events, and what each event is."""

STANDS_AT = ("transition", "step", "onset", "start")
"""Fields in which an event may have its step, in order of preference."""


def step_of(event: Any) -> float:
    """Return the step at which an event stands."""
    step: float = next(getattr(event, name) for name in STANDS_AT if hasattr(event, name))
    return step


def events_table(field: str, events: Sequence[Any]) -> pd.DataFrame:
    """Return one row for each event of a field of `Analysis`, indexed by step.

    A field that holds a pair of numbers becomes two columns, such as ``interval_start`` and ``interval_end``. Where a
    number is None it is NaN, and where a text is None it is empty.
    """
    import pandas as pd

    types = {inner.name: str(inner.type) for inner in dataclasses.fields(EVENTS[field])}
    stands_at = next(name for name in STANDS_AT if name in types)
    columns: dict[str, pd.Series] = {}
    for name, type_ in types.items():
        values = [getattr(event, name) for event in events]
        if type_.startswith("tuple[str"):
            columns[name] = pd.Series(["; ".join(value) for value in values], dtype=object)
        elif type_.startswith("tuple"):
            for place, end in enumerate(("start", "end")):
                columns[f"{name}_{end}"] = _numbers([None if value is None else value[place] for value in values])
        elif type_.startswith(("int", "float")):
            columns["step" if name == stands_at else name] = _numbers(values)
        else:
            columns[name] = pd.Series([value or "" for value in values], dtype=object)
    return pd.DataFrame(columns).set_index("step")


def _numbers(values: Sequence[float | None]) -> pd.Series:
    import pandas as pd

    return pd.Series(values, dtype=float if None in values or not values else None)
