"""Runs with autocast against loops written out with PyTorch's own autocast and gradient scaler."""

import functools
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from cli.main import main
from slingshot_analysis import InputError, open_trace
from trainers import loss_scaling
from trainers.checkpoint import checkpoint_path
from trainers.loop import train
from trainers.overrides import override_all
from trainers.recorded_run import record
from trainers.run import Run
from trainers.setups import find_setup

CPU = torch.device("cpu")
CONFIGURATIONS = {
    "parity_3_50": ["steps=40", "model.width=16"],
    "modular_division": ["steps=8", "data.p=11", "batch_size=16", "model.width=16"],
}
OVERFLOWING = 2.0**30
"""A loss scale that the gradients of these networks overflow at."""


def setup_of(name, autocast, *settings):
    return override_all(find_setup(name), [*CONFIGURATIONS[name], f"autocast={autocast}", *settings])


@pytest.fixture
def overflowing(monkeypatch):
    """Let loss scales begin so high that the first updates are skipped."""
    scaler = functools.partial(torch.amp.GradScaler, init_scale=OVERFLOWING)
    monkeypatch.setattr(loss_scaling.torch.amp, "GradScaler", scaler)


class Gradients:
    """Stands in for a recorder and keeps what it sees."""

    def __init__(self, run):
        self.parameters, self.seen, self.dtypes = list(run.model.parameters()), [], []

    def __call__(self, loss, logits, targets, indices):
        self.seen.append(torch.cat([p.grad.flatten() for p in self.parameters]))
        self.dtypes.append((loss.dtype, logits.dtype))


def by_hand(setup, updates):
    """Return weights, gradients and number of batches of a loop as PyTorch's manual has it."""
    run = Run(setup, CPU)
    model, data, optimizer, made, batches, gradients = run.model, run.data, run.optimizer, 0, 0, []
    scaler = torch.amp.GradScaler("cpu", enabled=setup.autocast == "float16")
    while made < updates:
        batch, batches = next(run.batches), batches + 1
        for group in optimizer.param_groups:
            group["lr"] = setup.optimizer.lr * min(1, (made + 1) / max(setup.optimizer.warmup, 1))
        with torch.autocast("cpu", setup.torch_autocast):
            logits = model(data.train_inputs[batch])
        loss = nn.functional.cross_entropy(logits.float(), data.train_targets[batch])
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        flat = torch.cat([p.grad.flatten() for p in model.parameters()])
        scaler.step(optimizer)
        scaler.update()
        if flat.isfinite().all():
            made += 1
            gradients.append(flat)
    return torch.nn.utils.parameters_to_vector(model.parameters()), gradients, batches


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("autocast", ["bfloat16", "float16"])
def test_the_run_is_that_of_a_loop_by_hand(name, autocast, overflowing):
    setup = setup_of(name, autocast)
    run = Run(setup, CPU)
    recorder = Gradients(run)
    train(run, recorder)
    weights, gradients, batches = by_hand(setup, setup.steps)
    assert torch.equal(torch.nn.utils.parameters_to_vector(run.model.parameters()), weights)
    assert len(recorder.seen) == len(gradients) == setup.steps
    assert all(torch.equal(*pair) for pair in zip(recorder.seen, gradients, strict=True))
    assert recorder.dtypes == [(torch.float32, setup.torch_autocast)] * setup.steps
    assert (batches > setup.steps) == (autocast == "float16")  # a batch whose gradients overflow is no update


@pytest.mark.parametrize("autocast", ["bfloat16", "float16"])
def test_a_killed_run_goes_on_bit_for_bit(autocast, tmp_path, overflowing):
    class KilledError(Exception):
        pass

    def kill(step, recorder):
        if step == 25:
            raise KilledError

    setup, path = setup_of("parity_3_50", autocast), tmp_path / "killed.h5"
    with pytest.raises(KilledError):
        record(setup, path, device="cpu", probes="light", checkpoint_every=10, progress=kill)
    saved = torch.load(checkpoint_path(path), weights_only=True)["run"]
    if autocast == "float16":
        assert saved["scaler"]["scale"] < OVERFLOWING
        assert saved["scaler"]["_growth_tracker"] > 0
    killed = open_trace(record(setup, path, device="cpu", probes="light", checkpoint_every=10, resume=True))
    whole = open_trace(record(setup, tmp_path / "whole.h5", device="cpu", probes="light"))
    assert json.loads(killed.attributes["resumed"])[0]["step"] == 20
    assert killed.names == whole.names
    for name in whole.names:
        np.testing.assert_array_equal(killed[name].step, whole[name].step, err_msg=name)
        assert killed[name].value.tobytes() == whole[name].value.tobytes(), name
    assert len(whole["batch_loss"].step) == setup.steps
    assert np.isfinite(whole["batch_loss"].value).all()


def test_a_diverged_run_of_float16_ends_with_an_error(tmp_path):
    setup = setup_of("parity_3_50", "float16", "optimizer.lr=1e30")
    with pytest.raises(InputError, match="not finite at any loss scale"):
        record(setup, tmp_path / "run.h5", device="cpu", probes="light")
    assert not open_trace(tmp_path / "run.h5").finished


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["autocast=fp16"], "autocast is 'fp16'; allowed: none, bfloat16, float16"),
        (["dtype=float64", "autocast=bfloat16"], "autocast is 'bfloat16', which leaves float64 as it is"),
    ],
)
def test_what_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        override_all(find_setup("parity_3_50"), settings)


def test_the_command_line_takes_it(tmp_path):
    arguments = ["record", "--setup", "parity_3_50", "--steps", "3", "--probes", "light", "--out", str(tmp_path)]
    done = CliRunner().invoke(main, [*arguments, "--device", "cpu", "--autocast", "bfloat16"])
    assert done.exit_code == 0, done.output
    (path,) = tmp_path.glob("*.h5")
    assert path.name == "parity_3_50-s3-steps=3-autocast=bfloat16.h5"
    assert open_trace(path).config["autocast"] == "bfloat16"
