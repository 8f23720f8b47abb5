"""The page of ``slingshot report`` without a browser: thinning, packing, words, and what the command does."""

import base64
import json
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from made_runs import staircase, write_staircase

from cli.main import main
from slingshot_analysis import InputError, Peak, Signal, analyze
from slingshot_analysis.many_runs import compare_runs, thin_curves
from slingshot_analysis.report.page import KeepRun, write_report
from slingshot_analysis.report.page.across import across_context
from slingshot_analysis.report.page.events import events_of
from slingshot_analysis.report.page.figure import figure_json, json_in_page
from slingshot_analysis.report.page.lags import by_chance
from slingshot_analysis.report.page.packing import packed_steps, packed_values
from slingshot_analysis.report.page.svg import Axis
from slingshot_analysis.report.page.thinning import on_grid, shared_grid

EVIL = "</script><script>alert(1)</script>"


def unpacked_steps(packed):
    numbers = np.frombuffer(base64.b64decode(packed["data"]), packed["type"])
    return numbers if packed["type"] == "float64" else np.cumsum([packed["first"], *numbers])


def unpacked_values(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


STEP, NORM, LOSS = staircase(stride=1)
RUN = {"last_layer_norm": Signal(STEP, NORM), "batch_loss": Signal(STEP, LOSS, unit="nat")}


@pytest.fixture(scope="module")
def found():
    return analyze(RUN)


@pytest.fixture(scope="module")
def kept(found):
    return KeepRun(100)(RUN, found)


@given(st.integers(1, 400), st.integers(0, 9999), st.lists(st.integers(0, 9999), max_size=5))
def test_no_spike_and_no_dip_of_one_step_is_lost(columns, at, events):
    step = np.arange(10_000.0)
    grid = shared_grid(step, columns, events)
    assert (np.diff(grid.step) > 0).all()
    for height in (1.0, -1.0):
        thin = on_grid(grid, step, np.where(step == at, height, 0.0))
        place = np.flatnonzero(thin == height)
        assert len(place) == 1
        assert abs(grid.step[place[0]] - at) <= 10_000 / columns + 1


def test_every_row_around_an_event_is_kept_and_the_most_important_events_first():
    step = np.arange(100_000.0)
    value = np.sin(step)
    grid = shared_grid(step, 500, events=[50_000, *range(0, 100_000, 1000)])
    thin = dict(zip(grid.step, on_grid(grid, step, value), strict=True))
    assert [thin[at] for at in range(49_936, 50_065)] == value[49_936:50_065].tolist()
    assert len(grid.step) < 2 * 500 + 2 * 500 + 50


def test_a_signal_of_another_cadence_stands_on_the_same_grid():
    step = np.arange(100_000.0)
    grid = shared_grid(step, 500, events=[50_000])
    rare, value = step[::10], np.arange(10_000.0)
    thin = on_grid(grid, rare, value)
    assert np.nanmax(thin) == 9999
    near = (grid.step >= 49_950) & (grid.step < 50_050)
    assert np.isnan(thin[near]).sum() == 90
    assert thin[near][np.isfinite(thin[near])].tolist() == value[4995:5005].tolist()


def test_what_is_not_finite_is_a_gap_and_no_value():
    step = np.arange(1000.0)
    value = np.where((step >= 400) & (step < 600), np.nan, 1.0)
    grid = shared_grid(step, 10)
    thin = on_grid(grid, step, value)
    assert grid.step[np.isinf(thin)].tolist() == [400, 450, 500, 550]
    assert set(thin[np.isfinite(thin)]) == {1.0}


@pytest.mark.parametrize("step", [[0, 1, 70_000], [5.0], [0.5, 1.5, 2.25], [0, 5e9], [-3, 2**53 + 2.0]])
def test_steps_survive_packing(step):
    assert unpacked_steps(packed_steps(np.array(step, dtype=float))).tolist() == step


def test_no_small_value_becomes_an_exact_zero():
    values = unpacked_values(packed_values(np.array([0.0, 1e-200, -1e-200, 1e200, np.inf])))
    assert values[0] == 0
    assert values[1] > 0 > values[2]
    assert np.isfinite(values[3])
    assert np.isinf(values[4])


def test_the_figure_has_what_was_recorded_and_nothing_else(found):
    data = json.loads(figure_json(found, RUN, 300))
    assert [panel["name"] for panel in data["panels"]] == ["norm", "loss"]
    assert data["panels"][1]["unit"] == "nat"
    assert [kind for kind, *_ in data["phases"]] == [phase.kind for phase in found.phases]
    assert [event["step"] for event in data["events"] if event["kind"] == "slingshot"] == [6000]
    thin = unpacked_values(data["panels"][1]["curves"][0]["value"])
    assert np.nanmax(thin) == np.float32(LOSS.max())


def test_a_run_with_only_a_loss_and_one_of_few_rows_have_figures():
    run = {"train_loss": Signal(np.arange(50) / 4, np.append(np.ones(49), 0.0))}
    data = json.loads(figure_json(analyze(run), run, 300))
    assert unpacked_steps(data["axes"][0]).tolist() == run["train_loss"].step.tolist()
    assert unpacked_values(data["panels"][0]["curves"][0]["value"])[-1] == 0


def test_a_loss_below_zero_has_a_linear_axis_and_its_own_unit():
    step = np.arange(100)
    run = {"train_loss": Signal(step, np.cos(step / 10), unit="bit")}
    (panel,) = json.loads(figure_json(analyze(run), run, 300))["panels"]
    assert (panel["scale"], panel["unit"]) == ("linear", "bit")


def test_thinning_takes_no_more_memory_for_more_signals(found):
    def peak(*names):
        signals = {name: Signal(STEP, LOSS) for name in names}
        tracemalloc.start()
        figure_json(found, signals, 20)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    few = "batch_loss", "last_layer_norm"
    more = "train_loss", "val_loss", "gradient_norm", "update_norm", "batch_errors", "train_errors", "feature_change"
    assert peak(*few, *more) < 1.5 * peak(*few)


def test_events_are_listed_once_and_in_order(found):
    events = events_of(found)
    assert [event.step for event in events] == sorted(event.step for event in events)
    assert [event.kind for event in events].count("spike") == 0  # that of the slingshot is no event of its own
    (slingshot,) = (event for event in events if event.kind == "slingshot")
    assert slingshot.details.startswith("norm grows from -")


def test_of_many_events_the_most_important_are_listed_and_the_page_says_so(tmp_path, found, kept):
    peaks = tuple(Peak(at, at, at + 1, 2.0) for at in range(300))
    many = replace(found, feature_bursts=peaks)
    assert len(events_of(many)) == 200
    assert any(event.kind == "slingshot" for event in events_of(many))
    page = write_report(tmp_path / "r.html", [many], [kept], columns=100).read_text()
    assert re.search(r"Events, the 200 most important of 30\d\. A number", page)


def test_lags_by_chance_lie_in_the_jumps_own_cycle():
    lags = by_chance(950, [100, 900], (0, 1000))
    assert lags.min() > 0
    assert lags.max() < 100
    assert by_chance(50, [100, 900], (0, 1000)).max() < 0


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        (Axis(0, 100, 0, 1), ["0", "20", "40", "60", "80", "100"]),
        (Axis(1e-9, 1, 0, 1, "log"), ["10⁻⁹", "10⁻⁷", "10⁻⁵", "0.001", "0.1"]),
        (Axis(-500, 2000, 0, 1, "symlog"), ["−10", "0", "+10", "+1,000"]),
        (Axis(0.3, 40, 0, 1, "log"), ["0.5", "1", "2", "5", "10", "20"]),
        (Axis(2, 600, 0, 1, "log"), ["3", "10", "30", "100", "300"]),
        (Axis(2.1, 3, 0, 1, "log"), ["2.5", "3"]),
    ],
)
def test_ticks_are_round_numbers(axis, words):
    assert [word for _, word in axis.ticks()] == words


