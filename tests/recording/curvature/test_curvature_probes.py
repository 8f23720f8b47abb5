"""The curvature probes in a recorder, against dense Hessians at copies of the states."""

import numpy as np
import pytest
import torch
from torch import nn

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import PROBES, Every, Hessian, Preconditioned, UpdateSharpness
from slingshot_analysis.recording.curvature import MeanLoss, hessian
from slingshot_analysis.recording.subject.losses import cross_entropy

CURVATURE = "hessian", "preconditioned", "update_sharpness"


class Watch:
    def __init__(self):
        self.states, self.moments = [], []

    def __call__(self, step, loop, logits, targets):
        self.states.append(torch.cat([p.detach().double().flatten() for p in loop.model.parameters()]))
        moments = [loop.optimizer.state[p].get("exp_avg_sq") for p in loop.model.parameters()]
        self.moments.append(torch.cat([v.double().flatten() for v in moments]) if step else None)


@pytest.fixture
def recorded(tmp_path, loop):
    training, watch = loop(), Watch()
    probes = [Hessian(Every(5), k=2), Preconditioned(Every(5)), UpdateSharpness(Every(5)), "norms"]
    path = tmp_path / "run.h5"
    with Recorder(path, training.model, training.optimizer, train_data=training.data, probes=probes) as recorder:
        training.run(30, recorder, watch)
    return open_trace(path).held(), watch, training


def loss_of(training):
    double = training.model.double()

    def loss(flat):
        sizes = [p.numel() for p in double.parameters()]
        parts = zip(double.named_parameters(), flat.split(sizes), strict=True)
        state = {name: part.view(p.shape) for (name, p), part in parts}
        logits = torch.func.functional_call(double, state, (training.inputs.double(),))
        return nn.functional.cross_entropy(logits, training.targets)

    return loss


def dense(training, point):
    return torch.autograd.functional.hessian(loss_of(training), point)


def test_every_value(recorded):
    trace, watch, training = recorded
    for row, step in enumerate(range(0, 30, 5)):
        w, u = watch.states[step], watch.states[step + 1] - watch.states[step]
        matrix = dense(training, w)
        expected = torch.linalg.eigvalsh(matrix).flip(0)[:2]
        np.testing.assert_allclose(trace["hessian_top_eigenvalues"].value[row], expected, rtol=1e-3)
        np.testing.assert_allclose(trace["max_stable_step"].value[row], 2 / expected[0], rtol=1e-3)
        assert (trace["hessian_residual"].value[row] <= 0.01 * expected.numpy()).all()
        assert 3 <= trace["hessian_products"].value[row] <= 40
        np.testing.assert_allclose(trace["update_sharpness"].value[row], u @ matrix @ u / (u @ u), rtol=1e-5)
        slopes = [torch.autograd.functional.jacobian(loss_of(training), point) for point in (w, w + u)]
        secant = (slopes[1] - slopes[0]) @ u / (u @ u)
        np.testing.assert_allclose(trace["secant_sharpness"].value[row], secant, rtol=1e-9)
        if step:
            p = (1 - 0.9**step) * ((watch.moments[step] / (1 - 0.999**step)).sqrt() + 1e-8)
            top = np.linalg.eigvals((matrix / p[:, None]).numpy()).real.max()
            np.testing.assert_allclose(trace["preconditioned_top_eigenvalue"].value[row], top, rtol=1e-3)
            np.testing.assert_allclose(trace["preconditioned_ratio"].value[row], top / (38 / 0.01), rtol=1e-3)
    assert np.isnan(trace["preconditioned_ratio"].value[0])
    assert trace["hessian_top_eigenvalues"].step.tolist() == [0, 5, 10, 15, 20, 25, 30]


