"""The top Hessian eigenvalue along recorded trajectories: this solver beside power iteration, PyHessian and scipy.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/curvature.py

Each setup is trained as `slingshot record` does, and its states at windows of consecutive updates are kept. At each of
them every method finds the largest eigenvalue of the Hessian of the same float64 loss over the same samples, taking
turns, so that a machine that grows slower for a while does so for all. `products` are those with the Hessian, `ms` is
the whole call, from the parameters to the eigenvalue; the error is relative to Lanczos' method with a residual of 1e-6.
Power iteration starts from a random vector at each point and has PyHessian's rule: stop when the value changes by less
than 1e-3. PyHessian itself takes part where it can be imported, such as from `PYTHONPATH` after
``pip install --no-deps --target FOLDER pyhessian``. scipy's `eigsh` has its defaults; `eigsh, warm` starts from the
last vector with tolerance 1e-2 and `ncv=4`. The crossing at the end is made up: a second eigenvalue overtakes.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import importlib
import io
import time
import warnings
from collections.abc import Callable, Iterator

import click
import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from slingshot_analysis.recording.classification import cross_entropy
from slingshot_analysis.recording.curvature import (
    EigenvalueTracker,
    HessianOperator,
    MatrixOperator,
    MeanLoss,
    Solver,
    fixed_samples,
)
from slingshot_analysis.recording.curvature.operator import SymmetricOperator
from trainers.loop import Run, updates
from trainers.setups import find_setup

WINDOWS = {
    "parity_3_50": (range(1, 61), range(250, 310), range(2000, 2060), range(10_000, 10_060), range(13_000, 13_060)),
    "modular_division": (range(100, 112), range(1100, 1112)),
}
SAMPLES = {"parity_3_50": 1000, "modular_division": 512}

State = dict[str, Tensor]
Found = tuple[float, int]
"""Eigenvalue and number of products."""


class Counted:
    """An operator that counts its products."""

    def __init__(self, operator: SymmetricOperator) -> None:
        self.operator, self.products = operator, 0
        self.dimension, self.dtype, self.device = operator.dimension, operator.dtype, operator.device

    def __call__(self, vector: Tensor) -> Tensor:
        """Return the product."""
        self.products += 1
        return self.operator(vector)

    def scipy(self) -> LinearOperator:
        """Return the same for scipy."""
        shape = (self.dimension, self.dimension)
        return LinearOperator(shape, lambda v: self(torch.from_numpy(v.ravel())).numpy(), dtype=np.float64)


def trajectory(name: str, last: int | None) -> tuple[Run, Iterator[tuple[int, list[tuple[int, State]]]]]:
    """Train; yield each window's number and states."""
    windows = [[step for step in window if last is None or step <= last] for window in WINDOWS[name]]
    windows = [window for window in windows if window]
    run = Run(dataclasses.replace(find_setup(name), steps=windows[-1][-1]), torch.device("cpu"))

    def states() -> Iterator[tuple[int, list[tuple[int, State]]]]:
        kept: list[tuple[int, State]] = []
        i = 0
        for step in updates(run):
            if step in windows[i]:
                kept.append((step, {n: p.detach().clone() for n, p in run.model.named_parameters()}))
            if step == windows[i][-1]:
                yield i, kept
                kept, i = [], i + 1

    return run, states()


def tracked(mean_loss: MeanLoss) -> Callable[[State], Found]:
    tracker = EigenvalueTracker()

    def find(state: State) -> Found:
        top = tracker.follow(HessianOperator(mean_loss, state))
        return top.values.item(), top.products

    return find


def power(mean_loss: MeanLoss) -> Callable[[State], Found]:
    generator = torch.Generator().manual_seed(0)

    def find(state: State) -> Found:
        return power_iteration(HessianOperator(mean_loss, state), generator)

    return find


def power_iteration(operator: SymmetricOperator, generator: torch.Generator) -> Found:
    vector = torch.randn(operator.dimension, generator=generator, dtype=torch.float64)
    last, products = np.inf, 0
    while products < 100:
        products += 1
        vector = vector / vector.norm()
        product = operator(vector)
        value = float(vector @ product)
        if abs(value - last) < 1e-3 * (abs(last) + 1e-6):
            break
        last, vector = value, product
    return value, products


def scipy_eigsh(mean_loss: MeanLoss, warm: bool) -> Callable[[State], Found]:
    start: list[np.ndarray] = []

    def find(state: State) -> Found:
        operator = Counted(HessianOperator(mean_loss, state))
        options = {"tol": 1e-2, "ncv": 4, "v0": start[-1] if start else None} if warm else {}
        values, vectors = eigsh(operator.scipy(), 1, which="LA", **options)
        start.append(vectors[:, 0])
        return float(values[0]), operator.products

    return find


