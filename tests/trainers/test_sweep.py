"""Sweeps as a function: plans, the manifest, and what becomes of runs."""

import dataclasses
import json
import os
import signal
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress

import h5py
import numpy as np
import pytest

from slingshot_analysis import InputError, open_trace
from slingshot_analysis.engines import open_engine
from trainers.batch import record_batch
from trainers.lock import owned
from trainers.overrides import override_all
from trainers.recorded_run import default_name, record
from trainers.setup import settings_of
from trainers.setups import find_setup
from trainers.sweep import plan_runs, read_manifest, sweep
from trainers.sweep._session import HIDDEN, is_current, open_session
from trainers.sweep.work import HDF5_SIGNATURE

PARITY = find_setup("parity_3_50")
SMALL = override_all(PARITY, ["data.train=64", "data.val=64", "model.width=8", "steps=20"])
PATIENCE = 120


class Here(Executor):
    """Runs each task in this process, when it is submitted."""

    jobs = 1

    def submit(self, fn, /, *args, **kwargs):
        task = Future()
        try:
            task.set_result(fn(*args, **kwargs))
        except Exception as error:
            task.set_exception(error)
        return task


def contents(folder):
    return {
        path.name: {name: open_trace(path)[name].value for name in ("batch_loss", "total_norm", "val_accuracy")}
        for path in folder.glob("*.h5")
    }


def identities(folder):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.h5")}


@pytest.fixture(scope="module")
def four():
    return plan_runs(SMALL, {"optimizer.eps": [1e-8, 1e-7]}, seeds=[0, 1])


def test_a_sweep_records_what_record_records_and_does_it_once(four, tmp_path):
    table = sweep(four, tmp_path, engine=Here(), batch=1)
    assert list(table.index) == [default_name(run) for run in four]
    assert list(table["state"]) == ["finished"] * 4
    assert list(table["optimizer.eps"]) == [1e-8, 1e-8, 1e-7, 1e-7]
    assert list(table["step"]) == [20] * 4
    alone = record(four[2], tmp_path / "alone.h5", probes="light")
    np.testing.assert_array_equal(
        open_trace(alone)["batch_loss"].value, open_trace(tmp_path / table.index[2])["batch_loss"].value
    )
    alone.unlink()
    before = identities(tmp_path)
    again = sweep(four, tmp_path, engine=Here(), batch=1)
    assert identities(tmp_path) == before
    assert again.equals(read_manifest(tmp_path))
    assert list(again["seconds"]) == list(table["seconds"])
    assert not list(tmp_path.glob("*.checkpoint"))


def test_runs_that_are_trained_together_record_what_they_record_alone(four, tmp_path):
    sweep(four, tmp_path / "alone", engine=Here(), batch=1)
    table = sweep(four, tmp_path / "together", engine=Here())
    assert len(set(table["seconds"])) == 1  # each has an equal share of one batch
    alone, together = contents(tmp_path / "alone"), contents(tmp_path / "together")
    assert alone.keys() == together.keys()
    for name, values in alone.items():
        for quantity, expected in values.items():
            np.testing.assert_allclose(together[name][quantity], expected, rtol=1e-4, atol=1e-6)


def test_one_unusable_trace_of_a_batch_is_made_anew(four, tmp_path):
    (tmp_path / default_name(four[1])).write_bytes(HDF5_SIGNATURE + b"torn")
    assert list(sweep(four, tmp_path, engine=Here())["state"]) == ["finished"] * 4


def test_a_file_of_somebody_else_is_kept(four, tmp_path):
    path = tmp_path / default_name(four[1])
    path.write_text("notes")
    table = sweep(four, tmp_path, engine=Here())
    assert list(table["state"]) == ["finished", "failed", "finished", "finished"]
    assert str(path) in table["error"].iloc[1]
    assert path.read_text() == "notes"


def test_a_session_that_cannot_be_read_for_a_moment_goes_on(tmp_path):
    with open_session(tmp_path) as session:
        assert is_current(tmp_path, session)
        file = tmp_path / HIDDEN / "session"
        file.unlink()
        assert not is_current(tmp_path, session)
        file.mkdir()
        assert is_current(tmp_path, session)
        file.rmdir()


