"""What must hold for every setup, and for the template of a setup in docs/templates/setup.py."""

import dataclasses
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bundles import at_fixed_steps
from outside import outside

from slingshot_analysis import open_trace
from trainers.overrides import override_all
from trainers.recorded_run import record
from trainers.run import Run
from trainers.setup import settings_of
from trainers.setups import FAMILIES, SETUPS
from trainers.sweep.plan import as_text

DOCS = Path(__file__).parents[2] / "docs"

TRANSFORMER = {
    "model.layers": 2, "model.width": 128, "model.heads": 4, "model.norm": "post", "model.bias": False,
    "model.positions": "sines", "model.initialization": "pytorch", "data.train_share": 0.5, "batch_size": 512,
    "drop_last": False,
}  # fmt: skip
WARMED_UP = {"optimizer.lr": 1e-3, "optimizer.betas": (0.9, 0.98), "optimizer.eps": 1e-8, "optimizer.warmup": 10}
ADAM = {"optimizer.lr": 1e-3, "optimizer.betas": (0.9, 0.95), "optimizer.eps": 1e-8}
CIFAR = {"data.train": 200, "data.val": 10_000, "batch_size": 200}
DEEP_LINEAR = CIFAR | {"model.layers": 6, "model.linear": True}
OPERATIONS = (
    "addition", "subtraction", "multiplication", "division", "square_plus", "cube_plus", "sum_of_squares", "quadratic",
    "quadratic_plus", "cubic", "cubic_plus", "odd_divide_else_subtract", "even_add_else_multiply",
    "even_add_else_subtract",
)  # fmt: skip
S5 = ("multiplication", "conjugation", "sandwich")

PAPER = {
    "parity_3_50": {
        "data.n": 50,
        "data.k": 3,
        "data.train": 1000,
        "data.val": 8000,
        "model.layers": 3,
        "model.width": 128,
        "optimizer.lr": 0.004,
        "optimizer.betas": (0.9, 0.999),
        "optimizer.eps": 1e-8,
        "batch_size": 32,
        "dtype": "float32",
        "loss_dtype": "same",
    },
    "hypercube": ADAM
    | {"data.dimensions": 128, "data.informative": 3, "data.classes": 8, "data.train": 256, "data.val": 256}
    | {"model.layers": 4, "model.linear": False, "batch_size": 128, "steps": 60_000 * 2},
    "cifar10_fcn6_200": CIFAR | ADAM | {"model.layers": 6, "model.linear": False},
    "cifar10_linear_200": CIFAR | ADAM | {"model.layers": 1},
    "cifar10_mlp2_200": CIFAR | ADAM | {"model.layers": 2, "model.linear": False},
    "cifar10_mlp3_200": CIFAR | ADAM | {"model.layers": 3, "model.linear": False},
    "cifar10_deep_linear_200": DEEP_LINEAR | ADAM,
    "cifar10_deep_linear_200_rmsprop": DEEP_LINEAR
    | {"optimizer.lr": 1e-3, "optimizer.alpha": 0.95, "optimizer.momentum": 0.0},
    "cifar10_deep_linear_200_gd": DEEP_LINEAR
    | {"optimizer.lr": 1e-3, "optimizer.momentum": 0.9, "optimizer.weight_decay": 0.0},
    "cifar10_vgg11_200": CIFAR | ADAM | {"model.batch_norm": False},
    "cifar10_vgg11_bn_200": CIFAR | ADAM | {"model.batch_norm": True},
    "cifar10_vit_1000": ADAM | {"data.train": 1000, "data.val": 10_000, "model.layers": 12, "batch_size": 128},
    "cifar10_vit": {"optimizer.lr": 1e-4, "optimizer.betas": (0.9, 0.95), "optimizer.eps": 1e-8}
    | {"optimizer.weight_decay": 0.0, "optimizer.warmup": 97, "data.train": 50_000, "data.val": 10_000}
    | {"model.layers": 12, "model.width": 384, "model.heads": 12, "batch_size": 512},
    "modular_division_sgd": TRANSFORMER
    | {"data.operation": "division", "data.p": 97, "optimizer.lr": 0.01, "optimizer.momentum": 0.9, "steps": 1_500_000},
    "modular_division_weight_decay": TRANSFORMER
    | WARMED_UP
    | {"data.operation": "division", "data.p": 97, "optimizer.weight_decay": 0.1},
    "modular_division_normalized": TRANSFORMER
    | WARMED_UP
    | {"data.operation": "division", "data.p": 97, "model.temperature": 0.5},
    "modular_division_prenorm": {},
    "quadratic": {"optimizer.betas": (0.0, 0.0), "loss": "output"},
}
PAPER |= {
    f"modular_{operation}": {"data.operation": operation, "data.p": 97, "steps": 500_000} | TRANSFORMER | WARMED_UP
    for operation in OPERATIONS
}
PAPER |= {
    f"s5_{operation}": {"data.operation": operation, "data.n": 5, "steps": 500_000} | TRANSFORMER | WARMED_UP
    for operation in S5
}
"""Values that the paper, or the code to which it refers, states, by setup and dotted name of the field."""

