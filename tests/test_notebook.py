"""What a notebook shows: short texts, HTML in which nothing from a log is markup, tables and figures by one name."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure

from slingshot_analysis import (
    Axis,
    Group,
    InputError,
    Phase,
    Quantity,
    Signal,
    TraceWriter,
    analyze,
    compare_runs,
    event_triggered_average,
    open_trace,
    read_log,
)
from slingshot_analysis.recording import SlingshotWarning, Transition

STEP = np.arange(0, 20_000, 10)
LOSS = np.exp(-STEP / 400) + np.where(STEP >= 9000, np.exp((9000 - STEP) / 200), 0)
NORM = np.exp(np.interp(STEP, [0, 500, 8000, 9000, 20_000], [0, 1, 1.1, 1.6, 1.65]))
RUN = analyze({"train_loss": Signal(STEP, LOSS), "total_norm": Signal(STEP, NORM)})
EVIL = "<script>alert(1)</script>&\x1b[2J"


def run(name, slingshots=1, **changes):
    """Return the analysis of a run, with its slingshot so many times."""
    return replace(RUN, name=name, slingshots=RUN.slingshots * slingshots, **changes)


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.open = set(), set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def assert_is_plain(page):
    """Nothing but tables in the colours of the page; every tag is closed."""
    found = Tags(page)
    assert found.tags <= {"div", "b", "table", "tr", "th", "td"}
    assert found.attributes <= {"style"}
    assert found.open == []
    assert "\x1b" not in page
    assert not re.search(r"(?<![-\w])(background|color):|url\(|http", page)


@pytest.fixture
def trace(tmp_path):
    with TraceWriter(
        tmp_path / "run.h5", [Group("every_10", [Quantity("train_loss"), Quantity("total_norm")])]
    ) as writer:
        writer.append("every_10", step=STEP, train_loss=LOSS, total_norm=NORM)
    return open_trace(tmp_path / "run.h5")


@pytest.fixture
def log(tmp_path):
    rows = [f"{s},{v},{a}" for s, v, a in zip(STEP, LOSS, np.clip(STEP / 1e4, 0, 1), strict=True)]
    (tmp_path / "log.csv").write_text("\n".join([f"step,train_loss {EVIL},val_acc", *rows]))
    return read_log(tmp_path / "log.csv", map={"train_loss": f"train_loss {EVIL}".replace("\x1b", "\\x1b")})[0]


def test_a_run_shows_its_signals(trace, log):
    page = trace._repr_html_()
    assert_is_plain(page)
    assert page.count("<tr>") == 3
    assert "2,000" in page
    assert "0 to 19,990" in page
    page = log._repr_html_()
    assert_is_plain(page)
    assert "&lt;script&gt;" in page
    assert "every_10" in page


def test_a_signal_shows_its_range_and_what_is_not_finite():
    norm = Signal([0, 10], [[1.0, np.nan], [3.0, -2.0]], EVIL, axes=[Axis("layer", [EVIL, "b"])])
    page = norm._repr_html_()
    assert_is_plain(page)
    assert "-2 to 3" in page
    assert re.search("not finite.*1<", page)
    assert_is_plain(Signal([], [], "empty")._repr_html_())


def test_an_analysis_shows_what_it_found_under_the_names_of_its_fields(trace):
    analysis = analyze(trace)
    page, text = analysis._repr_html_(), repr(analysis)
    assert_is_plain(page)
    assert text.splitlines()[0] == "Analysis of run: verdict slingshots, steps 0 to 19,990"
    assert "  slingshots: 1, at 9,000" in text.splitlines()
    assert {line.split(":")[0].strip() for line in text.splitlines()[1:]} <= set(vars(analysis))
    assert "full" in page
    assert_is_plain(replace(analysis, name=EVIL)._repr_html_())


def test_a_comparison_shows_its_runs_and_tests():
    runs = [
        run(f"{EVIL}{k}", k % 2, verdict="slingshots" if k % 2 else "none", grokking_step=500 if k % 2 else None)
        for k in range(60)
    ]
    comparison = compare_runs(runs, resamples=50)
    page = comparison._repr_html_()
    assert_is_plain(page)
    assert "and 40 more" in page
    assert "contingency: both 30, slingshot_only 0, grokked_only 0, neither 30" in repr(comparison)


@pytest.mark.parametrize(
    "event",
    [
        Phase("growth", 0, 10, 0.1, (1.0, 2.0)),
        Transition(5, 6, 1.5),
        SlingshotWarning(5, (1, 2, 3), 0.5),
        replace(RUN.slingshots[0], evidence=(EVIL,)),
    ],
)
def test_an_event_shows_its_fields(event):
    page = event._repr_html_()
    assert_is_plain(page)
    assert page.count("<tr>") == len(vars(event))
    assert "\n" not in repr(event)


def test_texts_stay_below_forty_lines(tmp_path, log):
    quantities = [Quantity(f"loss_{k}") for k in range(500)]
    with TraceWriter(tmp_path / "wide.h5", [Group("every_1", quantities)]) as writer:
        writer.append("every_1", step=0, **{quantity.name: 1.0 for quantity in quantities})
    wide = open_trace(tmp_path / "wide.h5")
    assert repr(wide).splitlines()[-1] == "  and 464 more"
    assert wide._repr_html_().count("<tr>") == 101
    log.notes = (f"two\nlines {EVIL}" * 100,) * 100
    for shown in (wide, log, log["train_loss"]):
        assert len(repr(shown).splitlines()) < 40
        assert max(map(len, repr(shown).splitlines())) < 250
    assert log._repr_html_().count("note: ") == 10
    many = run("run", 1000, notes=("\n",) * 100, grokking_step=500)
    assert len(repr(many).splitlines()) < 40
    assert many._repr_html_().count("<tr>") < 60
    average = event_triggered_average(Signal(STEP, NORM, "total_norm"), [9000], 5000, 5000, points=900)
    assert repr(average) == "TriggeredAverage('total_norm', 1 events, 900 points, lags -5000 to 5000)"
    comparison = compare_runs([run(f"{k}", config={f"key{k}": k}) for k in range(80)], resamples=20)
    assert len(repr(comparison).splitlines()) < 40


def test_signals_of_the_same_steps_are_a_group(tmp_path):
    data = {"train_loss": LOSS, "total_norm": NORM}
    rows = [{"step": int(s), "train_loss": v, "grad_norm": 1} for s, v in zip(STEP[:90], LOSS[:90], strict=True)]
    rows += [{"step": step, "val_loss": 1, "val_acc": 0.5} for step in (0, 100, 200)]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, sorted(rows, key=lambda row: row["step"]))))
    log = read_log(tmp_path / "log.jsonl")[0]
    assert log.groups["every_10"] == ("train_loss", "gradient_norm")
    assert log.groups["every_100"] == ("val_loss", "val_accuracy")
    assert log.to_dataframe("every_100").index.tolist() == [0, 100, 200]
    assert set(log.to_dataframe()) == set(log)
    tree = log.to_xarray()
    np.testing.assert_array_equal(tree["every_10/train_loss"], LOSS[:90])
    assert tree["every_10/train_loss"].attrs["unit"] == "nat"
    with pytest.raises(InputError, match=r"log.jsonl: unknown group 'every_1'; did you mean 'every_10'"):
        log.to_dataframe("every_1")
    both = read_log({"step": STEP, **data})[0]
    assert both.groups == {"every_10": ("train_loss", "total_norm")}


def test_the_events_of_an_analysis_are_tables(trace):
    analysis = analyze(trace)
    slingshots = analysis.to_dataframe("slingshots")
    (slingshot,) = analysis.slingshots
    assert slingshots.index.tolist() == [slingshot.transition]
    assert (slingshots["interval_start"].item(), slingshots["interval_end"].item()) == slingshot.interval
    assert slingshots["evidence"].item() == "; ".join(slingshot.evidence)
    joined = analysis.to_dataframe()
    assert joined.index.is_monotonic_increasing
    assert (joined["event"] == "phases").sum() == len(analysis.phases)
    assert joined[joined["event"] == "phases"]["norm_end"].tolist() == [phase.norm[1] for phase in analysis.phases]
    assert len(analysis.to_dataframe("accuracy_jumps")) == 0
    with pytest.raises(InputError, match="unknown event 'slingshot'; did you mean 'slingshots'"):
        analysis.to_dataframe("slingshot")
    tree = analysis.to_xarray()
    assert tree.attrs["verdict"] == "slingshots"
    assert tree["slingshots/confidence"].item() == slingshot.confidence
    assert tree["slingshots"].step.item() == slingshot.transition
    assert tree["phases/kind"].values.tolist() == [phase.kind for phase in analysis.phases]


def test_an_analysis_without_events_is_an_empty_table():
    assert len(analyze({"val_accuracy": Signal(STEP, np.full(len(STEP), 0.5))}).to_dataframe()) == 0


def test_a_tree_goes_through_a_file(trace, tmp_path):
    xarray = pytest.importorskip("xarray")
    analysis = analyze(trace)
    comparison = compare_runs([analysis, replace(analysis, name="again", grokking_step=700)], resamples=20)
    for made in (analysis, comparison):
        tree = made.to_xarray()
        tree.to_netcdf(tmp_path / "tree.nc", engine="h5netcdf")
        with xarray.open_datatree(tmp_path / "tree.nc", engine="h5netcdf") as read:
            assert tree.equals(read.load())
    assert comparison.to_xarray()["runs/grokking_step"].values.tolist() == [pytest.approx(np.nan, nan_ok=True), 700]
    assert comparison.to_dataframe().equals(comparison.runs)


def test_figures(trace, log, tmp_path):
    analysis = analyze(trace)
    for figure in (trace.plot(), analysis.plot(), analysis.plot(trace), log.plot()):
        assert figure._repr_png_().startswith(b"\x89PNG")
    assert [axes.get_ylabel() for axes in analysis.plot().axes] == ["total norm", "loss"]
    in_memory = analyze({"train_loss": Signal(STEP, LOSS)})
    with pytest.raises(InputError, match="came from no file: give them with run="):
        in_memory.plot()
    assert in_memory.plot({"train_loss": Signal(STEP, LOSS)}).axes[0].get_ylabel() == "loss"
    with pytest.raises(InputError, match="holds no run 'other' any more"):
        replace(analysis, name="other").plot()


def test_figures_of_a_comparison():
    runs = [run("run", config={"optimizer.eps": eps, "optimizer.lr": lr}) for eps, lr in ((0.0, 1), (1e-8, 2))]
    comparison = compare_runs(runs, resamples=20)
    assert len(comparison.plot().axes) == 2
    mine = Figure()
    assert comparison.plot("optimizer.eps", axes=mine.subplots(1, 3)) is mine
    assert comparison.plot(axes=Figure().subplots(1, 2)).axes[0].texts
    assert comparison.plot("optimizer.eps").axes[0].get_xlabel() == "optimizer.eps"
    heatmap = comparison.plot("optimizer.eps,optimizer.lr").axes[0]
    assert (heatmap.get_xlabel(), heatmap.get_ylabel()) == ("optimizer.eps", "optimizer.lr")
    with pytest.raises(InputError, match=r"optimizer\.beta"):
        comparison.plot("optimizer.beta")
