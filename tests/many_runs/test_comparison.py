"""Runs side by side: the pooled tests, the table, and what can be written as JSON."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import staircase
from scipy import stats

from slingshot_analysis import Signal, analyze, gain_association
from slingshot_analysis.association import (
    association_test,
    lag_summary,
    near_window,
    pool_associations,
    pool_gain_associations,
)
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import AccuracyJump
from slingshot_analysis.many_runs.comparison import compare_runs

LAST = 50_000
EVALUATED = np.arange(0, LAST + 1, 400)
GAINED = np.linspace(0.5, 0.6, len(EVALUATED))


def analysis(name, transitions=(), jumps=(), *, verdict=None, grokking_step=None, last=LAST, terminal=1000):
    span = (terminal, last)
    return SimpleNamespace(
        name=name,
        path=f"{name}.h5",
        config={},
        best_val_accuracy_before=0.5,
        best_val_accuracy_after=0.6 if transitions else None,
        final_val_accuracy=0.55,
        steps=(0, last),
        verdict=verdict or ("slingshots" if transitions else "none"),
        terminal_phase_start=terminal,
        grokking_step=grokking_step,
        accuracy_jumps=tuple(AccuracyJump(step, 0.5, 0.6) for step in jumps),
        certain=tuple(SimpleNamespace(transition=at) for at in transitions),
        certain_spikes=(),
        loss_spikes=(),
        spike_score=None,
        spike_score_1000=None,
        gradient_spike_score_1000=None,
        association=association_test(jumps, transitions, near_window(400, span), span),
        gain_association=gain_association(EVALUATED, GAINED, transitions, span),
    )


def changed(run, **changes):
    return SimpleNamespace(**vars(run) | changes)


RUNS = [
    analysis("a", [8000, 21_000], [8200, 21_400], grokking_step=21_400),
    analysis("b", [12_000, 30_000, 44_000], [30_200, 5000], grokking_step=44_000),
    analysis("c", [17_000, 39_000], [17_300]),
    analysis("d", [], [26_000]),
    analysis("e", [], []),
    analysis("f", [], [], verdict="undecided", grokking_step=30_000),
]


def test_one_row_for_each_run():
    table = compare_runs(RUNS).runs
    assert table["name"].tolist() == list("abcdef")
    assert table["verdict"].tolist() == ["slingshots"] * 3 + ["none"] * 2 + ["undecided"]
    assert table["slingshots"].tolist() == [2, 3, 2, 0, 0, 0]
    assert table["first_transition"].dropna().tolist() == [8000, 12_000, 17_000]
    assert table["jumps"].tolist() == [2, 2, 1, 1, 0, 0]
    assert table["jumps_near"].tolist() == [2, 1, 1, 0, 0, 0]
    assert table["p_value"][0] == RUNS[0].association.p_value
    assert table["p_value"].isna().tolist() == [False] * 3 + [True] * 3


def test_parts_agree_with_what_they_are_made_of():
    found = compare_runs(RUNS)
    associations = [run.association for run in RUNS]
    assert found.association == pool_associations(associations)
    assert found.gain_association == pool_gain_associations([run.gain_association for run in RUNS])
    assert found.lags == lag_summary(associations)
    assert (found.shift.hits, found.shift.jumps, found.shift.transitions) == (4, 6, 7)
    assert found.shift.p_value < 0.05
    assert (found.swap.runs, found.swap.hits, found.swap.permutations) == (6, 4, 720)
    # Only permutations that leave a, b and c alone keep all four hits.
    assert found.swap.p_value == found.swap.smallest_p == pytest.approx(6 / 720)


def test_undecided_runs_are_left_out_of_the_table_and_counted():
    found = compare_runs(RUNS)
    table = found.contingency
    assert (table.both, table.slingshot_only, table.grokked_only, table.neither) == (2, 1, 0, 2)
    assert found.undecided == 1
    assert table.fisher_greater == pytest.approx(stats.fisher_exact([[2, 1], [0, 2]], alternative="greater").pvalue)
    diverged = compare_runs([*RUNS, changed(RUNS[4], verdict="diverged")]).contingency
    assert (diverged.neither, diverged.slingshot_only) == (3, 1)


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        (RUNS[:1], "at least 2"),
        ([*RUNS, analysis("short", [8000], [8200], last=40_000)], "same length and evaluation schedule"),
        ([RUNS[0], changed(RUNS[1], association=replace(RUNS[1].association, window=(-100, 1000)))], "window"),
    ],
)
def test_runs_that_can_not_be_swapped(runs, why):
    found = compare_runs(runs)
    assert found.swap is None
    assert found.skipped[0].what == "swap of runs"
    assert why in found.skipped[0].why
    assert "run_swap_p" in found.summary()["quantity"].tolist()


def test_terminal_phases_that_differ_do_not_hinder_a_swap():
    late = analysis("late", [30_000], [30_300], terminal=20_000)
    assert compare_runs([RUNS[0], late]).swap.hits == 3


def test_jumps_before_the_terminal_phase_do_not_count():
    early = changed(RUNS[0], accuracy_jumps=(AccuracyJump(600, 0.1, 0.5), *RUNS[0].accuracy_jumps))
    assert compare_runs([early]).shift == compare_runs([RUNS[0]]).shift


@given(st.permutations(range(6)))
@settings(max_examples=10, deadline=None)
def test_order_of_runs_does_not_matter(order):
    found, shuffled = compare_runs(RUNS, resamples=50), compare_runs([RUNS[i] for i in order], resamples=50)
    assert shuffled.association.p_value == pytest.approx(found.association.p_value)
    assert shuffled.shift.p_value == pytest.approx(found.shift.p_value)
    assert (shuffled.swap, shuffled.lags, shuffled.contingency) == (found.swap, found.lags, found.contingency)


@pytest.mark.parametrize("runs", [RUNS, RUNS[3:], RUNS[:1]])
def test_summary_json_and_html(runs):
    found = compare_runs(runs)
    table = found.summary().set_index("quantity")
    assert table.loc["both", "value"] == found.contingency.both
    assert table.loc["median_lag", "runs"] == found.lags.median_lag.runs
    expected = found.association.p_value
    assert table.loc["association_p", "value"] == (
        expected if expected is not None else pytest.approx(np.nan, nan_ok=True)
    )
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [run["name"] for run in document["runs"]] == [run.name for run in runs]
    assert document["runs"][-1]["grokking_step"] == runs[-1].grokking_step
    assert document["association"]["p_value"] == expected
    assert document["contingency"]["neither"] == found.contingency.neither
    assert document["contingency"]["odds_ratio"] is None
    assert document["undecided"] == found.undecided
    assert f"<b>Comparison</b> of {len(runs)} runs" in found._repr_html_()


def test_names_are_escaped_in_html():
    assert "<script>" not in compare_runs([changed(RUNS[0], name="<script>")])._repr_html_()


def test_analyzed_signals():
    """Three runs with a spike in norm, loss and validation accuracy, and a quiet one."""

    def run(at):
        step, norm, loss = staircase(at, steps=20_000)
        accuracy = np.where(step < (at or 30_000) + 100, 0.3, 0.97)
        return analyze(
            {
                "last_layer_norm": Signal(step, norm),
                "train_loss": Signal(step, loss),
                "train_accuracy": Signal(step, np.where(step < 500, 0.5, 1.0)),
                "val_accuracy": Signal(step[::20], accuracy[::20]),
            }
        )

    found = compare_runs([run(at) for at in (8000, 12_000, 15_000, None)])
    assert found.runs["first_transition"].tolist()[:3] == [8000, 12_000, 15_000]
    assert (found.contingency.both, found.contingency.neither) == (3, 1)
    assert found.lags.median_lag.value == pytest.approx(200, abs=200)
    assert found.association.p_value < 0.01
    assert found.swap.p_value == found.swap.smallest_p


def test_no_runs():
    with pytest.raises(InputError, match="got none"):
        compare_runs([])