def test_a_run_that_fails_is_reported_tried_again_and_keeps_no_other_from_its_end(tmp_path):
    runs = plan_runs(SMALL, {"batch_size": [32, 1000]}, seeds=[0, 1])
    table = sweep(runs, tmp_path, engine=Here())
    assert list(table["state"]) == ["finished", "finished", "failed", "failed"]
    assert "batch_size is 1000 but there are only 64 training samples" in table["error"].iloc[2]
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == sorted(table.index[:2])
    reported = []
    sweep(runs, tmp_path, engine=Here(), progress=lambda status: reported.append(dict(status.counts)))
    assert reported[-1] == {"finished": 2, "failed": 2}


@pytest.mark.parametrize("probes", [["light"], ["norms"]])
@pytest.mark.parametrize("rate", [1e20, 1e39])
def test_a_run_whose_loss_is_not_finite_has_diverged_and_is_not_run_again(rate, probes, tmp_path):
    runs = plan_runs(override_all(SMALL, ["steps=60"]), {"optimizer": ["sgd"], "optimizer.lr": [rate, 1e-3]})
    assert list(sweep(runs, tmp_path, engine=Here(), probes=probes)["state"]) == ["diverged", "finished"]
    before = identities(tmp_path)
    assert list(sweep(runs, tmp_path, engine=Here(), probes=probes)["state"]) == ["diverged", "finished"]
    (tmp_path / "manifest.json").unlink()
    assert list(sweep(runs, tmp_path, engine=Here(), probes=probes)["state"]) == ["diverged", "finished"]
    assert identities(tmp_path) == before


@pytest.mark.parametrize("probes", ["norms:7", ["batch:7", "norms"]])
def test_a_sparse_trace_is_as_long_as_its_run(probes, four, tmp_path):
    assert list(sweep(four[:1], tmp_path, engine=Here(), probes=probes)["state"]) == ["finished"]


def test_a_sweep_can_grow_but_not_shrink(four, tmp_path):
    sweep(four[:2], tmp_path, engine=Here())
    before = identities(tmp_path)
    assert list(sweep(four, tmp_path, engine=Here())["state"]) == ["finished"] * 4
    assert before.items() <= identities(tmp_path).items()
    with pytest.raises(InputError, match=r"2 runs that are missing here, such as parity_3_50-s0.*choose another out="):
        sweep(four[2:], tmp_path, engine=Here())
    with pytest.raises(InputError, match="recorded with probes='light', not 'standard'"):
        sweep(four, tmp_path, engine=Here(), probes="standard")


def test_a_trace_of_other_settings_is_not_taken_for_the_run(four, tmp_path):
    record(four[3], tmp_path / default_name(four[0]), probes="light")
    with pytest.raises(InputError, match=r"other settings \(optimizer.eps, seed\)"):
        sweep(four, tmp_path, engine=Here())


def test_finished_traces_without_a_manifest_are_found(four, tmp_path):
    sweep(four, tmp_path, engine=Here())
    before = identities(tmp_path)
    (tmp_path / "manifest.json").unlink()
    sweep(four, tmp_path, engine=Here())
    assert identities(tmp_path) == before


def test_a_sweep_from_before_a_field_was_there_goes_on(four, tmp_path):
    sweep(four[:2], tmp_path, engine=Here())
    manifest = tmp_path / "manifest.json"
    old = json.loads(manifest.read_text())
    for run in old["runs"].values():
        assert run["settings"].pop("drop_last") is True
        assert run["settings"].pop("autocast") == "none"
    manifest.write_text(json.dumps(old))
    before = identities(tmp_path)
    assert list(sweep(four, tmp_path, engine=Here())["state"]) == ["finished"] * 4
    assert before.items() <= identities(tmp_path).items()


