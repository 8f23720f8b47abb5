"""Trace, density, blocks and Gauss-Newton matrix in a recorder, against dense matrices at copies of the states."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import Every, GaussNewton, HessianBlocks, HessianDensity, HessianTrace, Probe

STEPS = range(0, 11, 5)
LAYERS = {layer: [f"{layer}.weight", f"{layer}.bias"] for layer in "024"}


def spectrum_probes() -> list[Probe]:
    every = Every(5)
    return [
        HessianTrace(every, products=120),
        HessianDensity(every, starts=8),
        HessianBlocks(every),
        GaussNewton(every, k=2),
    ]


class Reference:
    """The model of the loop in float64, at any of its states."""

    def __init__(self, training):
        self.model, self.inputs, self.targets = training.model.double(), training.inputs.double(), training.targets
        self.shapes = {name: p.shape for name, p in self.model.named_parameters()}

    def logits(self, point, names=None):
        names = list(self.shapes) if names is None else names
        parts = point.split([self.shapes[name].numel() for name in names])
        state = {name: part.view(self.shapes[name]) for name, part in zip(names, parts, strict=True)}
        return torch.func.functional_call(self.model, state, (self.inputs,))

    def move_to(self, point):
        nn.utils.vector_to_parameters(point, self.model.parameters())

    def point(self, names):
        return torch.cat([self.model.get_parameter(name).detach().flatten() for name in names])

    def hessian(self, names):
        return torch.autograd.functional.hessian(
            lambda point: nn.functional.cross_entropy(self.logits(point, names), self.targets), self.point(names)
        )

    def gauss_newton(self):
        point = self.point(self.shapes)
        jacobian = torch.autograd.functional.jacobian(self.logits, point)
        p = self.logits(point).softmax(1)
        of_outputs = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
        return torch.einsum("nci,ncd,ndj->ij", jacobian, of_outputs, jacobian) / len(p)


@pytest.fixture
def recorded(tmp_path: Path, loop):
    training, states = loop(), []

    def watch(step, loop, logits, targets):
        states.append(nn.utils.parameters_to_vector(loop.model.parameters()).detach().double())

    path = tmp_path / "run.h5"
    with Recorder(
        path, training.model, training.optimizer, train_data=training.data, probes=spectrum_probes()
    ) as recorder:
        training.run(11, recorder, watch)
    return open_trace(path).held(), states, Reference(training)


def test_every_value(recorded):
    trace, states, reference = recorded
    assert list(trace["hessian_block_top_eigenvalue"].axes[0].labels) == list(LAYERS)
    for row, step in enumerate(STEPS):
        reference.move_to(states[step])
        matrix = reference.hessian(list(reference.shapes))
        error = trace["hessian_trace_error"].value[row]
        assert trace["hessian_trace"].value[row] == pytest.approx(float(matrix.trace()), abs=4 * error)
        assert 0 < error < 0.1 * len(matrix) ** 0.5 * float(torch.linalg.eigvalsh(matrix).abs().max())
        of_layers = [float(torch.linalg.eigvalsh(reference.hessian(names))[-1]) for names in LAYERS.values()]
        np.testing.assert_allclose(trace["hessian_block_top_eigenvalue"].value[row], of_layers, rtol=1e-3)
        largest = torch.linalg.eigvalsh(reference.gauss_newton()).flip(0)[:2]
        np.testing.assert_allclose(trace["gauss_newton_top_eigenvalues"].value[row], largest, rtol=1e-3)
        nodes, weights = (trace[f"hessian_density_{what}"].value[row] for what in ("nodes", "weights"))
        assert weights.sum() == pytest.approx(1, abs=1e-12)
        assert nodes[-1] == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-6)
        assert weights @ nodes**2 == pytest.approx(float((matrix**2).sum()) / len(matrix), rel=0.5)


def test_a_small_model_has_nodes_to_spare(tmp_path: Path):
    model = nn.Linear(2, 2, bias=False)
    optimizer = torch.optim.Adam(model.parameters())
    data = torch.randn(8, 2), torch.randint(0, 2, (8,))
    with Recorder(
        tmp_path / "run.h5", model, optimizer, train_data=data, probes=[HessianDensity(starts=1, steps=6)]
    ) as recorder:
        nn.functional.cross_entropy(model(data[0]), data[1]).backward()
        recorder.update()
        optimizer.step()
    trace = open_trace(tmp_path / "run.h5")
    assert np.isnan(trace["hessian_density_nodes"].value[0]).tolist() == [False] * 4 + [True] * 2
    assert trace["hessian_density_weights"].value[0, 4:].tolist() == [0, 0]


def test_a_model_that_is_not_finite(tmp_path: Path, loop):
    training = loop()
    with torch.no_grad():
        next(training.model.parameters()).fill_(torch.inf)
    with Recorder(
        tmp_path / "run.h5", training.model, training.optimizer, train_data=training.data, probes=spectrum_probes()
    ) as recorder:
        training.run(2, recorder)
    trace = open_trace(tmp_path / "run.h5")
    for name in (
        "hessian_trace",
        "hessian_density_nodes",
        "hessian_block_top_eigenvalue",
        "gauss_newton_top_eigenvalues",
    ):
        assert np.isnan(trace[name].value).all(), name


def test_a_recorder_goes_on_with_the_same_values(tmp_path: Path, loop):
    """What is kept of the last search goes with a checkpoint: the searches after it are the same, bit for bit."""

    def record(path, training, updates, resume=None):
        data = {"train_data": training.data, "flight_recorder": False, "resume": resume}
        recorder = Recorder(path, training.model, training.optimizer, probes=spectrum_probes(), **data)
        training.run(updates, recorder)
        state = recorder.state_dict()
        recorder.close(finished=False)
        return state

    record(tmp_path / "whole.h5", loop(), 16)
    training = loop()
    state = record(tmp_path / "parts.h5", training, 8)
    record(tmp_path / "parts.h5", training, 8, resume=state)
    whole, parts = open_trace(tmp_path / "whole.h5").held(), open_trace(tmp_path / "parts.h5").held()
    assert len(whole["hessian_block_top_eigenvalue"]) == 4
    for name in whole:
        np.testing.assert_array_equal(parts[name].value, whole[name].value)


@pytest.mark.parametrize("name", ["hessian_trace", "hessian_density", "hessian_blocks", "gauss_newton"])
def test_a_run_without_data_is_refused(tmp_path: Path, loop, name):
    training = loop()
    with pytest.raises(InputError, match="needs train_data"):
        Recorder(tmp_path / "run.h5", training.model, training.optimizer, probes=[name])
