"""The command line as a user meets it, from an empty folder."""

import json
import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from made_runs import write_staircase

from cli.main import main
from cli.record import Progress
from slingshot_analysis import Group, Quantity, TraceWriter, analyze, open_trace


@pytest.fixture
def again(staircase, tmp_path):
    """Copy the run, under the same name, into another folder."""
    (tmp_path / "again").mkdir()
    return shutil.copy(staircase, tmp_path / "again")


@pytest.fixture
def slingshot(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words, status=0):
        done = CliRunner().invoke(main, list(map(str, words)), catch_exceptions=False)
        assert done.exit_code == status, done.output
        return done

    return run


@pytest.fixture
def staircase(tmp_path):
    """Write a run with one slingshot at 6,000 and a validation jump with it, as any NumPy loop could."""
    return write_staircase(tmp_path / "staircase.h5", 6000, stride=1)


def test_record_then_analyze(slingshot, tmp_path, monkeypatch):
    words = ["record", "--setup", "parity_3_50", "--steps", "100", "--set", "optimizer.eps=1e-7"]
    monkeypatch.setattr("sys.argv", ["slingshot", *words])
    done = slingshot(*words)
    name = "parity_3_50-s3-optimizer.eps=1e-07-steps=100"
    assert f"runs/{name}.h5: 100 updates" in done.stdout
    trace = open_trace(tmp_path / "runs" / f"{name}.h5")
    assert trace.config["optimizer"]["eps"] == 1e-7
    assert "record --setup parity_3_50 --steps 100" in trace.attributes["command"]
    before = (tmp_path / "runs" / f"{name}.h5").read_bytes()
    assert "--overwrite" in slingshot(*words, status=2).stderr
    assert (tmp_path / "runs" / f"{name}.h5").read_bytes() == before
    text = slingshot("analyze", f"runs/{name}.h5").stdout
    assert "verdict: none" in text


def test_the_demo(slingshot, tmp_path, monkeypatch):
    text = slingshot("demo").stdout
    assert "1 slingshot with confidence 1.00" in text
    assert "slingshot watch runs --web" in text
    assert "19,081" in (tmp_path / "slingshot-demo" / "report.html").read_text()
    found = analyze(tmp_path / "slingshot-demo" / "parity_3_50.h5")
    assert ([event.transition for event in found.certain], found.grokking_step) == ([19_081], 31_000)


def test_the_demo_records(slingshot, tmp_path, monkeypatch):
    monkeypatch.setattr("cli.demo.UPDATES", 50)
    assert "verdict" in slingshot("demo", "--record", "--out", "mine").stdout
    (trace,) = (tmp_path / "mine").glob("*.h5")
    assert open_trace(trace).steps == (0, 50)


def test_analyze_prints_a_table(slingshot, staircase, again):
    text = slingshot("analyze", staircase.name, str(again)).stdout
    assert "verdict: slingshots" in text
    assert "6,000" in text
    assert "2 runs: 2 with slingshots" in text


def test_analyze_writes_the_document(slingshot, staircase):
    document = json.loads(slingshot("analyze", staircase.name, "--format", "json").stdout)
    assert (document["format"], document["schema_version"]) == ("slingshot-analysis", 2)
    (run,) = document["runs"]
    keys = {
        "path": str, "name": str, "steps": list, "signals": dict, "verdict": str, "terminal_phase_start": int,
        "grokking_step": (int, type(None)), "phases": list, "loss_spikes": list, "accuracy_jumps": list,
        "slingshots": list, "association": dict, "skipped": list,
    }  # fmt: skip
    for key, kind in keys.items():
        assert isinstance(run[key], kind), key
    assert run["steps"] == [0, 9999]
    (found,) = run["slingshots"]
    assert found["transition"] == 6000
    assert abs(found["growth_start"] - 5000) <= 100
    assert (found["tier"], found["shape"]) == ("full", "staircase")
    assert set(found) >= {"plateau_end", "norm_before", "norm_after", "evidence", "confidence"}
    assert {"kind", "start", "end", "rate"} <= set(run["phases"][0])
    assert {"start", "peak", "end", "ratio"} <= set(run["loss_spikes"][0])
    assert {"step", "before", "after"} <= set(run["accuracy_jumps"][0])
    assert {"onset", "end", "before", "after"} == set(run["accuracy_climbs"][0])
    gain = run["gain_association"]
    assert gain["gain"] == pytest.approx(0.4, abs=0.01)
    assert (gain["early_share"], gain["cycles"], gain["p_value"]) == (pytest.approx(1, abs=0.01), 1, 0.5)
    assert run["gain_by_phase"]["plateau"] == pytest.approx(0.4, abs=0.01)
    association = run["association"]
    assert (association["jumps_near_transitions"], association["jumps"], association["transitions"]) == (1, 1, 1)
    assert association["p_value"] == pytest.approx(0.05 * 9999 / 3900)  # 5% of the run, of the cycle 6,000 to 9,900
    assert document["across_runs"] == {
        "runs": 1, "with_slingshots": 1, "spikes": 0, "diverged": 0, "unstable": 0, "grokked": 0, "both": 0
    }  # fmt: skip