def test_what_runs_show_together_agrees_with_their_comparison():
    rare = np.arange(0, 10_000, 100)
    runs = []
    for at in (4000, 6000, 8000, None):
        step, norm, loss = staircase(at, stride=10)
        accuracy = np.where(rare < (at or 10_000) + 150, 0.5, 0.9) + 0.001 * np.sin(rare)
        errors = np.where((rare < 500) | (abs(rare - (at or -1000)) < 50), 9, 0)
        runs.append(
            {
                "last_layer_norm": Signal(step, norm),
                "batch_loss": Signal(step, loss),
                "val_accuracy": Signal(rare, accuracy),
                "train_errors": Signal(rare, errors),
            }
        )
    analyses = [replace(analyze(run), name=str(i), config={"eps": 10.0**-i}) for i, run in enumerate(runs)]
    comparison = compare_runs(analyses)
    context = across_context(analyses, [thin_curves(run) for run in runs], comparison)
    cells = context["contingency"]
    assert [cells[name] for name in ("both", "slingshot_only", "grokked_only", "neither")] == [0, 3, 0, 1]
    assert [row["words"] for row in context["configurations"]["rows"]] == ["0 of 1", "1 of 1", "1 of 1", "1 of 1"]
    gained = {row["name"]: row["gain"] for row in context["gain"]["rows"]}
    assert sum(gained.values()) == pytest.approx(100, abs=0.2)
    assert sum(row["time"] for row in context["gain"]["rows"]) == pytest.approx(100, abs=0.2)
    assert sum(count for *_, count in context["lags"]["bars"]) == comparison.association.jumps == 3
    assert str(round(100 * comparison.lags.rate_difference.value)) in context["lags"]["estimates"][1]
    assert [dose["key"] for dose in context["doses"]] == ["eps"]
    assert len(context["bands"]["parts"]) == 4
    assert [row["cells"][0][0] for row in context["table"]["rows"]] == ["1", "1", "1", "0"]


