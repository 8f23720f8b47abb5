"""What stands in the terminal: the answer first, tables of bounded length, and what was not given once, at the end."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from slingshot_analysis import Signal, analyze
from slingshot_analysis.analysis import Skipped
from slingshot_analysis.diagnosis import Cause, Check, Diagnosis, Sign
from slingshot_analysis.events import NotFinite
from slingshot_analysis.report.text import print_analyses

STEP = np.arange(0, 20_000, 10)
NORM = np.exp(np.interp(STEP, [0, 500, 8000, 9000, 20_000], [0, 1, 1.01, 1.5, 1.51]))
LOSS = np.exp(-STEP / 400) + 1e-9 + np.where(STEP >= 9000, np.exp((9000 - STEP) / 200), 0)
CHANGE = 1e-4 * (1 + 50 * np.exp(-(((STEP - 9000) / 40) ** 2)))
RUN = analyze({
    "last_layer_norm": Signal(STEP, NORM), "batch_loss": Signal(STEP, LOSS), "feature_change": Signal(STEP, CHANGE),
    "update_sharpness": Signal(STEP, np.where(abs(STEP - 9000) < 100, 80.0, 10.0)),
    "val_accuracy": Signal(STEP[::10], np.where(STEP[::10] < 9050, 0.5, 0.9)),
})  # fmt: skip


def run(name="run", **changes):
    return replace(RUN, name=name, **changes)


def printed(*analyses, width=160, full=False):
    console = Console(width=width, record=True, file=io.StringIO())
    print_analyses(analyses, console, full=full)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_the_first_lines_say_what_happened_and_how_sure_that_is():
    head, answer, cause, *rest = printed(run())
    assert head == "run  steps 0 to 19,990  verdict: slingshots"
    assert answer.startswith("  1 slingshot with confidence 1.00; 1 loss spike, at 9,000: recovered")
    assert cause.startswith("  cause: not decided; first candidate: ")
    fitted = next(at for at, line in enumerate(rest) if line.endswith("no grokking"))
    assert rest[fitted + 1].startswith("  validation accuracy jumps at 9,100 (0.500 → 0.900); 1 of 1 within [-")


QUIET = {"slingshots": (), "loss_spikes": (), "diagnosis": Diagnosis(False, ()), "verdict": "none"}


def test_a_run_without_anything_to_explain_says_so_and_no_more():
    lines = printed(run(**QUIET))
    assert lines[1] == "  no slingshot and no loss spike: there is nothing to explain"
    assert not any("cause" in line or "not logged" in line for line in lines)
    (phases,) = [line for line in lines if "phases of the norm" in line]
    assert not any(line.startswith("phase ") for line in lines)
    assert phases.endswith("growth, 2 plateau")


@pytest.mark.parametrize(("decided", "words"), [(True, "  but likely: moments"), (False, "  but perhaps: moments")])
def test_a_cause_that_is_seen_without_an_event_is_no_cause_of_one(decided, words):
    cause = Cause("lost moments", "moments", (Sign("the second moment falls", 5.0),))
    lines = printed(run(**QUIET | {"diagnosis": Diagnosis(decided, (cause,))}))
    assert lines[1:4] == ["  no slingshot; no loss spike", words, "    for: the second moment falls"]


def test_what_is_lost_stands_in_the_second_line():
    lost = (NotFinite("gradient_norm", 600, None, 9), NotFinite("train_loss", 601, 640, 2))
    _, answer, cause, *rest = printed(run(**QUIET | {"not_finite": lost, "verdict": "diverged"}))
    assert answer == "  no slingshot; no loss spike; gradient_norm is not finite from 600 to the end"
    assert cause == "  cause: not decided; nothing in this log speaks for one of the known causes"
    assert (
        rest[0]
        == "  not finite: gradient_norm from 600 to the end (9 values), train_loss from 601 up to 640 (2 values)"
    )
    assert printed(run(**QUIET | {"verdict": "diverged"}))[1].endswith("no loss spike; the loss rises for good")


def test_without_a_loss_spikes_are_not_seen():
    lines = printed(run(**QUIET | {"verdict": "undecided", "signals": {}}))
    assert lines[1] == "  no slingshot; no loss was logged, so spikes are not seen"


def test_outcomes_are_counted_where_they_differ():
    (spike,) = RUN.loss_spikes
    three = [replace(spike, outcome=outcome) for outcome in ("recovered", "diverged", "recovered")]
    assert "; 3 loss spikes in all: 2 recovered, 1 diverged" in printed(run(loss_spikes=tuple(three)))[1]
    assert "; 2 loss spikes, both recovered" in printed(run(**QUIET | {"loss_spikes": (spike, spike)}))[1]


def test_what_to_log_stands_once_for_all_runs_with_their_counts():
    both, one = Check("learning rate", "whether it rose"), Check("update norm", "whether it grew")
    runs = [run(name, diagnosis=Diagnosis(False, (), (), own)) for name, own in [("a", (both, one)), ("b", (both,))]]
    lines = printed(*runs)
    at = lines.index("not logged, and would tell more:")
    assert lines[at + 1 : at + 3] == [
        "  learning rate: whether it rose",
        "  update norm (in 1 of 2 runs): whether it grew",
    ]
    assert lines.count("not logged, and would tell more:") == 1
    assert at > max(number for number, line in enumerate(lines) if line.startswith(("a ", "b ")))


def test_doubtful_slingshots_are_told_apart():
    (event,) = RUN.slingshots
    events = tuple(replace(event, transition=at, confidence=sure) for at, sure in [(5000, 0.2), (7000, 0.6), (9000, 1)])
    assert "  2 slingshots with confidence 0.60 to 1.00 and 1 doubtful (confidence below 0.5)" in printed(
        run(slingshots=events)
    )[1]  # fmt: skip
    assert printed(run(slingshots=()))[1].startswith("  no slingshot;")


def test_spikes_without_norm_growth_are_listed_apart():
    (event,) = RUN.slingshots
    event = replace(event, growth_start=None)
    spikes = (replace(event, transition=50, confidence=0.9), replace(event, transition=70, confidence=0.2))
    lines = printed(run(slingshots=(), spikes_without_norm_growth=spikes, verdict="spikes"))
    assert lines[0].endswith("verdict: spikes")
    assert lines[1] == "  no slingshot; 1 loss spike, at 9,000: recovered; the norm does not grow before it"
    below = lines[lines.index("  loss spikes without norm growth:") + 2 :]
    assert [line.split()[:2] for line in below[:2]] == [["-", "50"], ["-", "70"]]


def test_slingshots_without_a_norm_are_said_to_be_so():
    assert "no norm was logged, so growth is not seen" in printed(run(signals={"batch_loss": "loss"}))[1]
    assert "no norm was logged" not in printed(run())[1]


def rows_below(lines, *heading):
    """Return the rows of the table whose heading begins with these words."""
    (at,) = [i for i, line in enumerate(lines) if line.split()[: len(heading)] == list(heading)]
    return [line.split() for line in lines[at + 1 :]]


def test_phases_are_printed_with_their_norms_and_rates():
    rows = rows_below(printed(run()), "phase", "start", "end")
    for row, phase in zip(rows, RUN.phases, strict=False):
        low, high = (f"{norm:.3g}" for norm in phase.norm)
        assert row[:7] == [phase.kind, f"{phase.start:,}", f"{phase.end:,}", low, "→", high, f"{phase.rate:+.1e}"]
    growth = next(phase for phase in RUN.phases if phase.kind == "growth" and phase.end > 8900)
    inside = (growth.start <= STEP) & (growth.end > STEP)
    assert growth.norm == (NORM[inside][0], NORM[inside][-1])
    (excess,) = [fit.excess for fit in RUN.norm_growth if fit.start == growth.start]
    expected = [f"{excess:.3g}"] if excess < 1000 else [">", "1,000"]
    assert [row[7:] for row in rows if row[:2] == ["growth", f"{growth.start:,}"]] == [expected]


def test_peaks_are_printed():
    lines = printed(run())
    assert "  1 feature burst, peak and height: 9,000 (51 times)" in lines
    assert "  1 curvature peak, peak and height: 8,910 (8 times)" in lines


def test_long_tables_are_cut():
    (event,) = RUN.slingshots
    events = tuple(replace(event, transition=100 * i) for i in range(25))
    long = run(slingshots=events, phases=RUN.phases[:1] * 30)
    for lines, slingshots, phases in ((printed(long), 10, 6), (printed(long, full=True), 25, 30)):
        assert ("  and 15 more: full=True shows all" in lines) == (slingshots == 10)
        assert any("; the first 6:" in line for line in lines) == (phases == 6)
        kind = RUN.phases[0].kind
        assert sum(row[:1] == [kind] for row in rows_below(lines, "phase", "start", "end")) == phases
        assert sum(row[-2:] == ["staircase", "1.00"] for row in rows_below(lines, "growth", "from")) == slingshots


def test_notes_that_runs_share_stand_once_at_the_end():
    runs = [
        run("a", notes=("rounded", "own")),
        run("b", notes=("rounded", "rows left out")),
        run("c", notes=("rounded",)),
    ]
    lines = printed(*runs, run("d", notes=("rows left out",)))
    at = lines.index("notes on several runs:")
    assert lines[at + 1 : at + 3] == ["  in 3 of 4: rounded", "  in 2 of 4: rows left out"]
    assert [sum(word in line for line in lines) for word in ("rounded", "rows left out", "own")] == [1, 1, 1]
    assert "  in all: rounded" in printed(*runs)
    assert "  rounded" in printed(runs[0])


def test_what_takes_several_rows_keeps_its_indent():
    lines = printed(run(notes=("word " * 40,)), width=100)
    assert all(line.startswith("  word word") for line in lines if "word" in line)


def test_grokking_is_told_only_where_the_accuracy_was_logged():
    assert any(line.endswith("; no grokking") for line in printed(run()))
    assert not any("no grokking" in line for line in printed(run(signals={"batch_loss": "loss"})))


def test_what_was_not_given_stands_once_at_the_end():
    absent, damaged = Skipped("train_errors", "not given"), Skipped("configuration", "it is not JSON")
    runs = [run("a", skipped=(absent, Skipped("norm", "not given"))), run("b", skipped=(absent, damaged))]
    *_, first, second = printed(*runs)
    assert first == "train_errors, norm: not given"
    assert second == "configuration (in 1 of 2 runs): it is not JSON"
    assert sum("not given" in line for line in printed(*runs)) == 1


def sweep(*hits, key="optimizer.eps", values=(1e-8, 1e-6)):
    return [
        run(f"{value}-{seed}", verdict="slingshots" if seed < hit else "none", config={key: value, "seed": seed})
        for hit, value in zip(hits, values, strict=True)
        for seed in range(3)
    ]


def test_a_key_that_differs_is_tested_against_slingshots():
    lines = printed(*sweep(3, 0))
    tested = "slingshots by optimizer.eps: 1e-08 3 of 3, 1e-06 0 of 3; p = 0.031 (Boschloo), p = 0.1 (Fisher)"
    assert f"{tested}; the smallest that so few runs can reach is 0.031" in lines
    assert not any("p = 1" in line for line in lines)


def test_too_few_runs_are_said_to_be_too_few():
    lines = printed(*[one for one in sweep(1, 0) if one.config["seed"] == 0])
    (line,) = [line for line in lines if line.startswith("slingshots by")]
    assert line.endswith("so few runs can't show it: the smallest possible p is 0.5")


@pytest.mark.parametrize(("hits", "words"), [((3, 3), "every run has"), ((0, 0), "no run has")])
def test_where_all_runs_are_alike_no_key_is_tested(hits, words):
    assert f"no key of the configuration is tested: {words} slingshots" in printed(*sweep(*hits))