def test_analyze_draws(slingshot, staircase, again, tmp_path):
    pictures = slingshot("analyze", staircase.name, str(again), "--plot", "figures").stdout
    assert "picture: figures/staircase.png" in pictures
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"staircase.png", "staircase-2.png"}


def test_a_bad_file_is_reported_and_the_others_are_analyzed(slingshot, staircase, tmp_path):
    (tmp_path / "notes.h5").write_text("not a trace")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    (tmp_path / "cut.h5").write_bytes(staircase.read_bytes()[:5000])
    bad = ["missing.h5", "notes.h5", "other.h5", "cut.h5"]
    done = slingshot("analyze", *bad, staircase.name, status=2)
    assert "verdict: slingshots" in done.stdout
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 4
    assert all(name in error for name, error in zip(bad, errors, strict=True))
    assert "Traceback" not in done.stderr
    done = slingshot("analyze", *bad, staircase.name, "--format", "json", status=2)
    assert len(json.loads(done.stdout)["runs"]) == 1


def test_an_empty_trace_is_an_error(slingshot, tmp_path):
    with TraceWriter(tmp_path / "empty.h5", [Group("every_1", [Quantity("last_layer_norm")])]):
        pass
    assert "empty.h5: holds no rows" in slingshot("analyze", "empty.h5", status=2).stderr


