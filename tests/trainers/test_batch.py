"""Runs in lockstep against the same runs alone."""

import dataclasses
import gc
import weakref
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
import torch
from bundles import AT_FIXED_STEPS, at_fixed_steps
from outside import outside
from torch.utils._python_dispatch import TorchDispatchMode

from slingshot_analysis import InputError, Recorder, analyze, open_trace
from slingshot_analysis.recording import Budget
from slingshot_analysis.recording._rows import Rows
from slingshot_analysis.trace import TraceWriter
from trainers import recorded_run
from trainers.batch import batch_key, record_batch
from trainers.batch._lockstep import Lockstep, Member
from trainers.checkpoint import checkpoint_path
from trainers.optimizers import SGD, Adam, AdamW, GenericAdaptive, RMSProp
from trainers.overrides import override_all
from trainers.passes import fast_products, products_can_be_fast
from trainers.recorded_run import make_recorder
from trainers.run import Run
from trainers.setups import SETUPS, find_setup
from trainers.stack import Stack

NOISE = "zero_sum_violation"
"""Is itself made of rounding errors."""

SMALLER = {
    "parity": (50, ["data.val=100"]),
    "modular": (8, ["data.p=11", "model.width=16", "batch_size=16"]),
    "s5": (8, ["data.n=4", "model.width=16", "batch_size=16"]),
    "hypercube": (20, ["model.width=32"]),
    "quadratic": (50, []),
    "cifar10_vgg11": (2, ["data.val=4", "data.train=8", "batch_size=8"]),
    "cifar10_vit": (
        4,
        ["model.layers=2", "model.heads=2", "model.width=16", "data.val=4", "data.train=16", "batch_size=8"],
    ),
    "cifar10": (4, ["data.val=10"]),
}
"""Updates and settings that make each family fast."""

IN_FULL = "modular_division", "modular_division_sgd", "modular_division_normalized", "s5_conjugation"
"""Of the many that differ in their data only, those that are recorded with the standard bundle."""

LIKE_ANOTHER = {
    *(name for name in SETUPS if name.startswith(("modular", "s5")) and name not in IN_FULL),
    "cifar10_deep_linear_200_gd",
    "cifar10_mlp2_200",
    "cifar10_mlp3_200",
}
"""Setups that differ from another one in their data, depth or optimizer only."""


def smaller(name, *settings):
    steps, own = next(SMALLER[prefix] for prefix in SMALLER if name.startswith(prefix))
    if name.startswith("cifar10"):
        own = [*own, f"data.folder={outside('cifar10')}"]
    return override_all(find_setup(name), [f"steps={steps}", "dtype=float64", *own, *settings])


def varied(setup, runs=3):
    return [
        dataclasses.replace(
            setup,
            seed=seed,
            optimizer=dataclasses.replace(setup.optimizer, lr=setup.optimizer.lr * (1 + 0.1 * (seed % 2))),
        )
        for seed in range(runs)
    ]


def batch(folder, setups, **options):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i}.h5" for i in range(len(setups))]
    return record_batch(setups, paths, device="cpu", **default_probes(setups[0]) | options), paths


def record(setup, *arguments, **options):
    return recorded_run.record(setup, *arguments, **default_probes(setup) | options)


def default_probes(setup):
    return {"probes": at_fixed_steps(setup)}


def assert_same(path, other, rtol=1e-10, names=None):
    a, b = open_trace(path).held(), open_trace(other).held()
    assert a.finished
    assert b.finished
    assert a.groups == b.groups
    for name in a.names:
        assert a[name].value.dtype == b[name].value.dtype
        np.testing.assert_array_equal(a[name].step, b[name].step, err_msg=name)
        if name != NOISE and name in (names or a.names):
            size = np.nanmax(np.abs(b[name].value), initial=1e-300)
            np.testing.assert_allclose(a[name].value, b[name].value, rtol, rtol * size, err_msg=name)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LIKE_ANOTHER else name for name in SETUPS]
)
def test_every_setup_trains_as_alone(name, tmp_path):
    setup = smaller(name)
    if batch_key(setup) is None:
        assert name.startswith("cifar10_vgg")
        pytest.skip("too large to gain by a batch")
    setups = varied(setup)
    in_full = name in IN_FULL or not name.startswith(("modular", "s5"))
    probes = {} if in_full else {"probes": "light"}
    states, paths = batch(tmp_path, setups, **probes)
    assert states == ["finished"] * 3
    alone = record(setups[1], tmp_path / "alone.h5", device="cpu", **probes)
    assert_same(paths[1], alone)
    assert open_trace(paths[1]).attributes["config"] == open_trace(alone).attributes["config"]


