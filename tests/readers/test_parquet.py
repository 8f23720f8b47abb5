from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._raw import RawRun
from slingshot_analysis.readers.parquet import ParquetReader


@pytest.fixture
def written(tmp_path: Path) -> Path:
    pytest.importorskip("pyarrow", reason="the optional extra [parquet] is not installed")
    frame = pd.DataFrame({"step": [0, 10, 20], "loss": [0.1, np.nan, 0.3], "done": [False, False, True], "opt": "adam"})
    frame.to_parquet(tmp_path / "log.parquet", engine="pyarrow")
    return tmp_path / "log.parquet"


def read(path: Path) -> list[RawRun]:
    assert ParquetReader().recognizes(path, path.read_bytes()[: 2**16])
    return ParquetReader().read(path)


def test_what_pandas_wrote(written: Path) -> None:
    (run,) = read(written)
    assert list(run.columns) == ["step", "loss", "done"]
    np.testing.assert_array_equal(
        [column.values for column in run.columns.values()], [[0, 10, 20], [0.1, math.nan, 0.3], [0, 0, 1]]
    )
    assert run.attributes == {"opt": "adam"}


def test_what_pyarrow_wrote_with_seeds_and_missing_integers(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="the optional extra [parquet] is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="the optional extra [parquet] is not installed")
    table = arrow.table(
        {
            "seed": arrow.array([3, 3, 5, 5], arrow.int8()),
            "step": [0, 1, 0, 1],
            "errors": arrow.array([7, None, 9, 10], arrow.int64()),
            "when": arrow.array([0, 1, 2, 3], arrow.timestamp("s")),
        }
    )
    parquet.write_table(table, tmp_path / "log.parquet")
    runs = read(tmp_path / "log.parquet")
    assert [run.name for run in runs] == ["seed 3", "seed 5"]
    np.testing.assert_array_equal(runs[0].columns["errors"].values, [7, math.nan])
    np.testing.assert_array_equal(runs[1].columns["errors"].values, [9, 10])
    assert list(runs[1].columns) == ["step", "errors"]


def test_a_long_table_and_a_named_index(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="the optional extra [parquet] is not installed")
    index = pd.Index([0, 0, 10], name="step")
    pd.DataFrame({"metric": pd.Categorical(["loss", "acc", "loss"]), "value": [4, 0, 2]}, index=index).to_parquet(
        tmp_path / "log.parquet"
    )
    (run,) = read(tmp_path / "log.parquet")
    found = {
        name: (column.step.tolist(), column.values.tolist())
        for name, column in run.columns.items()
        if column.step is not None
    }
    assert found == {"loss": ([0, 10], [4, 2]), "acc": ([0], [0])}


def test_a_cut_anywhere_is_refused(written: Path) -> None:
    data = written.read_bytes()
    for end in range(0, len(data), 97):
        written.write_bytes(data[:end])
        with pytest.raises(InputError) as caught:
            ParquetReader().read(written)
        assert str(caught.value).startswith(f"{written}: ")
        assert "\n" not in str(caught.value)


def test_without_pyarrow_the_error_names_the_extra(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r'needs pyarrow: pip install "slingshot-analysis\[parquet\]"'):
        ParquetReader().read(written)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    for content, message in ((b"", "empty"), (b"step,loss\n0,1\n", "is not Parquet"), (b"\0" * 99, "is not Parquet")):
        path.write_bytes(content)
        assert not ParquetReader().recognizes(path, content)
        with pytest.raises(InputError, match=message):
            ParquetReader().read(path)
