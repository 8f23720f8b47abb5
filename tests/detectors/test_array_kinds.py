"""Detectors take lists, NumPy arrays, pandas and polars Series alike."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from slingshot_analysis import detect_loss_spikes, detect_slingshots, segment_norm

STEP = np.arange(0, 10_000, 10)
NORM = np.exp(np.interp(STEP, [0, 500, 5000, 6000, 10_000], [0, 1, 1.01, 1.5, 1.51]))
LOSS = np.exp(-STEP / 300) + np.where(STEP >= 6000, np.exp((6000 - STEP) / 200), 0)
KINDS = {
    "list": lambda values: values.tolist(),
    "float32": lambda values: values.astype(np.float32),
    "pandas": pd.Series,
    "pandas with another index": lambda values: pd.Series(values, index=np.arange(len(values))[::-1]),
    "pandas nullable": lambda values: pd.Series(values).convert_dtypes(),
    "polars": pl.Series,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_is_found(kind):
    step, norm, loss = (KINDS[kind](values) for values in (STEP, NORM, LOSS))
    assert [s.transition for s in detect_slingshots(step, norm, train_loss=loss)] == [6000]
    assert [spike.start for spike in detect_loss_spikes(step, loss)] == [6000]
    assert [phase.kind for phase in segment_norm(step, norm)] == [phase.kind for phase in segment_norm(STEP, NORM)]


@pytest.mark.parametrize("missing", [pd.Series([1.0, None, 0.5], dtype="Float64"), pl.Series([1.0, None, 0.5])])
def test_missing_values_are_left_out(missing):
    assert segment_norm([0, 1, 2], missing) == []