@pytest.mark.parametrize("probes", ["light", "stability", ["batch:3", "norms:7", "evaluation:25"], ["norms"]])
def test_probes_see_what_they_see_alone(probes, tmp_path):
    setups = varied(smaller("parity_3_50", "steps=700", "data.train=64", "model.width=8"), runs=2)
    _, paths = batch(tmp_path, setups, probes=probes)
    for setup, path in zip(setups, paths, strict=True):
        alone = record(setup, tmp_path / "alone.h5", probes=probes, overwrite=True, device="cpu")
        assert_same(path, alone, 1e-6)
        assert_same_early(path, alone)


def test_the_samples_of_each_batch_are_those_that_the_run_draws(tmp_path):
    setups = varied(smaller("parity_3_50", "steps=30", "data.train=64", "model.width=8"), runs=2)
    _, paths = batch(tmp_path, setups, probes=["batch", "samples:3"])
    for setup, path in zip(setups, paths, strict=True):
        drawn = Run(setup, torch.device("cpu")).batches
        expected = np.stack([next(drawn).numpy() for _ in range(30)])[::3]
        alone = record(setup, tmp_path / "alone.h5", probes=["batch", "samples:3"], overwrite=True, device="cpu")
        for trace in (open_trace(path), open_trace(alone)):
            samples = trace["sample_index"].value
            np.testing.assert_array_equal(samples[:, : expected.shape[1]], expected)
            assert (samples[:, expected.shape[1] :] == -1).all()


