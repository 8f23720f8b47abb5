"""The largest Hessian eigenvalue along recorded trajectories: this solver, power iteration, PyHessian and SciPy.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/curvature.py

Each setup is trained, and its states in windows of consecutive updates are kept. Some windows are early; one goes
through the first slingshot, half before and half after the online trigger sees it. At each state every method finds the
largest eigenvalue of the Hessian of the same float64 loss over the same samples. The methods take turns, so that a
change of the machine's speed affects all of them. ``--points 20`` is a third of the work on parity.

`products` is the number of products with the Hessian. `ms` is the time of the whole call, from the parameters to the
eigenvalue. The columns `x` are multiples of what this solver takes. The error is relative to Lanczos' method from a
random vector with a residual of 1e-8.

Power iteration starts from a random vector at each point and has PyHessian's rule: it stops when the value changes by
less than 1e-3. PyHessian takes part if it can be imported, for example from `PYTHONPATH` after
``pip install --no-deps --target FOLDER pyhessian``. SciPy's `eigsh` has its defaults; `eigsh, warm` starts from the
last vector with tolerance 1e-2 and `ncv=4`. The crossing at the end is synthetic: a second eigenvalue overtakes
the first.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import importlib
import io
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import click
import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from slingshot_analysis.online_rules import TransitionTrigger
from slingshot_analysis.recording.curvature import (
    EigenvalueTracker,
    HessianOperator,
    MatrixOperator,
    MeanLoss,
    Solver,
    fixed_samples,
)
from slingshot_analysis.recording.curvature.operator import SymmetricOperator
from slingshot_analysis.recording.subject.losses import cross_entropy
from trainers.loop import updates
from trainers.run import Run
from trainers.setups import find_setup

ENDS = {"parity_3_50": (60, 309, 2059), "modular_division_prenorm": (304,)}
"""Last update of each early window."""
POINTS = {"parity_3_50": 60, "modular_division_prenorm": 10}
"""Number of points in a window."""
LONGEST = {"parity_3_50": 40_000, "modular_division_prenorm": 4000}
"""Updates within which the slingshot has to come."""
SAMPLES = {"parity_3_50": 1000, "modular_division_prenorm": 512}

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
        """Return the operator for SciPy."""
        shape = (self.dimension, self.dimension)
        return LinearOperator(shape, lambda v: self(torch.from_numpy(v.ravel())).numpy(), dtype=np.float64)


class Watch:
    """Tells when a slingshot begins."""

    def __init__(self) -> None:
        self.trigger, self.fired = TransitionTrigger(), False

    def __call__(self, loss: Tensor, logits: Tensor, targets: Tensor, indices: Tensor) -> None:
        """Read the loss of an update."""
        self.fired = self.trigger.update(loss.item())


def windows(run: Run, ends: Sequence[int], points: int) -> Iterator[tuple[str, list[State]]]:
    """Train, and yield the title and the states of each window. The window through the first slingshot is last."""
    recent: deque[State] = deque(maxlen=points)
    watch, slingshot = Watch(), None
    for step in updates(run, watch):
        recent.append({name: p.detach().clone() for name, p in run.model.named_parameters()})
        if watch.fired and slingshot is None:
            slingshot = step - 1
        through = slingshot is not None and step == slingshot + points // 2
        if step in ends or through:
            title = f"steps {step - len(recent) + 1} to {step}, {len(recent)} points"
            yield title + (f", slingshot at {slingshot}" if through else ""), list(recent)
        if through:
            return
    print(f"no slingshot within {run.setup.steps} updates")


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


def compare(name: str, points: int | None, seed: int | None) -> None:
    setup = dataclasses.replace(find_setup(name), steps=LONGEST[name])
    run = Run(setup if seed is None else dataclasses.replace(setup, seed=seed), torch.device("cpu"))
    data = fixed_samples([(run.data.train_inputs, run.data.train_targets)], SAMPLES[name])
    mean_loss = MeanLoss(run.model, run.setup.loss_function, data, model_dtype=torch.float64)
    samples = sum(len(y) for _, y in data)
    print(f"\n{name}, seed {run.setup.seed}: {mean_loss.dimension} parameters, {samples} samples, float64")
    methods: dict[str, Callable[[State], Found] | None] = {
        "this solver": tracked(MeanLoss(run.model, run.setup.loss_function, data)),
        "same in float64": tracked(mean_loss),
        "power iteration": power(mean_loss),
        "PyHessian": pyhessian(run, mean_loss),
        "eigsh": scipy_eigsh(mean_loss, warm=False),
        "eigsh, warm": scipy_eigsh(mean_loss, warm=True),
    }
    present = {method: find for method, find in methods.items() if find is not None}
    everything: dict[str, list[tuple[float, float, float]]] = {method: [] for method in present}
    careful = Solver(tolerance=1e-7, most=300)  # a tenth of that from a random vector
    for title, states in windows(run, ENDS[name], points or POINTS[name]):
        rows: dict[str, list[tuple[float, float, float]]] = {method: [] for method in present}
        for state in states:
            true = careful.solve(HessianOperator(mean_loss, state)).values.item()
            for method, find in present.items():
                begin = time.perf_counter()
                value, products = find(state)
                rows[method].append((products, time.perf_counter() - begin, abs(value / true - 1)))
        show(title, rows)
        for method, values in rows.items():
            everything[method] += values
    show("all points", everything)


def show(title: str, rows: dict[str, list[tuple[float, float, float]]]) -> None:
    print(f"{title}\n  {'':<20}{'products':>9}{'x':>7}{'ms':>9}{'x':>7}{'max error':>11}")
    own = np.array(rows["this solver"]).mean(0)
    for method, values in rows.items():
        products, seconds, _ = np.array(values).mean(0)
        error = max(row[2] for row in values)
        ratios = f"{products / own[0]:>7.2f}{seconds * 1e3:>9.1f}{seconds / own[1]:>7.2f}"
        print(f"  {method:<20}{products:>9.2f}{ratios}{error:>11.1e}", flush=True)


def crossing() -> None:
    """Show how often each way to start misses an overtaking eigenvalue by more than 1%."""
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
        starts["last"] = found["last vector alone"].vectors
        for name, top in found.items():
            missed[name] += abs(top.values.item() / max(2.0, second) - 1) > 0.01
    print(f"\ncrossing, {points} points, misses: " + ", ".join(f"{name} {count}" for name, count in missed.items()))


@click.command()
@click.argument("setups", nargs=-1, type=click.Choice(list(ENDS)))
@click.option("--points", type=click.IntRange(min=2), help="Points of each window.")
@click.option("--seed", type=int, help="Seed of the setups.")
def main(setups: tuple[str, ...], points: int | None, seed: int | None) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(f"one thread, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    for name in setups or ENDS:
        compare(name, points, seed)
    crossing()


if __name__ == "__main__":
    main()
