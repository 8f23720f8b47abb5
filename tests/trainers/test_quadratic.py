"""Appendix D's bound on the quadratic, against closed forms and NumPy."""

import dataclasses

import numpy as np
import pytest
import torch

from slingshot_analysis import InputError, open_trace
from trainers.loop import train
from trainers.models.quadratic import Quadratic
from trainers.optimizers import SGD
from trainers.overrides import override_all
from trainers.recorded_run import record
from trainers.run import Run
from trainers.setups import find_setup

CPU = torch.device("cpu")
SETUP = find_setup("quadratic")
MU, EPS = SETUP.optimizer.lr, SETUP.optimizer.eps


def with_norm(spectral_norm, distance, **changes):
    model = dataclasses.replace(SETUP.model, spectral_norm=spectral_norm, distance=distance)
    return dataclasses.replace(SETUP, model=model, **changes)


def parts(run):
    return run.model.A.numpy(), run.model.B.numpy(), run.model.x.weight.detach().numpy()[:, 0]


def distance_to_minimiser(run):
    A, B, x = parts(run)
    return np.linalg.norm(x + np.linalg.solve(A, B))


def trained(setup):
    run = Run(setup, CPU)
    train(run)
    return run


def test_the_loop_makes_the_papers_iteration():
    setup = dataclasses.replace(SETUP, steps=50)
    A, B, x = parts(Run(setup, CPU))
    for _ in range(setup.steps):
        g = A @ x + B
        x = x - MU * g / (np.abs(g) + EPS)
    np.testing.assert_allclose(parts(trained(setup))[2], x, rtol=1e-12)


def test_the_objective_is_the_quadratic_and_its_minimum_is_0():
    run = Run(SETUP, CPU)
    A, B, x = parts(run)
    f = x @ A @ x / 2 + B @ x + run.model.C.item()
    value = run.model(run.data.train_inputs)
    assert value.shape == (1,)
    assert value.item() == pytest.approx(f, rel=1e-12)
    from_minimum = x + np.linalg.solve(A, B)
    assert f == pytest.approx(from_minimum @ A @ from_minimum / 2, rel=1e-12)
    assert np.linalg.norm(from_minimum) == pytest.approx(1.0)
    assert np.linalg.norm(A, 2) == pytest.approx(1.9)
    np.testing.assert_allclose(A, A.T, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_is_sharp_near_the_minimiser(seed):
    # there |g| << ε, and the distance grows or falls like that of gradient descent with step μ/ε
    bound = 2 * EPS / MU
    below = Run(with_norm(0.98 * bound, 1e-8, seed=seed, steps=400), CPU)
    above = Run(with_norm(1.02 * bound, 1e-8, seed=seed, steps=400), CPU)
    for run, factor in (below, 0.96), (above, 1.04):
        A, B, x = parts(run)
        eigenvalues, vectors = np.linalg.eigh(A)
        component = abs(vectors[:, -1] @ (x + np.linalg.solve(A, B)))
        assert abs(1 - MU / EPS * eigenvalues[-1]) == pytest.approx(factor)
        train(run)
        if run is below:
            assert distance_to_minimiser(run) < 1e-12
        else:
            assert distance_to_minimiser(run) > 100 * component


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
@pytest.mark.parametrize("distance", [pytest.param(1e-6, marks=pytest.mark.slow), 1.0])
def test_from_anywhere_it_converges_below_the_bound_and_stays_bounded_above(seed, distance):
    bound = 2 * EPS / MU
    assert distance_to_minimiser(trained(with_norm(0.98 * bound, distance, seed=seed, steps=2000))) < 1e-12
    run = trained(with_norm(1.05 * bound, distance, seed=seed, steps=2000))
    A, B, x = parts(run)
    # it ends in a jump between x* + d and x* - d, where μ g/(|g| + ε) = 2d
    d, g = x + np.linalg.solve(A, B), A @ x + B
    assert 1e-6 < np.linalg.norm(d) < 10 * MU
    np.testing.assert_allclose(MU * g / (np.abs(g) + EPS), 2 * d, rtol=1e-6, atol=1e-12)


def test_the_cycle_of_one_dimension_has_the_gradient_of_the_closed_form():
    spectral_norm = 5 * EPS / MU
    run = trained(dataclasses.replace(SETUP, model=Quadratic(dimension=1, spectral_norm=spectral_norm), steps=3000))
    A, B, x = parts(run)
    assert abs(A @ x + B).item() == pytest.approx(MU * spectral_norm / 2 - EPS, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_gradient_descent_has_the_bound_2_over_mu_and_diverges_above(seed):
    setups = (with_norm(share * 2 / MU, 1.0, seed=seed, steps=1000, optimizer=SGD(lr=MU)) for share in (0.98, 1.02))
    below, above = (distance_to_minimiser(trained(setup)) for setup in setups)
    assert below < 1e-12
    assert above > 1e12


def test_the_trace_holds_no_classification(tmp_path):
    setup = dataclasses.replace(SETUP, steps=2000)
    trace = open_trace(record(setup, tmp_path))
    names = set(trace)
    assert {"batch_loss", "last_layer_norm", "gradient_norm", "update_norm"} <= names
    assert not names & {"batch_errors", "batch_loss_float64", "train_accuracy", "val_accuracy", "val_loss"}
    run = Run(setup, CPU)
    A, B, x = parts(run)
    assert trace["batch_loss"].value[0] == pytest.approx(run.model(run.data.train_inputs).item(), rel=1e-12)
    assert trace["last_layer_norm"].value[0] == pytest.approx(np.linalg.norm(x))
    assert trace["gradient_norm"].value[0] == pytest.approx(np.linalg.norm(A @ x + B))
    losses = trace["batch_loss"].value
    # below the bound every update lowers the objective, until rounding is all that is left
    falling = losses[:-1] > 1e-12
    assert (np.diff(losses)[falling] < 0).all()
    assert abs(losses[-1]) < 1e-14


def test_the_probes_asked_for_are_recorded_beside_the_objective(tmp_path):
    trace = open_trace(record(with_norm(1.9, 1.0, steps=30), tmp_path / "run.h5", probes=["hessian:10"]))
    np.testing.assert_allclose(trace["hessian_top_eigenvalues"].value, 1.9, rtol=1e-3)
    assert len(trace["batch_loss"]) == 30
    assert "update_norm" not in trace


@pytest.mark.parametrize("wrong", ["model.dimension=0", "model.spectral_norm=0", "model.distance=-1"])
def test_wrong_values_say_what_is_allowed(wrong):
    with pytest.raises(InputError, match="dimension of at least 1, a spectral norm above 0"):
        override_all(SETUP, [wrong])


@pytest.mark.parametrize("bundle", ["light", "standard", "full"])
def test_a_bundle_means_what_needs_no_classes(tmp_path, bundle):
    setup = dataclasses.replace(find_setup("quadratic"), steps=5)
    trace = open_trace(record(setup, tmp_path, probes=bundle))
    assert "total_norm" in trace
    assert "batch_errors" not in trace