ELSEWHERE = "none; Power et al., A.1.1"
FIGURES = {
    "parity_3_50": "6, 13-16",
    "hypercube": "18-21",
    "modular_division": "2-4, 22-24, 33-35, 50",
    "modular_addition": "3, 4, 26-28",
    "modular_cube_plus": "4, 29-32",
    "modular_even_add_else_subtract": "4, 36",
    "modular_multiplication": "3, 4, 37, 38",
    "modular_square_plus": "4, 39, 40",
    "modular_subtraction": "3, 4, 41-43",
    "modular_sum_of_squares": ELSEWHERE,
    "modular_quadratic": ELSEWHERE,
    "modular_quadratic_plus": ELSEWHERE,
    "modular_cubic": ELSEWHERE,
    "modular_cubic_plus": ELSEWHERE,
    "modular_odd_divide_else_subtract": ELSEWHERE,
    "modular_even_add_else_multiply": ELSEWHERE,
    "s5_multiplication": ELSEWHERE,
    "s5_conjugation": ELSEWHERE,
    "s5_sandwich": ELSEWHERE,
    "modular_division_sgd": "25",
    "modular_division_weight_decay": "44-46",
    "modular_division_normalized": "47-49",
    "modular_division_prenorm": "none",
    "cifar10_fcn6_200": "1, 8-12",
    "cifar10_linear_200": "1, 8-12",
    "cifar10_mlp2_200": "1, 8-12",
    "cifar10_mlp3_200": "1, 8-12",
    "cifar10_deep_linear_200": "1, 8-12, Table 1",
    "cifar10_deep_linear_200_rmsprop": "1, 8-12, Table 1",
    "cifar10_deep_linear_200_gd": "1, 8-12, Table 1",
    "cifar10_vgg11_200": "1, 8-12",
    "cifar10_vgg11_bn_200": "1, 8-12",
    "cifar10_vit_1000": "5, 7, 17",
    "cifar10_vit": "5, 7, 17",
    "quadratic": "App. D",
}
"""Figures of the paper that show each setup."""

IMAGES = ["steps=2", "data.val=8", "data.train=16", "batch_size=16"]
SMALL = {
    "modular": ["steps=4", "data.p=23", "batch_size=64"],
    "s5": ["steps=4", "data.n=4", "batch_size=64"],
    "cifar10_vgg": IMAGES,
    "cifar10_vit": [*IMAGES, "model.layers=2", "model.width=96"],
    "cifar10": ["steps=4", "data.val=100"],
}
"""Changes that make setups fast enough for a test, by the beginning of the name."""


