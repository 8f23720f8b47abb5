"""The training loop against the loop that it replaces: autograd, and an optimizer of each parameter."""

import dataclasses
from itertools import islice

import pytest
import torch

from trainers.interventions import orthogonalize_gradients
from trainers.loop import updates
from trainers.optimizers import SGD, Adam, AdamW, GenericAdaptive, RMSProp, warm_up
from trainers.overrides import override_all
from trainers.passes import Autograd, Chain, find_passes
from trainers.run import Run
from trainers.setups import find_setup
from trainers.stack import Stack

OPTIMIZERS = [
    Adam(lr=0.004, warmup=20),
    AdamW(lr=0.004, weight_decay=0.1),
    RMSProp(lr=0.002),
    RMSProp(lr=0.002, momentum=0.5),
    SGD(lr=0.1, momentum=0.9, weight_decay=0.01),
    GenericAdaptive(lr=0.002),
    GenericAdaptive(lr=0.002, betas=(0.0, 0.0), bias_correction=False),
]
INTERVENTIONS = [
    {"loss": "stablemax"},
    {"loss_dtype": "float64"},
    {"orthogonal_gradient": True},
    {"dtype": "float64"},
    {"drop_last": False, "batch_size": 30},
]


def plain_updates(run):
    setup, data, model, optimizer = run.setup, run.data, run.model, run.optimizer
    model.train()
    for step, batch in enumerate(run.batches):
        targets = data.train_targets[batch]
        loss = setup.loss_function(model(data.train_inputs[batch]).to(setup.torch_loss_dtype), targets)
        optimizer.zero_grad()
        loss.backward()
        if setup.orthogonal_gradient:
            orthogonalize_gradients(model.parameters())
        warm_up(optimizer, setup.optimizer.lr, step, setup.optimizer.warmup)
        optimizer.step()
        yield loss.item()


def assert_same_bits(setup, updates_made):
    plain, run, losses = Run(setup, torch.device("cpu")), Run(setup, torch.device("cpu")), []
    expected = list(islice(plain_updates(plain), updates_made))
    assert list(updates(run, lambda loss, *_: losses.append(loss.item()))) == list(range(1, updates_made + 1))
    assert losses == expected
    for mine, theirs in zip(run.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    states, others = run.optimizer.state_dict()["state"], plain.optimizer.state_dict()["state"]
    assert states.keys() == others.keys()
    for key, other in others.items():
        assert states[key].keys() == other.keys()
        for name, value in other.items():
            assert torch.equal(torch.as_tensor(states[key][name]), torch.as_tensor(value)), name


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_every_optimizer_makes_the_same_bits(optimizer):
    assert_same_bits(dataclasses.replace(find_setup("parity_3_50"), steps=60, optimizer=optimizer), 60)


@pytest.mark.parametrize("changes", INTERVENTIONS, ids=str)
def test_every_loss_and_intervention_makes_the_same_bits(changes):
    assert_same_bits(dataclasses.replace(find_setup("parity_3_50"), steps=60, **changes), 60)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("hypercube", []),
        ("quadratic", []),
        ("modular_division", ["model.width=16", "batch_size=32", "data.p=11"]),
        ("modular_division_prenorm", ["model.width=16", "batch_size=32", "data.p=11"]),
    ],
)
def test_other_networks_make_the_same_bits(name, settings):
    assert_same_bits(override_all(find_setup(name), ["steps=20", *settings]), 20)


def test_chains_are_written_out_and_other_networks_are_not():
    kinds = {}
    for name in ("parity_3_50", "hypercube", "quadratic", "s5_sandwich"):
        run = Run(find_setup(name), torch.device("cpu"))
        kinds[name] = type(find_passes(run, Stack([run], [0])))
    assert kinds == {"parity_3_50": Chain, "hypercube": Chain, "quadratic": Autograd, "s5_sandwich": Autograd}
