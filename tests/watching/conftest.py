"""A log that grows, and a watch that never pauses."""

from itertools import islice

import pytest
from made_runs import staircase

from slingshot_analysis.watching import source, watcher


@pytest.fixture
def without_pauses(monkeypatch):
    """Read and analyze at each look, however long it takes."""
    monkeypatch.setattr(source, "READING_SHARE", 1e9)
    monkeypatch.setattr(watcher, "ANALYSIS_SHARE", 1e9)


@pytest.fixture
def growing_log(tmp_path):
    """Give a CSV file, and a function that writes the rows of the staircase up to a step."""
    path = tmp_path / "run.csv"
    step, norm, loss = staircase()
    path.write_text("step,weight_norm,train_loss\n")

    rows = iter([f"{row[0]},{row[1]},{row[2]}\n" for row in zip(step, norm, loss, strict=True)])

    def grow(end, path=path):
        with path.open("a") as file:
            file.writelines(islice(rows, end // 10 - grow.written))
        grow.written = end // 10

    grow.written = 0

    return path, grow