def pyhessian(run: Run, mean_loss: MeanLoss) -> Callable[[State], Found] | None:
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            module = importlib.import_module("pyhessian.hessian")
    except ImportError as error:
        print(f"PyHessian does not take part: {error}")
        return None
    model = copy.deepcopy(run.model).double()
    inputs, targets = (torch.cat(parts) for parts in zip(*((x, y) for x, y, _ in mean_loss.chunks), strict=True))
    products = [0]
    original = module.hessian_vector_product

    def counted(*arguments: object) -> object:
        products[0] += 1
        return original(*arguments)

    module.hessian_vector_product = counted

    def find(state: State) -> Found:
        model.load_state_dict(state, strict=False)
        model.zero_grad()
        torch.set_default_dtype(torch.float64)
        products[0] = 0
        try:
            with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of gradients that hold their own graph
                values, _ = module.hessian(model, cross_entropy, data=(inputs, targets), cuda=False).eigenvalues()
        finally:
            torch.set_default_dtype(torch.float32)
        model.zero_grad()
        return float(values[0]), products[0]

    return find


def compare(name: str, last: int | None) -> None:
    run, states = trajectory(name, last)
    data = fixed_samples([(run.data.train_inputs, run.data.train_targets)], SAMPLES[name])
    mean_loss = MeanLoss(run.model, run.setup.loss_function, data)
    print(f"\n{name}: {mean_loss.dimension} parameters, {sum(len(y) for _, y in data)} samples, float64")
    methods: dict[str, Callable[[State], Found] | None] = {
        "this solver": tracked(mean_loss),
        "power iteration": power(mean_loss),
        "PyHessian": pyhessian(run, mean_loss),
        "eigsh": scipy_eigsh(mean_loss, warm=False),
        "eigsh, warm": scipy_eigsh(mean_loss, warm=True),
    }
    present = {method: find for method, find in methods.items() if find is not None}
    everything: dict[str, list[tuple[float, float, float]]] = {method: [] for method in present}
    careful = Solver(tolerance=1e-5, most=300)
    for _, window in states:
        rows: dict[str, list[tuple[float, float, float]]] = {method: [] for method in present}
        for _, state in window:
            true = careful.solve(HessianOperator(mean_loss, state)).values.item()
            for method, find in present.items():
                begin = time.perf_counter()
                value, products = find(state)
                rows[method].append((products, time.perf_counter() - begin, abs(value / true - 1)))
        show(f"steps {window[0][0]} to {window[-1][0]}, {len(window)} points", rows)
        for method, values in rows.items():
            everything[method] += values
    show("all points", everything)


def show(title: str, rows: dict[str, list[tuple[float, float, float]]]) -> None:
    print(f"{title:<34}{'products':>9}{'ms':>9}{'x time':>8}{'max error':>11}")
    own = np.array(rows["this solver"])
    for method, values in rows.items():
        products, seconds, errors = np.array(values).T
        ratio = seconds.sum() / own[:, 1].sum()
        print(f"  {method:<32}{products.mean():>9.2f}{seconds.mean() * 1e3:>9.1f}{ratio:>8.2f}{errors.max():>11.1e}")


def crossing() -> None:
    """Show how often each way to start misses, by more than 1%, an eigenvalue that overtakes."""
    n, points = 400, 100
    basis, _ = torch.linalg.qr(torch.randn(n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    trackers = {"this solver": EigenvalueTracker(), "same without noise": EigenvalueTracker(noise=0)}
    starts: dict[str, Tensor] = {}
    missed = dict.fromkeys([*trackers, "last vector alone"], 0)
    for t in range(points):
        second = 1.5 + t / points
        eigenvalues = torch.cat([torch.tensor([2.0, second]), torch.linspace(-0.3, 1, n - 2)]).double()
        operator = MatrixOperator((basis * eigenvalues) @ basis.T)
        found = {name: tracker.follow(operator) for name, tracker in trackers.items()}
        found["last vector alone"] = Solver(least=1).solve(operator, starts.get("last"))
        starts["last"] = found["last vector alone"].vectors[0]
        for name, top in found.items():
            missed[name] += abs(top.values.item() / max(2.0, second) - 1) > 0.01
    print(f"\ncrossing, {points} points, misses: " + ", ".join(f"{name} {count}" for name, count in missed.items()))


@click.command()
@click.argument("setups", nargs=-1, type=click.Choice(list(WINDOWS)))
@click.option("--last", type=int, help="Last update of each trajectory.")
def main(setups: tuple[str, ...], last: int | None) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(f"one thread, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    for name in setups or WINDOWS:
        compare(name, last)
    crossing()


if __name__ == "__main__":
    main()