def test_names_from_logs_are_text(tmp_path, found, kept):
    found = replace(found, name=EVIL, path=f"/{EVIL}", notes=(EVIL,))
    page = write_report(tmp_path / "r.html", [found, found], [kept, kept], columns=100, command=EVIL).read_text()
    assert "<script>alert" not in page
    assert page.count("</script>") == 3  # the data of two runs, and the script of the page
    assert json.loads(json_in_page({EVIL: EVIL})) == {EVIL: EVIL}
    assert "<" not in json_in_page({EVIL: EVIL})


def test_the_page_loads_nothing(tmp_path, found, kept):
    page = write_report(tmp_path / "r.html", [found], [kept], columns=100).read_text()
    assert not re.search(r"<(link|img|iframe|object|embed|script src)|url\(|@import|fetch\(|XMLHttpRequest", page)
    assert "default-src 'none'" in page
    assert "uPlot" in page


def test_a_folder_of_templates_takes_the_place_of_the_packaged_ones(tmp_path, found, kept):
    (tmp_path / "style.css").write_text("body { color: rebeccapurple; }")
    (tmp_path / "methods.html").write_text("<p>Ask {{ 'us & them' }}.</p>")
    page = write_report(tmp_path / "r.html", [found], [kept], columns=100, templates=tmp_path).read_text()
    assert "rebeccapurple" in page
    assert "us &amp; them" in page
    with pytest.raises(InputError, match="no such folder"):
        write_report(tmp_path / "r.html", [found], [kept], columns=100, templates=tmp_path / "x")


def report(*words):
    return CliRunner().invoke(main, ["report", *map(str, words)])


def test_the_command_writes_one_file_about_all_runs(tmp_path):
    files = [write_staircase(tmp_path / f"run{at}.h5", at) for at in (4000, 6000)]
    (tmp_path / "log.csv").write_text("step,train_loss\n" + "".join(f"{k},{2 / (1 + k)}\n" for k in range(100)))
    done = report(*files, tmp_path / "log.csv", "-o", tmp_path / "new" / "page.html")
    assert (done.exit_code, done.output.strip()) == (0, str(tmp_path / "new" / "page.html"))
    page = (tmp_path / "new" / "page.html").read_text()
    assert page.count('<article class="run"') == 3
    assert "Slingshots and grokking" in page


def test_a_file_that_cant_be_read_is_reported_and_the_others_are_shown(tmp_path):
    file = write_staircase(tmp_path / "run.h5")
    done = report(tmp_path / "missing.h5", file, "-o", tmp_path / "page.html")
    assert done.exit_code == 2
    assert "missing.h5: no such file" in done.output
    assert (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.h5", "-o", "page.pdf"], "page.pdf: the report is a page; give a name that ends in .html"),
        (["missing.h5", "--templates", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_wrong_options_fail_before_anything_is_read(words, said):
    done = report(*words)
    assert done.exit_code == 2
    assert said in done.output


def test_a_page_that_cant_be_written_is_an_error_and_leaves_the_old_one(tmp_path):
    file = write_staircase(tmp_path / "run.h5")
    (tmp_path / "page.html").mkdir()
    done = report(file, "-o", tmp_path / "page.html")
    assert done.exit_code == 2
    assert "can't be written" in done.output


def test_an_interrupted_report_shows_what_was_analyzed(tmp_path, monkeypatch):
    files = [write_staircase(tmp_path / f"run{at}.h5", at) for at in (4000, 6000)]

    def interrupt(results, total, what):
        yield next(iter(results))
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.report.track", interrupt)
    done = report(*files, "-o", tmp_path / "page.html")
    assert done.exit_code == 130
    assert "stopped after 1 of 2 files" in done.output
    assert (tmp_path / "page.html").read_text().count('<article class="run"') == 1


def test_a_table_of_events_names_the_confidence_only_where_an_event_has_one(tmp_path):
    step = np.arange(1000)
    spiky = np.where((step >= 600) & (step < 604), 9.0, 2 + 0.01 * np.sin(step))
    runs = [analyze({"train_loss": Signal(step, spiky, "train_loss")})]
    page = write_report(
        tmp_path / "a.html", runs, [KeepRun(200)({"train_loss": Signal(step, spiky)}, runs[0])], columns=200
    )
    text = page.read_text()
    assert ('class="events"' in text, ">Confidence<" in text) == (True, False)
    assert "norm, batch_loss, batch_errors, train_errors, train_accuracy: not given" in text
