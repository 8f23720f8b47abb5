"""Every detector gives a clear result or a clear error for any input."""

import functools
import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slingshot_analysis import detectors, slingshots
from slingshot_analysis.canonical import canonical
from slingshot_analysis.errors import InputError


def _keyword(function, name, **more):
    return functools.wraps(function)(lambda step, value: function(step, **{name: value}, **more))


DETECTORS = {
    "canonical": canonical,
    "segment_norm": detectors.segment_norm,
    "norm_breaks": detectors.norm_breaks,
    "loss spikes": detectors.detect_loss_spikes,
    "terminal phase": detectors.terminal_phase_start,
    "terminal phase, accuracy": _keyword(detectors.terminal_phase_start, "train_accuracy"),
    "misclassification": detectors.detect_misclassification,
    "misclassification, batches": _keyword(detectors.detect_misclassification, "batch_errors", after=0),
    "accuracy jumps": detectors.detect_accuracy_jumps,
    "grokking": _keyword(detectors.grokking_step, "accuracy", terminal_phase_start=1),
    "grokking sensitivity": _keyword(detectors.grokking_sensitivity, "accuracy", terminal_phase_start=1),
    "growth law": detectors.fit_log_growth,
    "feature bursts": detectors.detect_feature_bursts,
    "curvature peaks": detectors.detect_curvature_peaks,
    "divergence": detectors.detect_divergence,
    "instability": detectors.detect_instability,
    "slingshots, norm": slingshots.detect_slingshots,
    "slingshots, loss": _keyword(slingshots.detect_slingshots, "train_loss"),
    "slingshots, batches": lambda step, value: slingshots.assemble(step, value, batch_loss=value, batch_errors=value),
    "slingshots, accuracy": lambda step, value: slingshots.assemble(step, value, train_accuracy=value),
}
anything = st.floats(allow_nan=True, allow_infinity=True)
fraction = st.one_of(st.floats(0, 1), st.just(float("nan")), st.sampled_from([0.0, 1.0]))
rows = st.one_of(
    st.lists(st.tuples(st.integers(-5, 40), anything), max_size=40),
    st.lists(st.tuples(st.floats(0, 1e6), fraction), max_size=60),
    st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([0.0, 1e-9, 1.0, 7.0])), max_size=60),
)


def test_no_detector_is_left_out():
    tested = {inspect.unwrap(detector) for detector in DETECTORS.values()}
    packages = detectors, slingshots
    assert {getattr(p, name) for p in packages for name in p.__all__ if name.startswith("detect_")} <= tested


@pytest.mark.parametrize("name", DETECTORS)
@settings(max_examples=60, deadline=None)
@given(rows=rows)
def test_any_input_gives_a_result_or_an_input_error(name, rows):
    step, value = [row[0] for row in rows], [row[1] for row in rows]
    try:
        first = DETECTORS[name](step, value)
    except InputError:
        return
    if len(set(step)) == len(step) and name != "canonical":
        assert DETECTORS[name](step[::-1], value[::-1]) == first


@pytest.mark.parametrize("name", [name for name in DETECTORS if name != "canonical"])
@pytest.mark.parametrize("value", [[], [0.5], [0.5, 0.5], [0.5] * 50, [0.0] * 50, [float("nan")] * 5])
def test_little_or_constant_input_gives_nothing(name, value):
    found = DETECTORS[name](range(len(value)), value)
    if name == "segment_norm":
        assert [phase.kind for phase in found] in ([], ["plateau"])
    elif name.startswith("terminal"):
        assert found in (None, 0)
    elif name == "divergence":
        assert found == (0 if value and np.isnan(value[0]) else None)
    elif name.startswith("misclassification"):
        assert len(found) <= 1
    elif name == "grokking sensitivity":
        assert set(found.values()) == {None}
    else:
        assert not getattr(found, "slingshots", found)


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize(
    ("step", "value"),
    [
        ([1, 2], [1.0]),
        ([[1, 2]], [[1.0, 2.0]]),
        ([1, 2], ["a", "b"]),
        ([1, 2], [1j, 2j]),
        ([1, float("inf")], [1.0, 2.0]),
        ([1, 2], [object(), 1.0]),
        (["1", "2"], [1.0, 2.0]),
    ],
)
def test_input_that_fits_no_detector_is_an_input_error(name, step, value):
    with pytest.raises(InputError):
        DETECTORS[name](step, value)


def test_canonical_sorts_and_keeps_the_last_of_duplicates():
    step, value = canonical([3, 1, 2, 1, float("nan")], [30, 10, float("nan"), 11, 5])
    assert step.tolist() == [1.0, 3.0]
    assert value.tolist() == [11.0, 30.0]
