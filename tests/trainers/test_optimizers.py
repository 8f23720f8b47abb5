"""Optimizers against their textbook formulas, written out with NumPy."""

import numpy as np
import pytest
import torch

from slingshot_analysis import InputError
from trainers.optimizers import SGD, Adam, AdamW, RMSProp, warm_up

GRADIENTS = np.random.default_rng(0).standard_normal((30, 7))
START = np.random.default_rng(1).standard_normal(7)


def trained(config):
    weight = torch.nn.Parameter(torch.tensor(START))
    optimizer = config.build([weight])
    for step, gradient in enumerate(GRADIENTS):
        weight.grad = torch.tensor(gradient)
        warm_up(optimizer, config.lr, step, config.warmup)
        optimizer.step()
    return weight.detach().numpy()


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
    ],
)
def test_updates_follow_the_formula(kind, settings, formula, warmup):
    config = kind(lr=0.02, warmup=warmup, **settings)
    np.testing.assert_allclose(trained(config), formula(config), rtol=1e-10)


@pytest.mark.parametrize("wrong", [{"lr": -1}, {"betas": (0.9, 1.0)}, {"eps": float("nan")}, {"warmup": -3}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Adam(**wrong)
