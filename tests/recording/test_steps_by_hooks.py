"""Steps that are recorded by the hooks of the optimizer: closures, micro-batches, wrapped optimizers."""

import numpy as np
import pytest
import torch
from other_loops import PROBES, batches, by_hook, by_update, mlp, norm_of, train
from torch import nn

from slingshot_analysis import Recorder, open_trace


def test_attached_and_called_recorders_write_the_same(tmp_path):
    called, model = train(tmp_path / "a.h5", batches(12), by_update)
    attached, same = train(tmp_path / "b.h5", batches(12), by_hook)
    assert all(map(torch.equal, model.parameters(), same.parameters()))
    assert called.names == attached.names
    for name in called.names:
        np.testing.assert_array_equal(called[name].value, attached[name].value)
    assert called.attributes["gradients"] == attached.attributes["gradients"] == "as the optimizer gets them"


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_with_a_closure_is_recorded_after_its_backward_pass(tmp_path, fused):
    model, made = mlp(), batches(5)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=fused)
    norms = []
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=PROBES).attach() as recorder:
        for inputs, targets in made:

            def closure(inputs=inputs, targets=targets):
                optimizer.zero_grad()
                logits = model(inputs)
                loss = nn.functional.cross_entropy(logits, targets)
                recorder.batch(loss, logits, targets)
                loss.backward()
                norms.append(norm_of([p.grad for p in model.parameters()]))
                return loss

            assert isinstance(optimizer.step(closure), torch.Tensor)
    trace = open_trace(tmp_path / "run.h5")
    np.testing.assert_allclose(trace["gradient_norm"].value, norms, rtol=1e-6)


def test_a_closure_that_is_called_several_times_makes_one_step(tmp_path):
    model, (inputs, targets) = mlp(), batches(1)[0]
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=["norms"]).attach() as recorder:

        def closure():
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)
        assert recorder.step == 3


def test_the_row_of_accumulated_micro_batches_is_that_of_the_whole_batch(tmp_path):
    inputs, targets = batches(1, size=12)[0]
    whole, _ = train(tmp_path / "whole.h5", [(inputs, targets)], by_hook)
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with Recorder(tmp_path / "parts.h5", model, optimizer, probes=PROBES).attach() as recorder:
        for rows in (slice(0, 3), slice(3, 12)):
            logits = model(inputs[rows])
            loss = nn.functional.cross_entropy(logits, targets[rows])
            recorder.batch(loss, logits, targets[rows])
            (loss * len(targets[rows]) / 12).backward()
        optimizer.step()
        assert recorder.step == 1
    parts = open_trace(tmp_path / "parts.h5")
    for name in whole.names:
        np.testing.assert_allclose(parts[name].value, whole[name].value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("settings", [{"ignore_index": 0}, {"weight": torch.tensor([1.0, 5.0, 0.5])}])
def test_micro_batches_are_weighted_as_the_loss_weighs_their_targets(tmp_path, settings):
    loss_of, (inputs, targets) = nn.CrossEntropyLoss(**settings), batches(1, size=12)[0]
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=["batch"], loss_function=loss_of).attach() as recorder:
        whole = float(loss_of(model(inputs), targets).detach())
        for rows in (slice(0, 5), slice(5, 12)):
            logits = model(inputs[rows])
            loss = loss_of(logits, targets[rows])
            recorder.batch(loss, logits, targets[rows])
            loss.backward()
        optimizer.step()
    assert open_trace(tmp_path / "run.h5")["batch_loss"].value[0] == pytest.approx(whole, rel=1e-6)


def test_micro_batches_of_several_lengths_are_joined(tmp_path):
    model = nn.Linear(4, 5)
    optimizer = torch.optim.Adam(model.parameters())
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=["batch"]).attach() as recorder:
        wrong = 0
        for length in (3, 7):
            logits, targets = model(torch.randn(2, length, 4)), torch.randint(5, (2, length))
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
            recorder.batch(loss, logits, targets)
            wrong += int((logits.argmax(-1) != targets).sum())
            loss.backward()
        optimizer.step()
    assert open_trace(tmp_path / "run.h5")["batch_errors"].value.tolist() == [wrong]


class Wrapped:
    """An optimizer as frameworks wrap it."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def step(self):
        self.optimizer.step()


def test_a_wrapped_optimizer_is_followed(tmp_path):
    model = mlp()
    optimizer = Wrapped(Wrapped(torch.optim.Adam(model.parameters())))
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=PROBES).attach() as recorder:
        for inputs, targets in batches(3):
            loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
        assert recorder.step == 3


def test_hooks_go_with_the_recorder(tmp_path):
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    recorder = Recorder(tmp_path / "run.h5", model, optimizer, probes=PROBES).attach()
    recorder.close()
    model(torch.zeros(2, 6)).sum().backward()
    optimizer.step()
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
