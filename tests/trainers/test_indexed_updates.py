"""Updates by index matrix and device counter, as benchmarks/gpu.py captures them, against the training loop."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from test_losses import Watch

from trainers.loop import train
from trainers.run import Run
from trainers.setups import find_setup

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu", Path(__file__).parents[2] / "benchmarks" / "gpu.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["parity_3_50", "hypercube"])
def test_they_are_those_of_the_training_loop_and_read_no_value(name, gpu):
    setup = dataclasses.replace(find_setup(name), steps=70)
    run, losses = Run(setup, CPU), []

    train(run, lambda loss, *_: losses.append(loss.clone()))
    indexed = gpu.IndexedUpdates(setup, CPU)
    with Watch() as watch:
        indexed.update(setup.steps)
    assert watch.waits == []
    assert watch.operations > 70 * 20
    assert torch.equal(indexed.losses, torch.stack(losses))
    assert torch.equal(indexed.weights, torch.nn.utils.parameters_to_vector(run.model.parameters()))
