"""A run that was killed and resumed against one that was not: real processes, really killed."""

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from bundles import at_fixed_steps
from click.testing import CliRunner
from outside import outside

from cli.main import main
from slingshot_analysis import InputError, open_trace
from trainers import recorded_run
from trainers.batch import record_batch
from trainers.checkpoint import checkpoint_path, kept_checkpoints, load_checkpoint
from trainers.models.transformer import Transformer
from trainers.overrides import override_all, with_optimizer
from trainers.run import BatchOrder
from trainers.setup import check_settings, resolved
from trainers.setups import find_setup

RUN = [sys.executable, "-m", "cli.main", "record", "--probes", "light"]
PATIENCE = 120
SMALL = ["data.val=4", "data.train=16", "batch_size=8"]

FAMILIES = {
    "parity_3_50": (700, 150, None, []),
    "modular_division": (50, 9, None, ["batch_size=64"]),
    "s5_conjugation": (30, 7, "rmsprop", ["batch_size=32", "autocast=float16"]),
    "modular_division_normalized": (30, 7, None, ["batch_size=64", "loss=stablemax"]),
    "hypercube": (200, 40, "adaptive", ["orthogonal_gradient=true"]),
    "cifar10_fcn6_200": (40, 11, None, ["data.val=100"]),
    "cifar10_deep_linear_200_gd": (40, 11, None, ["data.val=100"]),
    "cifar10_vgg11_bn_200": (10, 3, "adamw", SMALL),
    "cifar10_vit_1000": (10, 3, None, ["model.layers=2", *SMALL]),
    "quadratic": (700, 100, None, []),
}
"""Updates, updates between checkpoints, optimizer and settings: an entry for each family, together every optimizer."""


needs_sigkill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")


def record(setup, *arguments, **options):
    return recorded_run.record(setup, *arguments, **{"probes": at_fixed_steps(setup)} | options)


def wait_for(condition, what):
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, what
        time.sleep(0.002)


def same_rows(trace, other):
    trace, other = trace.held(), other.held()
    assert trace.groups == other.groups
    for name in trace.names:
        np.testing.assert_array_equal(trace[name].step, other[name].step, err_msg=name)
        a, b = trace[name].value, other[name].value
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes(), name


def kill_after_the_second_checkpoint(trace, kill):
    checkpoint = checkpoint_path(trace)
    try:
        wait_for(checkpoint.exists, "the run has made no checkpoint")
        first = checkpoint.stat().st_ino
        wait_for(lambda: checkpoint.exists() and checkpoint.stat().st_ino != first, "it has made no second one")
    finally:
        kill()
    assert not open_trace(trace).finished, "the run was over before it was killed"


def resumed_at(trace):
    return [each["step"] for each in json.loads(trace.attributes["resumed"])]


@pytest.mark.slow
@needs_sigkill
@pytest.mark.parametrize("name", FAMILIES)
def test_killed_and_resumed_equals_uninterrupted(name, tmp_path):
    steps, every, optimizer, settings = FAMILIES[name]
    if name.startswith("cifar10"):
        settings = [*settings, f"data.folder={outside('cifar10')}"]
    setup = find_setup(name) if optimizer is None else with_optimizer(find_setup(name), optimizer)
    setup = override_all(setup, [f"steps={steps}", *settings])
    whole, killed = tmp_path / "whole.h5", tmp_path / "killed.h5"
    # the server has imported all that a run needs, so that a process costs no import
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["trainers.recorded_run"])
    options = {"device": "cpu", "checkpoint_every": every, "probes": at_fixed_steps(setup)}
    process = context.Process(target=recorded_run.record, args=(setup, killed), kwargs=options)
    process.start()

    def kill():
        process.kill()
        process.join()

    kill_after_the_second_checkpoint(killed, kill)
    record(setup, killed, device="cpu", checkpoint_every=every, resume=True)
    record(setup, whole, device="cpu")
    trace = open_trace(killed)
    assert trace.finished
    (step,) = resumed_at(trace)
    assert step > 0
    assert step % every == 0
    assert not checkpoint_path(killed).exists()
    same_rows(trace, open_trace(whole))


