"""The analysis of one run: what it takes, what counts, and what it says of accuracies."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from slingshot_analysis import InputError, Options, Signal, analyze, compare_runs
from slingshot_analysis.many_runs import runs_table
from slingshot_analysis.report.figure import draw
from slingshot_analysis.report.text import print_analyses

STEP = np.arange(0, 20_000, 10)
LOSS = np.exp(-STEP / 400) + 1e-9 + np.where(STEP >= 9000, np.exp((9000 - STEP) / 200), 0)


def run(scale=1.0, options=None, **more):
    """Return a run with a spike at 9,000 and a jump of the validation accuracy with it, its steps scaled."""
    step = STEP * scale
    accuracy = Signal(step, np.where(STEP < 9050, 0.5, 0.9))
    return analyze({"train_loss": Signal(step, LOSS), "val_accuracy": accuracy} | more, options=options or Options())


SENSITIVE = Options(min_spike_ratio=3)


def low_spike(at):
    """Return a spike so low that only sensitive options list it, with a confidence at which it does not count."""
    return 5e-6 * np.where(at <= STEP, np.exp((at - STEP) / 200), 0)


def doubtful():
    """Return a run with a sure transition at 9,000, and one at 15,000 so low that it is hardly one."""
    return run(batch_loss=Signal(STEP, LOSS + low_spike(15_000)), options=SENSITIVE)


def test_fractional_steps_go_through_tables_text_and_figure(tmp_path):
    epochs = run(1 / 7)
    whole = run()
    assert epochs.steps == (0, 19_990 / 7)
    assert [s.transition for s in epochs.certain] == [pytest.approx(9000 / 7)]
    table = runs_table([epochs, whole])
    assert table["first_transition"].tolist() == [pytest.approx(9000 / 7), 9000]
    assert str(runs_table([whole])["first_transition"].dtype) == "Int64"
    console = Console(width=160, record=True, file=io.StringIO())
    print_analyses([epochs, epochs, whole], console)
    assert "1,285.71" in console.export_text()
    draw(epochs, {"train_loss": Signal(STEP / 7, LOSS)}, tmp_path / "run.png")


@pytest.mark.parametrize("scale", [1, 1 / 97])
def test_near_and_far_are_told_apart_in_any_unit_of_the_step(scale):
    found = run(scale).association
    assert found.jumps_near_transitions == found.jumps == 1
    assert found.p_value < 0.15


def test_what_is_not_sure_counts_nowhere():
    found = doubtful()
    sure, unsure = found.slingshots
    assert sure.confidence >= 0.5 > unsure.confidence
    assert found.certain == (sure,)
    assert found.association.transitions == 1
    table = runs_table([found])
    assert (table["slingshots"][0], table["first_transition"][0]) == (1, sure.transition)
    assert compare_runs([found, found]).association.transitions == 2


def test_gain_is_that_of_the_terminal_phase_and_counts_sure_transitions():
    found = doubtful()
    assert [(climb.onset, climb.end) for climb in found.accuracy_climbs] == [(9040, 9050)]
    assert (found.gain_association.cycles, found.gain_association.early_share) == (1, pytest.approx(1.0))
    assert found.gain_by_phase["other"] == pytest.approx(found.gain_association.gain) == 0.4
    early = Signal(STEP, np.interp(STEP, [0, 8000], [0.1, 0.4]))
    errors = Signal(STEP, np.where(STEP < 4000, 50, 0))
    assert run(val_accuracy=early, train_errors=errors).gain_association.gain == pytest.approx(0.15)
    assert compare_runs([found, found]).gain_association.p_value == 0.25
    console = Console(width=160, record=True, file=io.StringIO())
    print_analyses([found, found], console)
    text = console.export_text()
    assert "validation accuracy climbs from 9,040 to 9,050 (0.500 → 0.900)" in text
    assert "0.400, 100% in first halves of 1 cycle (50% by chance), p = 0.5" in text
    assert "0.800, 100% in first halves of 2 cycles (50% by chance), p = 0.25" in text


def test_without_evaluations_there_is_no_gain():
    found = analyze({"train_loss": Signal(STEP, LOSS)})
    assert (found.gain_association, found.accuracy_climbs, found.gain_by_phase) == (None, (), {})
    assert compare_runs([found]).gain_association is None


def test_accuracies_before_and_after_are_split_at_a_sure_transition():
    step = np.arange(0, 20_000, 500)
    accuracy = Signal(step, np.where(step < 15_000, 0.5, 0.9))
    loss = Signal(STEP, np.exp(-STEP / 400) + 1e-9 + low_spike(9000))
    found = analyze({"train_loss": loss, "val_accuracy": accuracy}, options=SENSITIVE)
    assert [s.confidence < 0.5 for s in found.slingshots] == [True]
    assert (found.best_val_accuracy_before, found.best_val_accuracy_after) == (0.9, None)


def test_the_final_accuracy_is_that_of_the_last_step():
    shuffled = np.random.default_rng(0).permutation(100)
    found = analyze({"val_accuracy": Signal(shuffled * 10, shuffled / 100)})
    assert found.final_val_accuracy == 0.99


def test_pairs_of_step_and_value_are_signals():
    assert analyze({"train_loss": (STEP, LOSS)}) == analyze({"train_loss": Signal(STEP, LOSS, "train_loss")})
    with pytest.raises(InputError, match=r"signal 'batch_loss': got ndarray; give a Signal, or a pair"):
        analyze({"train_loss": (STEP, LOSS), "batch_loss": LOSS})


def test_a_table_or_arrays_are_analyzed_as_the_log_that_they_are(tmp_path):
    table = pd.DataFrame({"step": STEP, "train_loss": LOSS})
    table.to_csv(tmp_path / "run.csv", index=False)
    expected = analyze({"train_loss": (STEP, LOSS)})
    with (tmp_path / "run.csv").open() as file:
        for given in (
            table,
            {"step": STEP, "train_loss": LOSS},
            {"train_loss": table.set_index("step").train_loss},
            file,
        ):
            found = analyze(given)
            assert (found.steps, found.verdict, found.slingshots) == (
                expected.steps,
                expected.verdict,
                expected.slingshots,
            )


def test_one_step_is_no_run():
    with pytest.raises(InputError, match=r"run: all rows stand at step 7, .* two steps or more"):
        analyze({"train_loss": ([7, 7], [1.0, 2.0])})


def test_evaluations_at_one_step_are_skipped():
    found = analyze({"train_loss": (STEP, LOSS), "val_accuracy": ([50, 50], [0.3, 0.4])})
    assert found.final_val_accuracy == 0.4
    assert any("fewer than two evaluations" in one.why for one in found.skipped)


def test_spikes_at_a_resting_norm_are_no_slingshots():
    step = np.arange(0, 20_000, 10)
    norm = np.exp(np.interp(step, [0, 500, 8000, 9000, 20_000], [0, 1, 1.01, 1.5, 1.51]))
    spikes = sum(np.where(step >= at, np.exp((at - step) / 150), 0) for at in (9000, 13_000, 16_000, 18_500))
    loss, accuracy = np.exp(-step / 400) + 1e-9 + spikes, np.where(step[::10] < 9050, 0.5, 0.9)
    found = analyze(
        {"last_layer_norm": (step, norm), "batch_loss": (step, loss), "val_accuracy": (step[::10], accuracy)}
    )
    assert [s.transition for s in found.certain] == [9000]
    assert [s.transition for s in found.certain_spikes] == [13_000, 16_000, 18_500]
    assert (found.association.transitions, found.association.jumps_near_transitions) == (1, 1)
    assert (found.spike_association.transitions, found.spike_association.jumps_near_transitions) == (3, 0)
    table = runs_table([found])
    assert table[["slingshots", "spikes_without_norm_growth"]].iloc[0].tolist() == [1, 3]
    starts = {phase.start for phase in found.phases if phase.kind == "growth"}
    assert {s.growth_start for s in found.certain} <= starts
