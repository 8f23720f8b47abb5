"""Detectors take lists, NumPy arrays, pandas and polars Series alike."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from made_runs import staircase

from slingshot_analysis import InputError, Signal, detect_loss_spikes, detect_slingshots, segment_norm
from slingshot_analysis.canonical import canonical

STEP, NORM, LOSS = staircase(6000)
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


READ = {
    "signal": lambda step, value: Signal(step, value).value,
    "detector": lambda step, value: canonical(step, value)[1],
}


@pytest.mark.parametrize("read", READ.values(), ids=READ)
def test_tensors_of_a_graph_are_read_and_what_numpy_has_no_type_for_is_an_input_error(read):
    losses = torch.tensor([3.0, 2.0, 1.0], requires_grad=True)
    assert read([0, 1, 2], losses).tolist() == [3, 2, 1]
    assert read([0, 1, 2], [2 * loss for loss in losses]).tolist() == [6, 4, 2]
    with pytest.raises(InputError, match="BFloat16"):
        read([0, 1, 2], losses.bfloat16())


@pytest.mark.parametrize("dtype", [float, int])
def test_what_is_masked_was_not_measured(dtype):
    loss = np.ma.array([3, 10**6, 1], dtype=dtype, mask=[False, True, False])
    np.testing.assert_array_equal(Signal([0, 1, 2], loss).value, [3, np.nan, 1])
    assert [part.tolist() for part in canonical([0, 1, 2], loss)] == [[0, 2], [3, 1]]


@pytest.mark.parametrize("dtype", ["Int64", "Float64"])
def test_what_pandas_has_no_number_for_was_not_measured(dtype):
    loss = pd.array([3, None, 1], dtype=dtype)
    np.testing.assert_array_equal(Signal([0, 1, 2], loss).value, [3, np.nan, 1])