def template():
    """Import docs/templates/setup.py, which is a module like those in trainers/setups/."""
    spec = importlib.util.spec_from_file_location("setup_template", DOCS / "templates" / "setup.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ALL = SETUPS | {setup.name: setup for setup in template().SETUPS}


def small(name):
    changes = next((changes for beginning, changes in SMALL.items() if name.startswith(beginning)), ["steps=4"])
    return override_all(ALL[name], changes)


class StoppedError(Exception):
    """Ends a run early."""


@pytest.fixture(autouse=True)
def cifar10(request, monkeypatch):
    """Let the setups with CIFAR-10 find its files; skip their training without."""
    if "cifar10" in request.node.name and ("trains" in request.node.name or "seed" in request.node.name):
        monkeypatch.setenv("SLINGSHOT_DATA", str(outside("cifar10")))


def test_no_two_setups_have_the_same_name():
    names = [setup.name for family in FAMILIES for setup in family.SETUPS]
    assert sorted(names) == sorted(SETUPS)


@pytest.mark.parametrize("name", SETUPS)
def test_the_values_are_those_of_the_paper(name):
    assert name in PAPER, (
        f"add an entry {name!r} to PAPER in tests/contract/test_every_setup.py: the values that the paper states, by "
        f"the name of the field, or {{}} if no paper states any. The fields are {', '.join(settings_of(SETUPS[name]))}"
    )
    fields = settings_of(SETUPS[name])
    assert {key: fields[key] for key in PAPER[name]} == PAPER[name]


@pytest.mark.parametrize("name", SETUPS)
def test_the_figures_are_those_of_the_table(name):
    assert name in FIGURES, (
        f"add an entry {name!r} to FIGURES in tests/contract/test_every_setup.py: the figures of the paper that show it"
    )
    assert SETUPS[name].figures == FIGURES[name]


def test_the_table_of_figures_has_no_other_setups():
    assert FIGURES.keys() == SETUPS.keys()


@pytest.mark.parametrize("name", SETUPS)
def test_the_page_of_experiments_has_it_with_its_figures(name):
    page = (DOCS / "experiments.md").read_text(encoding="utf-8").partition("\n## ")[0]
    rows = re.findall(rf"^\|[^|]*`{name}`[^|]*\|.*\| ([^|]*) \|$", page, re.MULTILINE)
    assert rows == [SETUPS[name].figures], (
        f"the table of setups in docs/experiments.md lacks the row: "
        f"| `{name}` | {SETUPS[name].title} | {SETUPS[name].figures} |"
    )


@pytest.mark.parametrize("name", ALL)
def test_every_field_can_be_given_as_text(name):
    setup = ALL[name]
    assert setup.title
    assert setup.figures
    assert override_all(setup, [f"{field}={as_text(value)}" for field, value in settings_of(setup).items()]) == setup


def like_another(name):
    """Return whether a setup trains the network of another one on other data, or VGG11, which test_images.py trains."""
    return name.startswith("cifar10_vgg") or (
        name.startswith(("modular_", "s5_")) and name.split("_", 1)[1] in OPERATIONS[:3] + OPERATIONS[4:] + S5[1:]
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if like_another(name) or name == "cifar10_vgg11_200" else name
        for name in ALL
    ],
)
def test_it_trains_and_resumes_to_the_same_bits(name, tmp_path):
    setup = small(name)
    probes = at_fixed_steps(setup)
    whole = open_trace(record(setup, tmp_path / "whole.h5", probes=probes)).held()
    assert whole.finished
    assert whole.attributes["setup"] == name
    assert len(whole["last_layer_norm"]) == setup.steps
    assert np.isfinite(whole["batch_loss"].value).all()
    assert ("val_accuracy" in whole) == (setup.loss != "output")

    def stop(step, recorder):
        if step == setup.steps - 1:
            raise StoppedError

    every = setup.steps // 2
    with pytest.raises(StoppedError):
        record(setup, tmp_path / "stopped.h5", checkpoint_every=every, probes=probes, progress=stop)
    resumed = open_trace(
        record(setup, tmp_path / "stopped.h5", checkpoint_every=every, probes=probes, resume=True)
    ).held()
    assert f'"step": {every}' in resumed.attributes["resumed"]
    for signal in whole.names:
        assert resumed[signal].step.tobytes() == whole[signal].step.tobytes()
        assert resumed[signal].value.tobytes() == whole[signal].value.tobytes(), signal


@pytest.mark.parametrize("name", ALL)
def test_the_seed_determines_data_and_initialisation(name):
    def start(seed):
        torch.rand(seed)
        run = Run(dataclasses.replace(small(name), seed=seed), torch.device("cpu"))
        return [run.data.train_inputs, *run.model.parameters()]

    first, again, other = start(1), start(1), start(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