def test_record_with_another_optimizer_and_loss(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["record", "--setup", "parity_3_50", "--steps", "20", "--out", "run.h5", "--set", "optimizer.alpha=0.9"]
    done = CliRunner().invoke(main, [*words, "--optimizer", "rmsprop", "--loss", "stablemax"])
    assert done.exit_code == 0
    config = open_trace(tmp_path / "run.h5").config
    assert config["optimizer"] == {
        "kind": "RMSProp", "lr": 0.004, "alpha": 0.9, "momentum": 0.0, "eps": 1e-8, "warmup": 0
    }  # fmt: skip
    assert config["loss"] == "stablemax"


def test_record_reads_data_from_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, records in [("data_batch_1.bin", 210), ("test_batch.bin", 5)]:
        pixels = np.random.default_rng(0).integers(0, 10, (records, 3073), dtype=np.uint8)
        (tmp_path / name).write_bytes(pixels.tobytes())
    words = ["record", "--setup", "cifar10_linear_200", "--steps", "2", "--out", "run.h5", "--data-dir", "."]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert len(open_trace(tmp_path / "run.h5")["batch_loss"]) == 2


def test_record_what_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["record", "--setup", "parity_3_50", "--steps", "30", "--out", "run.h5", "--probes", "light, hessian:10"]
    done = CliRunner().invoke(main, [*words, "--flight-recorder"])
    assert done.exit_code == 0, done.output
    trace = open_trace(tmp_path / "run.h5")
    assert trace["hessian_top_eigenvalues"].step.tolist() == [0, 10, 20, 30]
    assert trace["last_layer_norm"].step.tolist() == [0, 10, 20]
    assert "event_loss" in trace
    assert "update_norm" not in trace


def test_resuming_a_finished_run_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["record", "--setup", "quadratic", "--steps", "20", "--out", "run.h5", "--resume"]
    assert "20 updates in" in CliRunner().invoke(main, words).stdout
    again = CliRunner().invoke(main, words)
    assert (again.exit_code, "was finished already" in again.stdout) == (0, True)


def test_record_for_programs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["record", "--setup", "quadratic", "--steps", "20", "--out", "run.h5", "--resume", "--format", "json"]
    for _ in range(2):
        run = json.loads(CliRunner().invoke(main, words).stdout)
        assert run.pop("seconds") >= 0
        assert run == {"path": "run.h5", "setup": "quadratic", "seed": 0, "steps": 20, "state": "finished"}


def test_progress_fits_into_the_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    show = Progress(1000)
    show(1000, SimpleNamespace(latest={"last_layer_norm": 1.0, "train_errors": 2.0, "val_accuracy": 0.5}))
    line = capsys.readouterr().err.removeprefix("\r\x1b[K").removesuffix("\n")
    assert line.startswith("    1,000 of 1,000 updates")
    assert len(line) == 39


def test_an_interrupt_while_a_command_is_loaded_has_the_same_status(monkeypatch):
    def interrupt(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.main.importlib.import_module", interrupt)
    assert CliRunner().invoke(main, ["record", "--setup", "quadratic"]).exit_code == 130


@pytest.mark.parametrize("out", ["run.h5/x", "run.h5/x/y.h5"])
def test_a_file_in_the_way_of_a_folder_is_explained(out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.h5").write_text("notes")
    done = CliRunner().invoke(main, ["record", "--setup", "quadratic", "--steps", "2", "--out", out])
    assert done.exit_code == 2
    assert "can't be written" in done.stderr
    assert (tmp_path / "run.h5").read_text() == "notes"


def test_probes_are_listed_with_unit_cost_and_source():
    text = CliRunner().invoke(main, ["probes"]).stdout
    assert "batch_loss_float64 [nat]" in text
    assert "arXiv 2207.14484" in text
    entries = json.loads(CliRunner().invoke(main, ["probes", "--format", "json"]).stdout)
    hessian = next(entry for entry in entries if entry["name"] == "hessian")
    assert hessian["bundles"] == ["standard", "full"]
    assert {"name": "max_stable_step", "unit": "learning rate"}.items() <= hessian["quantities"][-1].items()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["record", "--setup", "parity_3_5"], "did you mean 'parity_3_50'"),
        (["record", "--setup", "parity_3_50", "--set", "optimizer.esp=1"], "did you mean 'optimizer.eps'"),
        (["record", "--setup", "parity_3_50", "--optimizer", "adm"], "did you mean 'adam' or 'adamw'"),
        (["record", "--setup", "parity_3_50", "--loss", "hinge"], "'cross_entropy', 'stablemax'"),
        (["record", "--setup", "quadratic", "--loss", "stablemax"], "does not fit data of 0 classes"),
        (["record", "--setup", "parity_3_50", "--set", "data.k=x"], "--set data.k=x: not a valid int"),
        (["record", "--setup", "parity_3_50", "--device", "tpu9"], "allowed are auto, cpu"),
        (["record", "--setup", "parity_3_50", "--device", "meta"], "allowed are auto, cpu"),
        (["record", "--setup", "parity_3_50", "--seed", str(2**64)], "below 2**64"),
        (["record", "--setup", "modular_division", "--set", "data.train_share=nan"], "equations in both sets"),
        (["record", "--setup", "parity_3_50", "--resume", "--overwrite"], "leave one of them out"),
        (["record", "--setup", "parity_3_50", "--dtype", "float16"], "'float32', 'float64'"),
        (["record", "--setup", "parity_3_50", "--steps", "0"], "--steps"),
        (["record", "--setup", "parity_3_50", "--data-dir", "."], "parity_3_50 reads no files"),
        (["record", "--setup", "cifar10_linear_200", "--data-dir", "."], "neither this folder nor its subfolder"),
        (["record", "--setup", "parity_3_50", "--probes", "standart"], "did you mean 'standard'"),
        (["record", "--setup", "parity_3_50", "--probes", "hessian:no"], "a number of updates must follow the colon"),
        (["record", "--setup", "parity_3_50", "--curvature-budget", "2"], "--curvature-budget"),
        (["recrod"], "did you mean 'record'"),
        (["analyze"], "FILES"),
    ],
)
def test_bad_input_exits_with_2_and_says_what_is_allowed(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not list(tmp_path.rglob("*.h5"))


def test_setups_lists_figure_and_cost(monkeypatch):
    monkeypatch.setattr("trainers.cost.SMALLEST_BATCH", 2)
    monkeypatch.setattr("trainers.cost.TIMED_SECONDS", 0.0)
    rows = json.loads(CliRunner().invoke(main, ["setups", "--format", "json"]).stdout)
    (row,) = [row for row in rows if row["name"] == "parity_3_50"]
    assert row["name"] == "parity_3_50"
    assert row["figures"] == "6, 13-16"
    assert row["seconds"] == pytest.approx(row["updates"] * row["seconds_per_update"])
    assert "parity_3_50" in CliRunner().invoke(main, ["setups"]).stdout


def test_help_lists_the_verbs():
    assert {"record", "analyze", "setups"} <= set(CliRunner().invoke(main, ["--help"]).stdout.split())
