"""Gradient scalers and clipping: skipped steps, scaled gradients, and what the trace says of them."""

import copy

import numpy as np
import pytest
import torch
from other_loops import PROBES, batches, mlp, norm_of, train
from torch import nn

from slingshot_analysis import InputError, Recorder, open_trace


class Overflowing:
    """Makes the gradients of some updates infinite, as float16 does."""

    def __init__(self, at):
        self.at, self.made = at, 0

    def __call__(self, model):
        if self.made in self.at:
            next(model.parameters()).grad.fill_(torch.inf)
        self.made += 1


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("skipped", [{0, 1, 4}, {3}, {9}])
def test_a_step_that_a_scaler_skips_is_no_update(tmp_path, attached, fused, skipped):
    model, overflow = mlp(), Overflowing(skipped)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    taken, losses = [], []
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=[*PROBES, "update_norm:1"]) as recorder:
        if attached:
            recorder.attach()
        for i, (inputs, targets) in enumerate(batches(10)):
            optimizer.zero_grad()
            logits = model(inputs)
            loss = nn.functional.cross_entropy(logits, targets)
            scaler.scale(loss).backward()
            overflow(model)
            if attached:
                recorder.batch(loss, logits, targets)
            else:
                scaler.unscale_(optimizer)
                recorder.update(loss, logits, targets)
            before = copy.deepcopy(list(model.parameters()))
            scaler.step(optimizer)
            scaler.update()
            if i not in skipped:
                losses.append(float(loss.detach()))
                taken.append(norm_of([a - b for a, b in zip(model.parameters(), before, strict=True)]))
    trace = open_trace(tmp_path / "run.h5")
    assert len(trace["batch_loss"]) == len(taken)
    assert trace["gradient_norm"].value[: len(taken)].max() < 10
    np.testing.assert_allclose(trace["batch_loss"].value[: len(taken)], losses, rtol=1e-5)
    np.testing.assert_allclose(trace["update_norm"].value[: len(taken)], taken, rtol=1e-4)


@pytest.mark.parametrize("follows", [False, True])
def test_micro_batches_of_a_step_that_was_skipped_are_forgotten(tmp_path, follows):
    model, made = mlp(), batches(12)
    optimizer = torch.optim.Adam(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    expected = []
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=PROBES).attach() as recorder:
        for i in range(0, 12, 3):
            optimizer.zero_grad()
            losses = []
            for inputs, targets in made[i : i + 3]:
                logits = model(inputs)
                loss = nn.functional.cross_entropy(logits, targets)
                losses.append(float(loss.detach()))
                if follows:
                    scaler.scale(loss / 3).backward()
                recorder.batch(loss, logits, targets)
                if not follows:
                    scaler.scale(loss / 3).backward()
            if i == 3:
                next(model.parameters()).grad.fill_(torch.inf)
            else:
                expected.append(np.mean(losses))
            scaler.step(optimizer)
            scaler.update()
    np.testing.assert_allclose(open_trace(tmp_path / "run.h5")["batch_loss"].value, expected, rtol=1e-6)


@pytest.mark.parametrize("follows", [False, True])
def test_two_backward_passes_of_one_step_keep_its_batch(tmp_path, follows):
    def sharpness_aware(recorder, optimizer, loss, logits, targets):
        recorder.attach() if not recorder.step else None
        if not follows:
            recorder.batch(loss, logits, targets)
        loss.backward(retain_graph=True)
        if follows:
            recorder.batch(loss, logits, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    trace, _ = train(tmp_path / "run.h5", batches(4), sharpness_aware)
    np.testing.assert_allclose(trace["batch_loss"].value, trace["batch_loss_float64"].value, rtol=1e-5)


def test_gradients_that_are_still_scaled_are_an_error(tmp_path):
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=65536.0)
    inputs, targets = batches(1)[0]
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=PROBES) as recorder:
        logits = model(inputs)
        loss = nn.functional.cross_entropy(logits, targets)
        scaler.scale(loss).backward()
        recorder.update(loss, logits, targets)
        with pytest.raises(InputError, match="65,536 times those that the optimizer gets"):
            scaler.step(optimizer)


def test_the_trace_says_that_gradients_were_recorded_before_clipping(tmp_path):
    def update(recorder, optimizer, loss, logits, targets):
        loss.backward()
        recorder.update(loss, logits, targets)
        nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 0.01)
        optimizer.step()

    trace, _ = train(tmp_path / "run.h5", batches(3), update)
    assert trace.attributes["gradients"] == "before clipping"