def record_until_15(setup, path, probes="light", checkpoint_every=10):
    def kill(step, recorder):
        if step == 15:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        record(setup, path, probes=probes, checkpoint_every=checkpoint_every, progress=kill)
    return path.with_suffix(".checkpoint")


@pytest.mark.parametrize("damage", ["empty", "torn", "torn checkpoint", "no trace", "text"])
def test_what_a_killed_writer_left_is_made_anew(damage, four, tmp_path):
    setup, expected = four[0], record(four[0], tmp_path / "expected.h5", probes="light")
    folder = tmp_path / "sweep"
    path = folder / default_name(setup)
    checkpoint = record_until_15(setup, path)
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "torn checkpoint":
        path.unlink()
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    elif damage == "no trace":
        path.unlink()
    else:
        path.write_bytes(HDF5_SIGNATURE + b"not a trace")
    for left in (
        f".{path.name}.123.tmp",
        f"..{path.name}.123.tmp.123.tmp",
        f".{path.stem}.checkpoint.123.tmp",
    ):
        (folder / left).write_text("")
    assert list(sweep([setup], folder, engine=Here())["state"]) == ["finished"]
    np.testing.assert_array_equal(open_trace(path)["batch_loss"].value, open_trace(expected)["batch_loss"].value)
    assert sorted(p.name for p in folder.iterdir()) == [HIDDEN, "manifest.json", path.name]


@pytest.mark.parametrize(
    "what",
    [
        "no checkpoint",
        "torn checkpoint",
        "somebody's checkpoint",
        "somebody's checkpoint without a trace",
        "checkpoint of other settings",
        "first checkpoint, other probes",
        "other HDF5",
        "folder",
        "folder for a checkpoint",
    ],
)
def test_what_can_be_read_or_is_of_others_is_kept(what, four, tmp_path):
    path = tmp_path / default_name(four[0])
    checkpoint = path.with_suffix(".checkpoint")
    if what == "other HDF5":
        with h5py.File(path, "w") as file:
            file["x"] = 1
    elif what.startswith("folder"):
        (path if what == "folder" else checkpoint).mkdir()
    elif what == "checkpoint of other settings":
        record_until_15(four[1], path)
        path.unlink()
    elif what == "first checkpoint, other probes":
        record_until_15(four[0], path, "standard", 1000)
    else:
        record_until_15(four[0], path)
    if what == "no checkpoint":
        checkpoint.unlink()
    elif what == "torn checkpoint":
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    elif what.startswith("somebody's"):
        checkpoint.write_text("notes")
    if what.endswith("without a trace"):
        path.unlink()
    before = {file.name: file.is_dir() or file.read_bytes() for file in (path, checkpoint) if file.exists()}
    for _ in range(2):
        table = sweep(four[:2], tmp_path, engine=Here())
        assert list(table["state"]) == ["failed", "finished"]
        assert str(tmp_path) in table["error"].iloc[0]
        assert "move" in table["error"].iloc[0]
        assert {name: (tmp_path / name).is_dir() or (tmp_path / name).read_bytes() for name in before} == before
        assert {file.name for file in (path, checkpoint) if file.exists()} == before.keys()


@pytest.mark.parametrize("batch", [1, 32])
def test_a_trace_that_another_process_records_is_left_to_it(batch, four, tmp_path, monkeypatch):
    monkeypatch.setattr("trainers.lock.LONGEST_WAIT_SECONDS", 0.3)
    path = tmp_path / default_name(four[0])
    record_until_15(four[0], path)
    before = path.read_bytes()
    with owned(path), ThreadPoolExecutor(1) as other:  # another thread does not hold the lock, nor another process
        table = sweep(four[:2], tmp_path, engine=other, batch=batch)
        assert list(table["state"]) == ["failed", "finished"]
        assert "another process is recording it" in table["error"].iloc[0]
        for options in ({"resume": True}, {"overwrite": True}, {}):
            with pytest.raises(InputError, match="another process is recording it"):
                other.submit(record, four[0], path, **options).result()
        (state,) = other.submit(record_batch, [four[0]], [path], overwrite=True).result()
        assert "another process is recording it" in state
    assert path.read_bytes() == before
    assert list(sweep(four[:2], tmp_path, engine=Here())["state"]) == ["finished"] * 2
    assert not list(tmp_path.glob(".*.recording"))


