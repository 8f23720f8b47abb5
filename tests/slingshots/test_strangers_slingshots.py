"""Small logs in shapes that others write, against the right answers of their README."""

import numpy as np
import pytest
from outside import outside

from slingshot_analysis import analyze, read_log

TWELVE_FIFTY = np.linspace(1100, 23_600, 19)
"""Nineteen transitions, one every 1,250 steps."""


def found(name):
    analysis = analyze(read_log(outside(f"strangers/{name}"))[0])
    return analysis, [event.transition for event in analysis.certain]


@pytest.mark.parametrize(
    "name",
    [
        "periodic_alternating_heights.csv",
        "periodic_alternating_heights_without_norm.csv",
        "periodic_total_norm.csv",
    ],
)
def test_regular_cycles(name):
    analysis, transitions = found(name)
    assert analysis.verdict == "slingshots"
    inside = [at for at in transitions if at < 24_500]  # one of the logs ends with a spike at 25,000
    np.testing.assert_allclose(inside, TWELVE_FIFTY, atol=250)
    assert len(transitions) - len(inside) == (name == "periodic_total_norm.csv")


def test_a_sparse_loss_removes_nothing():
    assert 25_775 in found("two_losses_one_sparse.csv")[1]


@pytest.mark.parametrize("name", ["sparse_loss_vetoes_batch_spike.csv", "two_cadences_step_in_one_gap.csv"])
def test_six_events(name):
    assert found(name)[1] == [3824, 8800, 10_784, 21_632, 25_984, 33_664]


def test_a_spike_that_rises_over_several_rows():
    analysis, transitions = found("slow_rise_spike.csv")
    assert (analysis.verdict, transitions) == ("slingshots", [19_600])
    assert [event.tier for event in analysis.certain] == ["loss_only"]  # the norm grows after it and not before
    (spike,) = analysis.spikes_without_norm_growth
    assert 37_250 <= spike.transition <= 37_600
    first, second = (spike.start for spike in analysis.loss_spikes)
    assert first == 19_600
    assert 37_250 <= second <= 37_600


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        ("slow_hump.csv", {"none"}),
        ("weight_decay_chaos.csv", {"unstable"}),
        ("relaxation_cycles.csv", {"slingshots", "unstable"}),
        ("llm_pretraining_spikes.csv", {"none", "spikes"}),
    ],
)
def test_verdicts(name, verdicts):
    analysis, transitions = found(name)
    assert analysis.verdict in verdicts
    assert transitions == [] or analysis.verdict == "slingshots"


def test_values_that_are_not_finite_are_named_and_are_no_events():
    analysis, transitions = found("nan_inf.jsonl")
    assert transitions == [3000, 6000]
    assert any(each.what == "train_loss" and "not finite" in each.why for each in analysis.skipped)