def test_power_iteration_finds_the_same_eigenvalues_with_more_products(tmp_path, loop):
    def recorded(method):
        training, path = loop(), tmp_path / f"{method}.h5"
        probes = [Hessian(Every(5), method=method)]
        with Recorder(path, training.model, training.optimizer, train_data=training.data, probes=probes) as recorder:
            training.run(20, recorder)
        return open_trace(path).held()

    lanczos, power = recorded("lanczos"), recorded("power")
    found = power["hessian_top_eigenvalues"].value
    np.testing.assert_allclose(found, lanczos["hessian_top_eigenvalues"].value, rtol=1e-3)
    assert (power["hessian_residual"].value <= 0.01 * found).all()
    assert power["hessian_products"].value.sum() > lanczos["hessian_products"].value.sum()
    with pytest.raises(InputError, match="did you mean 'power'"):
        Hessian(method="powre")


def test_probes_at_one_state_share_the_graph(tmp_path, loop, monkeypatch):
    built = []
    build = hessian.HessianOperator._build
    monkeypatch.setattr(hessian.HessianOperator, "_build", lambda *args: built.append(1) or build(*args))
    training = loop()
    probes = [PROBES[name](every=Every(2)) for name in CURVATURE]
    with Recorder(
        tmp_path / "run.h5", training.model, training.optimizer, train_data=training.data, probes=probes
    ) as recorder:
        training.run(20, recorder)
    assert len(built) == 11  # at ten updates, and at the state after the last


def test_the_loss_is_computed_in_float64(loop):
    training = loop()
    mean_loss = MeanLoss(training.model, cross_entropy, [training.data])
    assert mean_loss.model_dtype == torch.float32
    assert mean_loss.flatten().dtype == mean_loss.gradient()[1].dtype == torch.float64


class Refuses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError("the derivative for the backward pass is not implemented")


class Once(torch.autograd.Function):
    """The identity, without a second derivative, like fused kernels."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return Refuses.apply(gradient)


def test_curvature_is_recorded_by_default_where_it_is_cheap_and_there_is_a_second_derivative(
    tmp_path, loop, monkeypatch
):
    def has_curvature(name):
        training = loop()
        if name == "once":
            training.model.register_forward_hook(lambda module, inputs, output: Once.apply(output))
        with Recorder(tmp_path / name, training.model, training.optimizer, train_data=training.data) as recorder:
            training.run(3, recorder)
        trace = open_trace(tmp_path / name)
        assert {"batch_loss", "features"} <= set(trace.names)
        return {"hessian_top_eigenvalues", "update_sharpness"} <= set(trace.names)

    assert has_curvature("small")
    assert not has_curvature("once")
    monkeypatch.setattr("slingshot_analysis.recording.probes._bundles.LARGEST_CURVATURE", 1000)
    assert not has_curvature("large")


def test_what_a_run_must_have(tmp_path, loop):
    training = loop()
    sgd = torch.optim.SGD(training.model.parameters(), lr=0.1)
    with pytest.raises(InputError, match="Adam or RMSprop, not SGD"):
        Recorder(tmp_path / "a.h5", training.model, sgd, train_data=training.data, probes=["preconditioned"])
    for name in CURVATURE:
        with pytest.raises(InputError, match="needs train_data"):
            Recorder(tmp_path / "b.h5", training.model, training.optimizer, probes=[name])


def test_rmsprop(tmp_path, loop):
    training = loop()
    training.optimizer = torch.optim.RMSprop(training.model.parameters(), lr=0.01)
    with Recorder(
        tmp_path / "a.h5",
        training.model,
        training.optimizer,
        train_data=training.data,
        probes=[Preconditioned(Every(5))],
    ) as recorder:
        training.run(5, recorder)
    w = torch.cat([p.detach().double().flatten() for p in training.model.parameters()])
    v = torch.cat([training.optimizer.state[p]["square_avg"].double().flatten() for p in training.model.parameters()])
    top = np.linalg.eigvals((dense(training, w) / (v.sqrt() + 1e-8)[:, None]).numpy()).real.max()
    trace = open_trace(tmp_path / "a.h5")
    np.testing.assert_allclose(trace["preconditioned_top_eigenvalue"].value[-1], top, rtol=1e-3)
    np.testing.assert_allclose(trace["preconditioned_ratio"].value[-1], top / (2 / 0.01), rtol=1e-3)