def test_a_finished_trace_of_other_probes_is_not_taken_for_the_run(four, tmp_path):
    path = record(four[0], tmp_path, probes="norms")
    record(four[1], tmp_path, probes="full")
    before = path.read_bytes()
    table = sweep(four[:3], tmp_path, engine=Here(), probes="standard")
    assert list(table["state"]) == ["failed", "finished", "finished"]
    assert "update_norm" in table["error"].iloc[0]
    assert "move it" in table["error"].iloc[0]
    assert path.read_bytes() == before


def test_runs_that_never_began_claim_nothing(four, tmp_path):
    too_large = plan_runs(SMALL, {"batch_size": [1000, 2000]})
    assert list(sweep(too_large, tmp_path, engine=Here(), probes="norms")["state"]) == ["failed"] * 2
    assert list(sweep(four[:1], tmp_path, engine=Here())["state"]) == ["finished"]


def test_what_is_wrong_with_every_run_is_found_before_the_sweep(four, tmp_path):
    folder = tmp_path / "sweep"
    for options, message in (
        ({"probes": "norms:abc"}, "a number of updates must follow the colon"),
        ({"probes": []}, "name at least one"),
        ({"device": "meta"}, "device='meta': allowed are auto"),
    ):
        with pytest.raises(InputError, match=message):
            sweep(four, folder, **options)
    assert not folder.exists()


def test_setups_of_one_name_are_not_taken_for_one_run(tmp_path):
    setups = [dataclasses.replace(SMALL, name="mine", batch_size=size) for size in (16, 32)]
    with pytest.raises(InputError, match=r"two runs would be written to mine-s3\.h5; give them different names"):
        sweep(setups, tmp_path, engine=Here())
    assert len(sweep([setups[0]] * 2, tmp_path, engine=Here())) == 1


def test_what_was_recorded_is_kept_where_something_else_is_wrong(four, tmp_path):
    path = tmp_path / default_name(four[0])
    record_until_15(four[0], path)
    before = path.read_bytes()
    table = sweep(four[:2], tmp_path, engine=Here(), device="cuda:x")
    assert list(table["state"]) == ["failed"] * 2
    assert path.read_bytes() == before


def test_of_a_batch_that_was_stopped_the_finished_runs_are_finished(tmp_path):
    short, long = (override_all(SMALL, [f"steps={steps}"]) for steps in (20, 100000))

    def interrupt(status):
        with suppress(InputError):  # while there is no trace yet
            if open_trace(tmp_path / default_name(short)).finished:
                raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        sweep([short, long], tmp_path, engine=executor, jobs=1, progress=interrupt)
    assert list(read_manifest(tmp_path)["state"]) == ["finished", "stopped"]


@pytest.mark.parametrize("batch", [1, 32])
def test_a_stopped_sweep_goes_on_and_writes_the_same(batch, tmp_path):
    runs = plan_runs(override_all(SMALL, ["steps=400"]), seeds=[0, 1])
    expected = tmp_path / "expected"
    sweep(runs, expected, engine=Here(), batch=batch)

    def interrupt(status):
        if any(run.step > 100 for run in status.runs.values()):
            raise KeyboardInterrupt

    folder = tmp_path / "stopped"
    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        sweep(runs, folder, engine=executor, jobs=1, batch=batch, checkpoint_every=50, progress=interrupt)
    assert set(read_manifest(folder)["state"]) <= {"pending", "stopped", "finished"}
    assert list(sweep(runs, folder, engine=Here(), batch=batch, checkpoint_every=50)["state"]) == ["finished"] * 2
    np.testing.assert_equal(contents(folder), contents(expected))


