"""Snapshots and changes of a plain training loop."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from slingshot_analysis import InputError, Recorder
from slingshot_analysis.branching import Snapshot, changed, perturb


class Loop:
    """A loop that draws from every random state."""

    def __init__(self):
        self.model = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 2))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.generator = torch.Generator().manual_seed(1)

    def update(self):
        inputs = torch.randn(4, 5, generator=self.generator) * random.random() + np.random.rand()
        self.optimizer.zero_grad()
        self.model(inputs).square().mean().backward()
        self.optimizer.step()

    def weights(self):
        return torch.cat([weight.detach().flatten().clone() for weight in self.model.parameters()])


@pytest.fixture
def loop():
    loop = Loop()
    for _ in range(3):
        loop.update()
    return loop


def parts(loop):
    return {"model": loop.model, "optimizer": loop.optimizer, "generator": loop.generator}


def after(loop, snapshot, updates=5, **change):
    snapshot.restore()
    with changed(loop.optimizer, **change):
        for _ in range(updates):
            loop.update()
    return loop.weights()


def test_a_loop_repeats_from_its_snapshot_any_number_of_times(loop, tmp_path):
    snapshot = Snapshot(**parts(loop))
    snapshot.check(loop.update)
    control = after(loop, snapshot)
    assert torch.equal(after(loop, snapshot), control)
    snapshot.save(tmp_path / "state.pt")
    other = Loop()
    fresh = Snapshot(**parts(other))
    fresh.load(tmp_path / "state.pt")
    assert torch.equal(after(other, fresh), control)


def test_what_is_forgotten_is_found(loop):
    snapshot = Snapshot(model=loop.model, optimizer=loop.optimizer)
    with pytest.raises(InputError, match=r"after 10 updates from the same state, model\.0\.weight differs"):
        snapshot.check(loop.update)


def test_arms_change_what_they_say_and_only_within_the_block(loop):
    snapshot = Snapshot(**parts(loop))
    control = after(loop, snapshot)
    for change in ({"eps": 1e-2}, {"lr": 0.02}, {"clip_gradient": 1e-6}, {"reset": "second_moment"}):
        assert not torch.equal(after(loop, snapshot, **change), control), change
    assert loop.optimizer.param_groups[0]["eps"] == 1e-8
    assert torch.equal(after(loop, snapshot), control)
    snapshot.restore()
    first = loop.model[0].weight.clone()
    after(loop, snapshot, freeze=loop.model[0])
    assert torch.equal(loop.model[0].weight, first)


def test_a_null_arm_drifts_from_one_digit(loop):
    snapshot = Snapshot(**parts(loop))
    control = after(loop, snapshot)
    snapshot.restore()
    before = loop.weights()
    perturb(loop.model[2].weight, 3)
    assert (loop.weights() != before).sum() == 1
    for _ in range(5):
        loop.update()
    drift = (loop.weights() - control).abs().max().item()
    assert 0 < drift < 1e-3


def test_what_can_not_be_done_is_named(loop, tmp_path):
    with pytest.raises(InputError, match="loader= is list"):
        Snapshot(loader=[])
    with pytest.raises(InputError, match="momentum"), changed(loop.optimizer, momentum=0.9):
        pass
    with pytest.raises(InputError, match="reset"), changed(loop.optimizer, reset="all"):
        pass
    (tmp_path / "bad.pt").write_bytes(b"PK")
    with pytest.raises(InputError, match="can't be read as a snapshot"):
        Snapshot(model=loop.model).load(tmp_path / "bad.pt")


def test_a_warning_saves_a_state_from_which_the_run_goes_on(tmp_path):
    def made():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 2))
        return model, torch.optim.Adam(model.parameters(), lr=0.05), torch.Generator().manual_seed(1)

    def update(model, optimizer, generator, record=lambda *batch: None):
        which = torch.randint(len(inputs), (32,), generator=generator)
        logits = model(inputs[which])
        loss = nn.functional.cross_entropy(logits, targets[which])
        optimizer.zero_grad()
        loss.backward()
        record(loss, logits, targets[which])
        optimizer.step()

    model, optimizer, generator = made()
    inputs = 10 * torch.randn(128, 20)
    targets = (inputs[:, 0] > 0).long()
    snapshot, warned = Snapshot(model=model, optimizer=optimizer, generator=generator), []
    options = {"probes": ["batch", "precision"], "on_warning": warned.append, "train_data": (inputs, targets)}
    with Recorder(tmp_path / "run.h5", model, optimizer, **options) as recorder:
        while not warned:
            update(model, optimizer, generator, recorder.update)
        snapshot.take()
        snapshot.save(tmp_path / "warned.pt")
        for _ in range(20):
            update(model, optimizer, generator, recorder.update)
    other, its_optimizer, its_generator = made()
    saved = Snapshot(model=other, optimizer=its_optimizer, generator=its_generator)
    saved.load(tmp_path / "warned.pt")
    saved.restore()
    for _ in range(20):
        update(other, its_optimizer, its_generator)
    for one, same in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, same)
