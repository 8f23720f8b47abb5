"""Mirrors get the rows of the trace, in order, and never end a run."""

import numpy as np
import pytest
import torch

from slingshot_analysis import InputError, Recorder, open_trace, read_log
from slingshot_analysis.recording import EffectiveStepQuantiles, Mirror


class Writer:
    """A SummaryWriter."""

    def __init__(self):
        self.points = []

    def add_scalar(self, name, value, step):
        self.points.append((name, value, step))

    def log(self, values, step):
        raise AssertionError("add_scalar is there")


class Run:
    """A run of Weights & Biases, whose steps must not decrease."""

    def __init__(self):
        self.rows = []

    def log(self, values, step):
        assert not self.rows or step > self.rows[-1][0], f"{step} after {self.rows[-1][0]}"
        self.rows.append((step, values))


class Broken:
    """A logger that fails from its third row on."""

    def __init__(self):
        self.calls = 0

    def log(self, values, step):
        self.calls += 1
        if self.calls == 3:
            raise ConnectionError("no\nnetwork")


def record(path, *mirrors, updates=1200, fails=False, **how):
    torch.manual_seed(0)
    inputs, targets = torch.randn(64, 10), torch.randint(0, 2, (64,))
    model = torch.nn.Sequential(torch.nn.Linear(10, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters())
    probes = how.pop("probes", "light")
    with Recorder(
        path, model, optimizer, train_data=(inputs, targets), mirrors=mirrors, probes=probes, **how
    ) as recorder:
        for _ in range(updates):
            logits = model(inputs)
            loss = torch.nn.functional.cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            recorder.update(loss, logits, targets)
            optimizer.step()
        if fails:
            raise RuntimeError("training failed")
    return open_trace(path).held()


@pytest.mark.parametrize(("seconds", "updates"), [(1e9, 1200), (0.0, 70), (0.05, 600)])
def test_every_scalar_arrives_once_and_by_increasing_step(tmp_path, seconds, updates):
    """Blocks are full after 512 rows, and rows of the evaluation come between those of the batch."""
    writer, run = Writer(), Run()
    trace = record(tmp_path / "run.h5", writer, run, updates=updates, flush_seconds=seconds)
    scalars = {name: trace[name] for name in trace if not trace.axes(name)}
    assert {"batch_loss", "train_accuracy", "total_norm"} <= set(scalars)
    for name, signal in scalars.items():
        mine = [(value, step) for given, value, step in writer.points if given == name]
        assert [step for _, step in mine] == signal.step.tolist()
        np.testing.assert_array_equal([value for value, _ in mine], signal.value)
        rows = {step: values[name] for step, values in run.rows if name in values}
        np.testing.assert_array_equal(list(rows), signal.step)
        np.testing.assert_array_equal(list(rows.values()), signal.value)
    assert {name for name, _, _ in writer.points} == set(scalars)


def test_rows_arrive_while_the_run_goes_on(tmp_path):
    class Watching(Run):
        def log(self, values, step):
            super().log(values, step)
            seen.append(torch.is_grad_enabled())

    seen = []
    run = Watching()
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters())
    inputs, targets = torch.randn(8, 4), torch.randint(0, 2, (8,))
    arrived = []
    with Recorder(tmp_path / "run.h5", model, optimizer, mirrors=[run], probes="light", flush_seconds=0.0) as recorder:
        for _ in range(10):
            logits = model(inputs)
            loss = torch.nn.functional.cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            recorder.update(loss, logits, targets)
            optimizer.step()
            arrived.append(len(run.rows))
    assert arrived == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_a_mirror_chooses_scalars_and_steps(tmp_path):
    writer, run = Writer(), Run()
    mirrors = Mirror(writer, ["batch_loss"], every=100), Mirror(run, ["train_loss", "batch_errors"], every=300)
    trace = record(tmp_path / "run.h5", *mirrors)
    assert [(name, step) for name, _, step in writer.points] == [("batch_loss", step) for step in range(0, 1200, 100)]
    assert [step for step, _ in run.rows] == [0, 300, 600, 900, 1200]
    assert set(run.rows[0][1]) == {"train_loss", "batch_errors"}
    assert len(trace["batch_loss"]) == 1200


def test_a_mirror_that_fails_is_warned_of_once_and_the_run_goes_on(tmp_path):
    broken, run = Broken(), Run()
    with pytest.warns(UserWarning, match="mirror") as warned:
        trace = record(tmp_path / "run.h5", broken, run)
    (message,) = {str(one.message) for one in warned}
    assert message == "the mirror Broken failed at step 2 and gets no more rows: ConnectionError: no network"
    assert len(warned) == 1
    assert broken.calls == 3
    assert len(run.rows) == len(trace["batch_loss"]) + 1  # the state after the last update
    assert trace.finished


def test_rows_of_a_run_that_fails_arrive_too(tmp_path):
    run = Run()
    with pytest.raises(RuntimeError, match="training failed"):
        record(tmp_path / "run.h5", run, updates=3, fails=True)
    assert [step for step, _ in run.rows] == [0, 1, 2]


def test_mirrors_change_no_weight_and_go_with_warnings(tmp_path):
    heard = []
    probes = ["batch", "norms", "precision", EffectiveStepQuantiles()]
    plain = record(tmp_path / "plain.h5", probes=probes, on_warning=heard.append)
    mirrored = record(tmp_path / "mirrored.h5", Run(), probes=probes, on_warning=heard.append)
    for name in plain:
        np.testing.assert_array_equal(plain[name].value, mirrored[name].value)


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        (lambda: object(), "mirrors=: object has no method add_scalar or log; give a SummaryWriter"),
        (lambda: Mirror(Run(), ["batch_los"]), "mirrors=: unknown scalar 'batch_los'; did you mean 'batch_loss'"),
        (lambda: Mirror(Run(), ["parameter_norm"]), "mirrors=: unknown scalar 'parameter_norm'"),
        (lambda: Mirror(Run(), every=0), "mirrors=: a Mirror of every 0 updates; give 1 or more"),
    ],
)
def test_mistakes_are_found_before_the_run(tmp_path, mirror, message):
    with pytest.raises(InputError) as error:
        record(tmp_path / "run.h5", mirror(), updates=1)
    assert str(error.value).startswith(message)
    assert not (tmp_path / "run.h5").exists()


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard.compat")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path / "tb") as writer:
        trace = record(tmp_path / "run.h5", Mirror(writer, ["batch_loss", "train_loss", "train_accuracy"]))
    (read,) = read_log(tmp_path / "tb")
    for name in ("train_loss", "train_accuracy"):
        np.testing.assert_array_equal(read[name].step, trace[name].step)
        np.testing.assert_array_equal(read[name].value, trace[name].value.astype(np.float32))


def test_an_offline_run_of_wandb(tmp_path):
    pytest.importorskip("wandb.sdk")
    import wandb

    settings = wandb.Settings(silent=True, console="off")
    with wandb.init(mode="offline", dir=tmp_path, project="mirrors", settings=settings) as run:
        record(tmp_path / "run.h5", Mirror(run, ["batch_loss", "train_loss"]), updates=600)
        assert run.step == 600
        assert run.summary["train_loss"] > 0
