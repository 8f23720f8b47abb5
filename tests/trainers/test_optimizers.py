"""Optimizers against their textbook formulas, written out with NumPy."""

import dataclasses

import numpy as np
import pytest
import torch

from slingshot_analysis import InputError
from trainers.optimizers import OPTIMIZERS, SGD, Adam, AdamW, GenericAdaptive, RMSProp, as_kind, warm_up

GRADIENTS = np.random.default_rng(0).standard_normal((30, 7))
START = np.random.default_rng(1).standard_normal(7)


def trained(config):
    weight = torch.nn.Parameter(torch.tensor(START))
    train(weight, config.build([weight]), config, range(len(GRADIENTS)))
    return weight.detach().numpy()


def train(weight, optimizer, config, steps):
    for step in steps:
        weight.grad = torch.tensor(GRADIENTS[step])
        warm_up(optimizer, config.lr, step, config.warmup)
        optimizer.step()


def rates(config):
    return [config.lr * min(1, (step + 1) / max(config.warmup, 1)) for step in range(len(GRADIENTS))]


def adam(config, decay):
    w, m, v = START.copy(), np.zeros(7), np.zeros(7)
    b1, b2 = config.betas
    for t, (g, lr) in enumerate(zip(GRADIENTS, rates(config), strict=True), start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        w = w * (1 - lr * decay) - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + config.eps)
    return w


def rmsprop(config):
    w, v, b = START.copy(), np.zeros(7), np.zeros(7)
    for g, lr in zip(GRADIENTS, rates(config), strict=True):
        v = config.alpha * v + (1 - config.alpha) * g**2
        b = config.momentum * b + g / (np.sqrt(v) + config.eps)
        w = w - lr * b
    return w


def adaptive(config):
    w, m, v = START.copy(), np.zeros(7), np.zeros(7)
    b1, b2 = config.betas
    for g, lr in zip(GRADIENTS, rates(config), strict=True):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        w = w - lr * m / (np.sqrt(v) + config.eps)
    return w


def of_appendix_d(config):
    return START - sum(lr * g / (np.abs(g) + config.eps) for g, lr in zip(GRADIENTS, rates(config), strict=True))


def sgd(config):
    w, b = START.copy(), np.zeros(7)
    for g, lr in zip(GRADIENTS, rates(config), strict=True):
        b = config.momentum * b + g + config.weight_decay * w
        w = w - lr * b
    return w


@pytest.mark.parametrize("warmup", [0, 10])
@pytest.mark.parametrize(
    ("kind", "settings", "formula"),
    [
        (Adam, {"betas": (0.9, 0.98), "eps": 1e-3}, lambda config: adam(config, 0.0)),
        (AdamW, {"weight_decay": 0.3, "eps": 1e-8}, lambda config: adam(config, 0.3)),
        (RMSProp, {"alpha": 0.95, "momentum": 0.5}, rmsprop),
        (SGD, {"momentum": 0.9, "weight_decay": 0.1}, sgd),
        (GenericAdaptive, {"betas": (0.9, 0.98), "eps": 1e-3}, lambda config: adam(config, 0.0)),
        (GenericAdaptive, {"betas": (0.8, 0.95), "bias_correction": False}, adaptive),
        (GenericAdaptive, {"betas": (0.0, 0.0), "eps": 0.5}, of_appendix_d),
    ],
)
def test_updates_follow_the_formula(kind, settings, formula, warmup):
    config = kind(lr=0.02, warmup=warmup, **settings)
    np.testing.assert_allclose(trained(config), formula(config), rtol=1e-10)


@pytest.mark.parametrize(
    ("adaptive", "known"),
    [
        (GenericAdaptive(betas=(0.9, 0.98), eps=1e-6), Adam(betas=(0.9, 0.98), eps=1e-6)),
        (GenericAdaptive(betas=(0.0, 0.95), bias_correction=False), RMSProp(alpha=0.95)),
    ],
)
def test_known_methods_are_special_cases_of_the_generic_one(adaptive, known):
    np.testing.assert_allclose(trained(adaptive), trained(known), rtol=1e-12)


def test_the_generic_method_goes_on_from_its_state():
    config = GenericAdaptive(lr=0.02, betas=(0.9, 0.98), warmup=10)
    first = torch.nn.Parameter(torch.tensor(START))
    optimizer = config.build([first])
    train(first, optimizer, config, range(17))
    second = torch.nn.Parameter(first.detach().clone())
    resumed = config.build([second])
    resumed.load_state_dict(optimizer.state_dict())
    train(second, resumed, config, range(17, 30))
    assert np.array_equal(second.detach().numpy(), trained(config))


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_a_change_of_kind_keeps_what_both_have(kind):
    own = AdamW(lr=0.3, betas=(0.5, 0.6), eps=0.1, weight_decay=0.2, warmup=7)
    changed = as_kind(own, kind)
    assert type(changed) is kind
    for field in dataclasses.fields(kind):
        expected = getattr(own, field.name, field.default)
        assert getattr(changed, field.name) == expected


@pytest.mark.parametrize("wrong", [{"lr": -1}, {"betas": (0.9, 1.0)}, {"eps": float("nan")}, {"warmup": -3}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Adam(**wrong)
