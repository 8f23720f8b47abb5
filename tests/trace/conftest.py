from pathlib import Path

import numpy as np
import pytest

from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Group, Quantity, TraceWriter

PARAMETER = Axis("parameter", ["0.weight", "2.weight"])
ATTRIBUTES = {"setup": "quadratic", "seed": 3, "config": {"optimizer": {"name": "adam"}}, "flush_denormal": True}


@pytest.fixture
def groups():
    return [
        Group(
            "every_1",
            [
                Quantity("batch_loss", "nat", "Mean loss of the batch"),
                Quantity("batch_errors", "samples", dtype="int64"),
                Quantity("parameter_norm", "norm", "Norm of each parameter", [PARAMETER]),
            ],
            "every 1",
        ),
        Group("every_10", [Quantity("val_accuracy", "fraction", dtype="float32")], "every 10"),
    ]


@pytest.fixture
def rows():
    step = np.arange(0, 1300)
    return {
        "step": step,
        "batch_loss": np.where(step == 5, np.nan, 1 / (1 + step)),
        "batch_errors": step % 7,
        "parameter_norm": np.column_stack([step / 2, -step]),
    }


@pytest.fixture
def run(tmp_path: Path, groups, rows) -> Path:
    path = tmp_path / "run.h5"
    with TraceWriter(path, groups, ATTRIBUTES) as writer:
        writer.append("every_1", **rows)
        for step in range(0, 1300, 10):
            writer.append("every_10", step=step, val_accuracy=np.float32(step / 1300))
    return path