@pytest.mark.parametrize("probes", [["batch"], ["batch", "norms:7", "update_norm:3"]])
def test_rows_reach_the_file_in_time(probes, tmp_path, monkeypatch):
    monkeypatch.setattr(Rows, "_flush_if_due", Rows.flush)
    setups, read = varied(smaller("parity_3_50", "model.width=8"), runs=2), []

    def watch(made, left):
        read.append(len(open_trace(tmp_path / "0.h5")["batch_loss"].step) - made // 2)

    _, paths = batch(tmp_path, setups, probes=probes, progress=watch)
    assert set(read[1:]) == {0}
    assert_same(paths[1], record(setups[1], tmp_path / "alone.h5", probes=probes, device="cpu"))


def assert_same_early(path, other, rtol=1e-10, updates=50):
    a, b = open_trace(path).held(), open_trace(other).held()
    for name in {"batch_loss", "parameter_norm"} & set(a.names):
        early = a[name].step < updates
        np.testing.assert_allclose(a[name].value[early], b[name].value[early], rtol, err_msg=name)


def test_optimizers_share_a_batch(tmp_path):
    optimizers = [
        Adam(lr=0.004, warmup=5),
        Adam(lr=0.004, warmup=5),
        Adam(lr=0.01, betas=(0.8, 0.95), eps=1e-4),
        AdamW(lr=0.003, weight_decay=0.1),
        RMSProp(lr=0.001, momentum=0.5),
        SGD(lr=0.1, momentum=0.9, weight_decay=0.01, warmup=20),
        SGD(lr=0.1),
        GenericAdaptive(lr=0.002, warmup=3),
    ]
    setup = smaller("parity_3_50", "model.width=16", "orthogonal_gradient=true")
    setups = [dataclasses.replace(setup, optimizer=optimizer, seed=i) for i, optimizer in enumerate(optimizers)]
    adaptive = [i for i, optimizer in enumerate(optimizers) if not isinstance(optimizer, SGD)]
    probes = [*AT_FIXED_STEPS, "effective_step:7", "effective_step_quantiles:9", "below_epsilon_fraction:10"]
    _, paths = batch(tmp_path / "adaptive", [setups[i] for i in adaptive], probes=probes)
    for i, path in zip(adaptive, paths, strict=True):
        assert_same(path, record(setups[i], tmp_path / f"{i}.h5", probes=probes, device="cpu"))
    _, paths = batch(tmp_path / "mixed", setups[4:])
    for setup, path in zip(setups[5:7], paths[1:], strict=False):
        assert_same(path, record(setup, tmp_path / "alone.h5", device="cpu", overwrite=True))


def test_float32(tmp_path):
    setups = varied(smaller("parity_3_50", "dtype=float32"))
    _, paths = batch(tmp_path, setups)
    for setup, path in zip(setups, paths, strict=True):
        alone = record(setup, tmp_path / "alone.h5", overwrite=True, device="cpu")
        assert_same_early(path, alone, 1e-4, updates=20)
        assert_same(path, alone, 0.02, ("batch_loss", "parameter_norm", "val_loss"))


PRODUCTS = {(8, 32, 50), (50, 8, 32)}


def test_adam_without_its_kernel_at_hand(tmp_path, monkeypatch):
    setups = varied(smaller("parity_3_50", "model.width=8"), runs=2)
    _, paths = batch(tmp_path / "kernel", setups)
    monkeypatch.setattr("trainers.stack.fused_adam", lambda: None)
    _, others = batch(tmp_path / "optimizer", setups)
    for path, other in zip(paths, others, strict=True):
        assert_same(path, other, 0)


def test_fast_products_are_asked_for_only_in_float32_and_of_known_shapes():
    assert not products_can_be_fast(PRODUCTS, torch.float64)
    assert not products_can_be_fast(set(), torch.float32)


def test_an_older_pytorch_has_no_fast_products(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "matmul", object())
    assert not products_can_be_fast(PRODUCTS, torch.float32)


@pytest.mark.skipif(
    not products_can_be_fast(PRODUCTS, torch.float32), reason="PyTorch computes these products in one way only here"
)
def test_fast_products_are_of_full_precision():
    before = torch.backends.mkldnn.matmul.fp32_precision
    weights, inputs = torch.randn(2, 8, 128, 50), torch.randn(2, 8, 32, 50)
    for w, x in zip(weights, inputs, strict=True):
        exact = w.double() @ x.double().mT
        with fast_products(True):
            found = torch.bmm(w, x.mT)
        assert (found - exact).norm() / exact.norm() < 3e-7
    assert torch.backends.mkldnn.matmul.fp32_precision == before


@pytest.mark.skipif(
    not products_can_be_fast(PRODUCTS, torch.float32), reason="PyTorch computes these products in one way only here"
)
def test_what_is_recorded_is_not_computed_by_fast_products(tmp_path, monkeypatch):
    settings, seen = torch.backends.mkldnn.matmul, []
    before, update = settings.fp32_precision, Recorder.update

    def watched(*args, **options):
        seen.append(settings.fp32_precision)
        update(*args, **options)

    monkeypatch.setattr(Recorder, "update", watched)
    batch(tmp_path, varied(smaller("parity_3_50", "steps=3", "dtype=float32")), probes=["norms"])
    assert seen == [before] * 9


@pytest.mark.parametrize("probes", ["light", AT_FIXED_STEPS])
def test_incomplete_batches_are_kept_as_alone(probes, tmp_path):
    settings = "data.train=108", "drop_last=false", "model.width=16"
    setups = varied(smaller("parity_3_50", *settings))
    _, paths = batch(tmp_path / "batch", setups, probes=probes)
    for setup, path in zip(setups, paths, strict=True):
        assert_same(path, record(setup, tmp_path / "alone.h5", device="cpu", overwrite=True, probes=probes))
        errors = open_trace(path)["batch_errors"].value
        assert errors[3::4].max() <= 108 - 3 * 32 < errors.max()


def test_runs_leave_without_touching_the_others(tmp_path):
    one, two, three = varied(smaller("parity_3_50", "data.train=64", "model.width=8", "steps=700"))
    short = dataclasses.replace(two, steps=300)
    wild = dataclasses.replace(three, optimizer=Adam(lr=1e308))
    states, paths = batch(tmp_path / "a", [one, short, wild], probes="light")
    assert states == ["finished", "finished", "diverged"]
    _, others = batch(tmp_path / "b", [one], probes="light")
    assert_same(paths[0], others[0], 1e-10)
    assert open_trace(paths[1])["batch_loss"].step.tolist() == list(range(300))
    diverged = open_trace(paths[2])
    assert diverged.finished
    assert 1 < len(diverged["batch_loss"].step) < 700
    assert not np.isfinite(diverged["batch_loss"].value[-1])
    assert analyze(diverged).verdict == "diverged"


def test_a_run_whose_last_update_overflows_has_diverged(tmp_path):
    setup = dataclasses.replace(smaller("parity_3_50", "data.train=64", "model.width=8", "steps=1"), dtype="float32")
    setups = [dataclasses.replace(setup, optimizer=SGD(lr=rate)) for rate in (1e40, 1e-3)]
    assert batch(tmp_path, setups)[0] == ["diverged", "finished"]


@pytest.mark.parametrize("optimizer", [Adam(), RMSProp(momentum=0.5), SGD(momentum=0.9), GenericAdaptive()])
def test_runs_of_one_optimizer_go_on_when_one_has_left(optimizer, tmp_path):
    setup = dataclasses.replace(smaller("parity_3_50", "model.width=8"), optimizer=optimizer)
    setups = [dataclasses.replace(setup, seed=seed, steps=steps) for seed, steps in enumerate((50, 20, 50))]
    _, paths = batch(tmp_path, setups)
    for setup, path in zip(setups, paths, strict=True):
        assert_same(path, record(setup, tmp_path / "alone.h5", device="cpu", overwrite=True))


def test_stacks_take_turns(tmp_path, monkeypatch):
    monkeypatch.setattr("trainers.batch.recorded_batch.LARGEST_STACK", 2)
    setups = varied(smaller("parity_3_50", "model.width=16"), runs=5)
    states, paths = batch(tmp_path, setups, checkpoint_every=20)
    assert states == ["finished"] * 5
    assert_same(paths[4], record(setups[4], tmp_path / "alone.h5", device="cpu"))


def test_an_error_of_one_run_stays_its_own(tmp_path):
    setups = varied(smaller("parity_3_50", "steps=10"))
    (tmp_path / "1.h5").write_text("precious")
    states, paths = batch(tmp_path, setups)
    assert states[::2] == ["finished", "finished"]
    assert states[1].startswith("failed: ")
    assert "1.h5" in states[1]
    assert paths[1].read_text() == "precious"
    assert open_trace(paths[2]).finished


def test_a_full_disk_ends_one_run_only(tmp_path, monkeypatch):
    append = TraceWriter.append

    def write(writer, *args, **values):
        if writer.path.name == "1.h5":
            raise InputError("no space left")
        append(writer, *args, **values)

    setups = varied(smaller("parity_3_50", "steps=600", "data.train=64", "model.width=8"))
    _, others = batch(tmp_path / "others", setups, probes="light")
    monkeypatch.setattr(TraceWriter, "append", write)
    states, paths = batch(tmp_path / "full", setups, probes="light")
    assert states == ["finished", "failed: no space left", "finished"]
    assert_same(paths[0], others[0], 1e-6)
    assert_same(paths[2], others[2], 1e-6)


@pytest.mark.slow
def test_runs_that_have_left_take_no_memory(tmp_path, monkeypatch):
    made, seen = [], []

    class Watched(Run):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(weakref.ref(self))

    def count(updates, left):
        gc.collect()
        seen.append((left, sum(run() is not None for run in made)))

    monkeypatch.setattr("trainers.batch.recorded_batch.Run", Watched)
    setup = smaller("parity_3_50", "model.width=8")
    batch(tmp_path, [dataclasses.replace(setup, seed=i, steps=8 + 8 * i) for i in range(4)], progress=count)
    # a run leaves after the call that no longer counts it
    assert all(alive <= before for (before, _), (_, alive) in pairwise(seen))
    assert seen[-1] == (0, 1)


def test_updates_made_together_are_so_many_that_their_logits_fit(tmp_path, monkeypatch):
    setups = varied(smaller("modular_addition"))
    monkeypatch.setattr("trainers.batch._lockstep.MOST_LOGITS", 5 * 3 * 16 * 11)
    members = []
    for i, setup in enumerate(setups):
        run, path = Run(setup, torch.device("cpu")), tmp_path / f"{i}.h5"
        members.append(Member(i, run, make_recorder(run, path, False, None, probes="light"), path, 0))
    lockstep = Lockstep(members)
    assert max(lockstep.advance(100) for _ in range(6)) <= 5


def test_what_holds_a_runs_state_sees_the_next_stack(tmp_path):
    """The flight recorder holds the second moments for 64 updates, and partners may leave at any."""
    runs = [Run(setup, torch.device("cpu")) for setup in varied(smaller("parity_3_50", "model.width=8"))]
    stack = Stack(runs, [0, 0, 0])
    stack.update()
    stack.share()
    weight = runs[2].model[0].weight
    held, first = runs[2].optimizer.state[weight]["exp_avg_sq"], weight.detach().clone()
    stack = Stack(runs[1:], [1, 1])
    stack.gradients["0.weight"].fill_(1)
    stack.update()
    assert not torch.equal(weight, first)
    assert (held > 0).all()
    assert held is runs[2].optimizer.state[weight]["exp_avg_sq"]


class KilledError(Exception):
    pass


def killed_after(updates):
    def progress(made, left):
        if made >= updates:
            raise KilledError

    return progress


@pytest.mark.parametrize("settings", [["data.train=64"], ["data.train=108", "drop_last=false"]])
def test_interrupted_runs_go_on_alone_and_in_batches(settings, tmp_path):
    setups = varied(smaller("parity_3_50", "steps=120", "model.width=16", "data.val=50", *settings), runs=4)
    _, whole = batch(tmp_path / "whole", setups)
    options = {"checkpoint_every": 25, "resume": True}
    for part, updates in ((setups[:2], 2 * 60), (setups[2:], 2 * 90)):
        folder = tmp_path / f"{len(part)}{updates}"
        with pytest.raises(KilledError):
            batch(folder, part, checkpoint_every=25, progress=killed_after(updates))
    first, second = (tmp_path / f"2{updates}" for updates in (120, 180))
    paths = [first / "0.h5", first / "1.h5", second / "0.h5", second / "1.h5"]
    assert not any(open_trace(path).finished for path in paths)
    assert all(checkpoint_path(path).stat().st_size < 3 * checkpoint_size(setups[0], tmp_path) for path in paths)
    record(setups[1], paths[1], device="cpu", **options)
    states = record_batch(setups, paths, device="cpu", **default_probes(setups[0]) | options)
    assert states == ["finished"] * 4
    assert not any(checkpoint_path(path).exists() for path in paths)
    for path, other in zip(paths, whole, strict=True):
        assert_same(path, other, 1e-9)


@pytest.mark.parametrize("begun", [0, 1])
def test_runs_that_have_begun_and_others_share_a_batch(begun, tmp_path):
    setups = varied(smaller("parity_3_50", "model.width=16", "data.train=64"), runs=2)
    paths = [tmp_path / f"{i}.h5" for i in range(2)]
    options = {"device": "cpu", "probes": AT_FIXED_STEPS}
    with pytest.raises(KilledError):
        record_batch([setups[begun]], [paths[begun]], checkpoint_every=10, progress=killed_after(10), **options)
    assert record_batch(setups, paths, resume=True, **options) == ["finished"] * 2
    for setup, path in zip(setups, paths, strict=True):
        assert_same(path, record(setup, tmp_path / "alone.h5", device="cpu", overwrite=True))


def test_a_trace_that_cannot_be_closed_leaves_none_open(tmp_path, monkeypatch):
    close = Recorder.close

    def refuse(recorder, *, finished):
        close(recorder, finished=finished)
        if recorder.path.name == "0.h5":
            raise InputError("no space left")

    monkeypatch.setattr(Recorder, "close", refuse)
    setups = varied(smaller("parity_3_50", "model.width=8"))
    with pytest.raises(KilledError):
        batch(tmp_path, setups, progress=killed_after(3 * 30))
    assert all(len(open_trace(tmp_path / f"{i}.h5")["batch_loss"].step) >= 30 for i in range(3))


def checkpoint_size(setup, folder):
    """Bytes of a checkpoint of the run alone."""
    path = folder / "alone.h5"

    def stop(step, recorder):
        if step == 60:
            raise KilledError

    if not path.exists():
        with pytest.raises(KilledError):
            record(setup, path, checkpoint_every=25, progress=stop, device="cpu")
    return checkpoint_path(path).stat().st_size


def test_curvature_of_a_batch_keeps_to_a_share_of_its_time(tmp_path, monkeypatch):
    charge, seen = Budget.charge, set()
    monkeypatch.setattr(Budget, "charge", lambda budget, *given: seen.add(budget.runs) or charge(budget, *given))
    states, paths = batch(tmp_path, varied(smaller("parity_3_50", "model.width=8")), probes="standard")
    assert states == ["finished"] * 3
    assert seen == {3}
    assert all(np.isfinite(open_trace(path)["hessian_top_eigenvalues"].value).all() for path in paths)


def test_keys():
    parity = find_setup("parity_3_50")
    key = batch_key(parity)
    assert key is not None
    same = ["seed=5", "steps=7", "optimizer.eps=1e-6", "data.train=500"]
    assert {batch_key(override_all(parity, [setting])) for setting in same} == {key}
    kept = {batch_key(override_all(parity, ["drop_last=false", setting])) for setting in same}
    assert len({key, *kept}) == 3  # all samples are visited, so the training sets are of one size
    other = ["batch_size=16", "model.width=64", "data.n=40", "dtype=float64", "loss_dtype=float64", "loss=stablemax"]
    assert len({key, *(batch_key(override_all(parity, [setting])) for setting in other)}) == 1 + len(other)
    assert batch_key(find_setup("modular_division")) is None
    assert batch_key(override_all(parity, ["autocast=bfloat16"])) is None
    assert batch_key(dataclasses.replace(parity, data=None)) is None  # what is wrong is told where it is trained
    small = ["model.width=16", "batch_size=16"]
    division, addition = (override_all(find_setup(f"modular_{name}"), small) for name in ("division", "addition"))
    assert batch_key(addition) is not None
    with pytest.raises(InputError, match="batch_key"):
        record_batch([parity, division], ["a.h5", "b.h5"])
    with pytest.raises(InputError, match="train those without a key alone"):
        record_batch([dataclasses.replace(parity, autocast="bfloat16")], ["a.h5"])


READS = "aten._local_scalar_dense", "aten.nonzero", "aten.is_nonzero", "aten.equal", "aten.masked_select", "aten.item"


class Reads(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.operations, self.reads = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operations += 1
        if str(func).startswith(READS):
            self.reads.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("optimizer", [RMSProp(momentum=0.5), GenericAdaptive(warmup=3)])
def test_an_update_never_waits_for_the_device(device, optimizer, tmp_path, monkeypatch):
    """On the meta device, whose tensors hold no data, reading a value is an error."""
    monkeypatch.setattr("slingshot_analysis.recording._rows.FLUSH_SECONDS", 1e9)
    monkeypatch.setattr(
        "trainers.batch._lockstep.TURN_SECONDS", 1e9
    )  # on a busy machine, fewer updates are made at once
    members = []
    layers = {"last_layer": "4", "feature_layers": ["1", "3"]}
    setups = varied(dataclasses.replace(smaller("parity_3_50"), optimizer=optimizer))
    for i, setup in enumerate(setups):
        run, path = Run(setup, torch.device(device)), tmp_path / f"{i}.h5"
        members.append(Member(i, run, make_recorder(run, path, False, None, probes=AT_FIXED_STEPS, **layers), path, 0))
    lockstep = Lockstep(members)
    with Reads() as watch:
        assert [lockstep.advance(5) for _ in range(4)] == [1, 2, 4, 5]
        assert watch.reads == []
        assert watch.operations > 100
    with Reads() as watch, pytest.raises(RuntimeError) if device == "meta" else nullcontext():
        members[0].run.model[0].bias.sum().item()
    assert watch.reads