def test_a_worker_whose_sweep_has_been_replaced_stops(four, tmp_path):
    from trainers.sweep.work import Chunk, train_chunk

    with open_session(tmp_path) as session:
        assert is_current(tmp_path, session)
        with pytest.raises(InputError, match="another sweep is running here"), open_session(tmp_path):
            pass
        old = train_chunk(Chunk(tmp_path, "an earlier one", tuple(four[:1]), ("light",), 10, "cpu"))
        assert [outcome.state for outcome in old.values()] == ["stopped"]
    assert not is_current(tmp_path, session)
    assert not list(tmp_path.glob("*.h5"))


class Dying(Here):
    """Loses its worker over the first task it is given, and over every one of a certain run."""

    def __init__(self, victim):
        self.victim, self.tasks = victim, 0

    def submit(self, fn, /, chunk):
        self.tasks += 1
        if self.tasks > 1 and self.victim not in chunk.setups:
            return super().submit(fn, chunk)
        task = Future()
        task.set_exception(BrokenPipeError("worker died"))
        return task


def test_a_run_whose_worker_dies_is_tried_once_more_alone(four, tmp_path):
    table = sweep(four, tmp_path, engine=Dying(victim=four[3]))
    assert list(table["state"]) == ["finished"] * 3 + ["failed"]
    assert "worker died" in table["error"].iloc[3]


def test_runs_that_an_engine_no_longer_takes_have_failed(four, tmp_path):
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    table = sweep(four, tmp_path, engine=executor)
    assert list(table["state"]) == ["failed"] * 4
    assert table["error"].str.contains("takes no more tasks").all()


def test_an_error_of_the_callback_stops_the_workers(tmp_path):
    def fail(status):
        raise ZeroDivisionError

    runs = plan_runs(override_all(SMALL, ["steps=100000"]), seeds=[0])
    with ThreadPoolExecutor(1) as executor, pytest.raises(ZeroDivisionError):
        sweep(runs, tmp_path, engine=executor, progress=fail)
    assert set(read_manifest(tmp_path)["state"]) <= {"pending", "stopped"}


def test_a_manifest_that_cannot_be_used_is_explained(tmp_path):
    with pytest.raises(InputError, match="give the folder of a sweep"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="can't be read as a manifest"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "slingshot-sweep", "version": 9}))
    with pytest.raises(InputError, match="another version"):
        read_manifest(tmp_path)
    with pytest.raises(InputError, match="the sweep has no runs"):
        sweep([], tmp_path)
    with pytest.raises(InputError, match="unknown probe 'lihgt'; did you mean 'light'"):
        sweep([SMALL], tmp_path, probes="lihgt")


def test_a_setup_without_classes_is_swept_too(tmp_path):
    runs = plan_runs(override_all(find_setup("quadratic"), ["steps=30"]), seeds=[0, 1])
    assert list(sweep(runs, tmp_path, engine=Here())["state"]) == ["finished"] * 2
    assert "seed" in settings_of(runs[0])


# engines


@pytest.mark.slow
@pytest.mark.parametrize("count", [30, 200])
def test_dask_finishes_every_run_though_a_worker_is_killed(count, dask_cluster, tmp_path):
    address, workers = dask_cluster
    runs, killed = plan_runs(SMALL, seeds=range(count)), []

    def kill(status):
        if not killed and status.counts["finished"] >= count // 6:
            os.kill(workers[0].pid, signal.SIGKILL)
            killed.append(time.monotonic())
            workers[0].wait()
            assert status.counts["finished"] < count

    folder = tmp_path / "sweep"
    with open_engine("dask", scheduler=address) as engine:
        table = sweep(runs, folder, engine=engine, jobs=max(2, count // 4), progress=kill)
    assert killed
    assert workers[1].poll() is None
    assert list(table["state"]) == ["finished"] * count
    assert all(open_trace(folder / name).finished for name in table.index)
    assert len(table) == len(list(folder.glob("*.h5"))) == count


@pytest.mark.slow
def test_slurm_jobs_train_runs(four, tmp_path):
    pytest.importorskip("submitit", reason="submitit is not installed")
    table = sweep(four[:1], tmp_path, engine="slurm", slurm={"cluster": "local"})
    assert list(table["state"]) == ["finished"]