@needs_sigkill
def test_the_same_command_with_resume_goes_on(tmp_path):
    path = tmp_path / "run.h5"
    command = [*RUN, "--setup", "parity_3_50", "--steps", "3000", "--checkpoint-every", "250", "--out", str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def kill():
        process.kill()
        process.wait()

    kill_after_the_second_checkpoint(path, kill)
    resumed = CliRunner().invoke(main, [*command[3:], "--resume"])
    assert resumed.exit_code == 0, resumed.output
    record(short(steps=3000), tmp_path / "whole.h5", probes="light")
    assert len(resumed_at(open_trace(path))) == 1
    same_rows(open_trace(path), open_trace(tmp_path / "whole.h5"))


def interrupted(setup, path, at, **options):
    """Record until an exception is raised after `at` updates."""

    def stop(step, recorder):
        if step == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(setup, path, progress=stop, **options)


def short(steps=130, **changes):
    return dataclasses.replace(find_setup("parity_3_50"), steps=steps, **changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was not interrupted."""
    return record(short(), tmp_path_factory.mktemp("whole") / "run.h5")


@pytest.mark.parametrize(("at", "every"), [(7, 5), (100, 100), (101, 100), (12, 1), (3, 50)])
def test_resuming_at_any_step(whole, tmp_path, at, every):
    path = tmp_path / "run.h5"
    interrupted(short(), path, at, checkpoint_every=every)
    record(short(), path, checkpoint_every=every, resume=True)
    same_rows(open_trace(path), open_trace(whole))


def test_resuming_twice(whole, tmp_path):
    path = tmp_path / "run.h5"
    interrupted(short(), path, 31, checkpoint_every=10)
    start = open_trace(path).attributes["start_time"]
    interrupted(short(), path, 77, checkpoint_every=10, resume=True)
    record(short(), path, resume=True)
    trace = open_trace(path)
    same_rows(trace, open_trace(whole))
    assert resumed_at(trace) == [30, 70]
    assert trace.attributes["start_time"] == start


def test_resume_starts_what_has_not_begun_and_leaves_alone_what_is_finished(tmp_path):
    path = tmp_path / "run.h5"
    record(short(steps=20), path, resume=True)
    before = path.read_bytes()
    record(short(steps=20), path, resume=True)
    assert path.read_bytes() == before


def test_a_finished_trace_of_other_settings_is_not_taken_for_the_run(tmp_path):
    path = tmp_path / "run.h5"
    record(short(steps=20), path)
    before = path.read_bytes()
    for other in (short(steps=30), short(steps=20, seed=9)):
        with pytest.raises(InputError, match=r"run\.h5: belongs to a run with other settings \((seed|steps)\)"):
            record(other, path, resume=True)
        (state,) = record_batch([other], [path], resume=True)
        assert "belongs to a run with other settings" in state
    retitled = dataclasses.replace(short(steps=20), title="parity")
    assert record(retitled, path, resume=True).read_bytes() == before


def test_to_go_on_and_to_start_anew_exclude_each_other(tmp_path):
    path = record(short(steps=20), tmp_path / "run.h5")
    before = path.read_bytes()
    with pytest.raises(InputError, match="leave one of them out"):
        record(short(steps=20), path, resume=True, overwrite=True)
    assert path.read_bytes() == before


def test_a_file_of_somebody_else_at_the_place_of_the_checkpoint_is_kept(tmp_path):
    path = tmp_path / "run.h5"
    checkpoint_path(path).write_text("notes")
    record(short(steps=20), path)
    assert record_batch([short(steps=20)], [path], overwrite=True) == ["finished"]
    with pytest.raises(InputError, match=r"run\.checkpoint: is not a checkpoint of a run; move it away"):
        record(short(steps=20), path, checkpoint_every=10, overwrite=True)
    path.unlink()
    with pytest.raises(InputError, match=r"run\.checkpoint: can't be read as a checkpoint"):
        record(short(steps=20), path, resume=True)
    assert checkpoint_path(path).read_text() == "notes"


def test_without_a_checkpoint_there_is_nothing_to_resume(tmp_path):
    path = tmp_path / "run.h5"
    interrupted(short(), path, 40)
    rows = len(open_trace(path)["batch_loss"])
    with pytest.raises(InputError, match=r"run\.checkpoint: there is no checkpoint.*checkpoint_every="):
        record(short(), path, resume=True)
    assert len(open_trace(path)["batch_loss"]) == rows


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "run.h5"
    interrupted(short(), path, 40, checkpoint_every=20)
    with pytest.raises(InputError, match=r"other settings \(seed\)"):
        record(short(seed=5), path, resume=True)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "run.h5"
    interrupted(short(), path, 40, checkpoint_every=20)
    checkpoint_path(path).write_bytes(content)
    with pytest.raises(InputError, match=r"run\.checkpoint: can't be read as a checkpoint"):
        record(short(), path, resume=True)


def test_a_checkpoint_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "touched",)

    path = tmp_path / "run.h5"
    interrupted(short(), path, 40, checkpoint_every=20)
    torch.save({"format": Evil()}, checkpoint_path(path))
    with pytest.raises(InputError, match="can't be read as a checkpoint"):
        record(short(), path, resume=True)
    assert not (tmp_path / "touched").exists()


def test_a_new_run_does_not_go_on_from_an_old_checkpoint(tmp_path):
    path = tmp_path / "run.h5"
    interrupted(short(), path, 40, checkpoint_every=20)
    interrupted(short(), path, 10, overwrite=True)
    with pytest.raises(InputError, match="there is no checkpoint"):
        record(short(), path, resume=True)


def test_an_existing_trace_keeps_its_checkpoint(tmp_path):
    path = tmp_path / "run.h5"
    interrupted(short(), path, 40, checkpoint_every=20)
    before = checkpoint_path(path).read_bytes()
    with pytest.raises(InputError, match="exists"):
        record(short(), path, checkpoint_every=20)
    assert checkpoint_path(path).read_bytes() == before


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("taken", [0, 1, 5, 6, 7, 100])
def test_the_order_of_batches_goes_on(taken, drop_last):
    def order():
        return BatchOrder(samples=20, size=3, seed=1, device=torch.device("cpu"), drop_last=drop_last)

    batches = order()
    for _ in range(taken):
        next(batches)
    state = batches.state_dict()
    other = order()
    next(other)
    other.load_state_dict(state)
    for _ in range(15):
        assert torch.equal(next(batches), next(other))


def test_a_kept_incomplete_batch_ends_each_epoch():
    batches = BatchOrder(samples=20, size=3, seed=1, device=torch.device("cpu"), drop_last=False)
    for _ in range(3):
        alike, epoch = [], []
        for _ in range(7):
            alike.append(batches.equally_large)
            epoch.append(next(batches))
        assert [len(batch) for batch in epoch] == [3] * 6 + [2]
        assert alike == [6, 5, 4, 3, 2, 1, 1]
        assert sorted(torch.cat(epoch).tolist()) == list(range(20))


def test_complete_batches_are_the_same_whether_the_incomplete_one_is_kept_or_not():
    kept, dropped = (
        BatchOrder(samples=20, size=3, seed=1, device=torch.device("cpu"), drop_last=drop_last)
        for drop_last in (False, True)
    )
    for _ in range(3):
        for _ in range(6):
            assert torch.equal(next(kept), next(dropped))
        next(kept)


def test_a_file_from_before_a_field_was_there_has_its_value_of_then():
    setup = find_setup("modular_division")
    config = json.loads(json.dumps(resolved(dataclasses.replace(setup, drop_last=True, model=Transformer(norm="pre")))))
    del config["drop_last"], config["autocast"], config["model"]["norm"]
    path = Path("old.h5")
    check_settings(path, dataclasses.replace(setup, drop_last=True, model=Transformer(norm="pre")), config)
    with pytest.raises(InputError, match=r"other settings \(autocast\)"):
        check_settings(
            path, dataclasses.replace(setup, drop_last=True, model=Transformer(norm="pre"), autocast="bfloat16"), config
        )
    with pytest.raises(InputError, match=r"other settings .*drop_last, model\.norm"):
        check_settings(path, dataclasses.replace(setup, drop_last=False, model=Transformer(norm="post")), config)


@pytest.mark.parametrize(("keep", "steps"), [(None, [20, 40, 60, 80]), (2, [60, 80]), (0, [])])
def test_checkpoints_are_kept_after_the_run(keep, steps, tmp_path):
    path = record(short(steps=90), tmp_path / "run.h5", checkpoint_every=20, keep=keep)
    assert list(kept_checkpoints(path)) == steps
    assert not checkpoint_path(path).exists()
    for step, kept in kept_checkpoints(path).items():
        assert load_checkpoint(kept, short(steps=90))["recorder"]["step"] == step
    record(short(steps=30), path, overwrite=True)
    assert kept_checkpoints(path) == {}


def test_a_resumed_run_keeps_what_an_uninterrupted_one_keeps(tmp_path):
    path = tmp_path / "run.h5"
    interrupted(short(steps=90), path, 50, checkpoint_every=20, keep=None)
    assert list(kept_checkpoints(path)) == [20, 40]
    record(short(steps=90), path, checkpoint_every=20, keep=None, resume=True)
    assert list(kept_checkpoints(path)) == [20, 40, 60, 80]
