"""Limits of gradients, updates and norms, and changes of the loss, against PyTorch and NumPy."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from slingshot_analysis import InputError, open_trace
from trainers.batch import batch_key, record_batch
from trainers.interventions import Interventions
from trainers.loop import updates
from trainers.losses import ChangedLoss
from trainers.recorded_run import record
from trainers.run import Run
from trainers.setups import find_setup

CPU = torch.device("cpu")


def short(**changes):
    return dataclasses.replace(find_setup("parity_3_50"), **{"steps": 30, **changes})


def states(setup):
    """Yield the weights after each update, by name."""
    run = Run(setup, CPU)
    yield {name: weight.detach().clone() for name, weight in run.model.named_parameters()}
    for _ in updates(run):
        yield {name: weight.detach().clone() for name, weight in run.model.named_parameters()}


def test_an_update_is_at_most_as_long_as_allowed_and_keeps_its_direction():
    free = [state for state, _ in zip(states(short()), range(2), strict=False)]
    move = torch.cat([(free[1][name] - free[0][name]).flatten() for name in free[0]])
    clipped = list(states(short(interventions=Interventions(clip_update=0.1))))
    moves = [
        torch.cat([(after[name] - before[name]).flatten() for name in before]) for before, after in pairwise(clipped)
    ]
    assert move.norm() > 0.1
    assert max(each.norm().item() for each in moves) == pytest.approx(0.1, rel=1e-4)
    assert functional.cosine_similarity(moves[0], move, 0).item() == pytest.approx(1, abs=1e-4)


def test_a_limit_that_is_not_reached_changes_no_bit():
    free = list(states(short()))[-1]
    limits = Interventions(clip_update=1e6, clip_gradient=1e6, clamped_layer="4", largest_norm=1e6)
    limited = list(states(short(interventions=limits)))[-1]
    assert all(torch.equal(free[name], limited[name]) for name in free)


def test_frozen_layers_stay_and_a_clamped_norm_does_not_grow():
    limits = Interventions(freeze="0+2.bias", clamped_layer="4", largest_norm=0.9)
    first, *_, last = states(short(interventions=limits))
    for name in first:
        assert torch.equal(first[name], last[name]) == (name in ("0.weight", "0.bias", "2.bias")), name
    assert last["4.weight"].norm().item() <= 0.9 + 1e-6


def test_a_clipped_gradient_is_recorded_as_the_optimizer_gets_it(tmp_path):
    setup = short(interventions=Interventions(clip_gradient=0.01))
    norm = open_trace(record(setup, tmp_path, probes=["norms:1"]))["gradient_norm"].value
    assert norm.max() <= 0.01 + 1e-8
    assert norm[0] == pytest.approx(0.01, rel=1e-4)


def test_interventions_differ_within_a_batch(tmp_path):
    setups = [
        short(dtype="float64"),
        short(dtype="float64", interventions=Interventions(freeze="2")),
        short(dtype="float64", interventions=Interventions(clip_update=0.1)),
        short(dtype="float64", orthogonal_gradient=True),
    ]
    assert len({batch_key(setup) for setup in setups}) == 1
    paths = [tmp_path / f"{i}.h5" for i in range(len(setups))]
    assert record_batch(setups, paths, probes="light") == ["finished"] * 4
    for setup, path in zip(setups, paths, strict=True):
        alone = open_trace(record(setup, tmp_path / "alone.h5", probes="light", overwrite=True))
        np.testing.assert_allclose(open_trace(path)["batch_loss"].value, alone["batch_loss"].value, 1e-9)


@pytest.mark.parametrize("loss", ["cross_entropy", "stablemax"])
def test_changed_losses_equal_their_definition(loss):
    logits, targets = 3 * torch.randn(16, 5, dtype=torch.float64), torch.randint(0, 5, (16,))
    found = ChangedLoss(loss, label_smoothing=0.2, z_loss=0.3, temperature=2.0)(logits, targets).item()
    if loss == "cross_entropy":
        plain = functional.cross_entropy(logits / 2, targets, label_smoothing=0.2)
    else:
        s = torch.where(logits >= 0, logits / 2 + 1, 1 / (1 - logits / 2))
        losses = -(s / s.sum(1, keepdim=True)).log()
        plain = 0.8 * losses.gather(1, targets[:, None]).mean() + 0.2 * losses.mean()
    assert found == pytest.approx(float(plain + 0.3 * logits.exp().sum(1).log().square().mean()))


def test_a_changed_loss_trains_alone_as_in_a_batch(tmp_path):
    setup = short(dtype="float64", label_smoothing=0.1, z_loss=1e-3, temperature=2.0)
    assert batch_key(setup) != batch_key(short(dtype="float64"))
    record_batch([setup], [tmp_path / "batch.h5"], probes="light")
    alone = open_trace(record(setup, tmp_path / "alone.h5", probes="light"))
    np.testing.assert_allclose(open_trace(tmp_path / "batch.h5")["batch_loss"].value, alone["batch_loss"].value, 1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Interventions(clip_update=-1), "clip_update is -1"),
        (lambda: Interventions(clamped_layer="4"), "belong together"),
        (lambda: short(temperature=0.0), "temperature above 0"),
        (lambda: Run(short(interventions=Interventions(freeze="head")), CPU), "layer 'head'"),
    ],
)
def test_what_can_not_be_done_is_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
