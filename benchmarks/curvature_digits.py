"""Precision of curvature: a float32 model with a float64 loss, and float32 throughout, relative to float64.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/curvature_digits.py

parity_3_50 (seed 3) is trained through its slingshot at 19,091. At some states the largest eigenvalue of the Hessian,
the sharpness along the update and the secant sharpness are computed in each way, over all 1,000 training samples. The
table has the largest errors relative to a float64 model; `ms` is the time of a product.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import click
import numpy as np
import torch
from torch import Tensor

from slingshot_analysis.recording.curvature import (
    HessianOperator,
    MeanLoss,
    Solver,
    secant_sharpness,
    sharpness,
)
from slingshot_analysis.recording.curvature.samples import fixed_samples
from trainers.loop import updates
from trainers.run import Run
from trainers.setups import find_setup

STEPS = [100, 1000, 5000, 10_000, 15_000, 19_000, *range(19_080, 19_156, 3)]
SAMPLES, PRODUCTS = 1000, 20
SOLVER = Solver(tolerance=1e-4, most=100)


class Throughout(MeanLoss):
    """A mean loss that is also computed in the dtype of the model."""

    def outputs(self, *arguments: object) -> Tensor:
        """Return the model's outputs for a chunk, in its own dtype."""
        return super().outputs(*arguments).to(self.model_dtype)


def measure(mean_loss: MeanLoss, before: dict[str, Tensor], after: dict[str, Tensor]) -> list[float]:
    hessian = HessianOperator(mean_loss, before)
    update = mean_loss.flatten(after) - hessian.point
    found = (
        SOLVER.solve(hessian).values[0],
        sharpness(hessian, update),
        secant_sharpness(mean_loss, before, after),
    )
    start = time.perf_counter()
    for _ in range(PRODUCTS):
        hessian(update)
    return [*map(float, found), (time.perf_counter() - start) / PRODUCTS * 1e3]


def states(run: Run, steps: Sequence[int]) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    pairs, before = [], None
    for step in updates(run):
        now = (
            {name: p.detach().clone() for name, p in run.model.named_parameters()} if before or step in steps else None
        )
        if before:
            pairs.append((before, now))
        before = now if step in steps else None
    return pairs


@click.command()
def main() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    setup = dataclasses.replace(find_setup("parity_3_50"), steps=STEPS[-1] + 1)
    run = Run(setup, torch.device("cpu"))
    data = fixed_samples([(run.data.train_inputs, run.data.train_targets)], SAMPLES)
    ways = {
        "float64 throughout": MeanLoss(run.model, setup.loss_function, data, model_dtype=torch.float64),
        "float32 model, float64 loss": MeanLoss(run.model, setup.loss_function, data),
        "float32 throughout": Throughout(run.model, setup.loss_function, data, model_dtype=torch.float32),
    }
    pairs = states(run, STEPS)
    print(f"{len(pairs)} states of parity_3_50, seed {setup.seed}, {SAMPLES} samples, torch {torch.__version__}")
    print(f"{'way':<30}{'eigenvalue':>12}{'sharpness':>12}{'secant':>12}{'ms':>8}")
    found = {way: np.array([measure(loss, *pair) for pair in pairs]) for way, loss in ways.items()}
    true = found["float64 throughout"][:, :3]
    for way, values in found.items():
        errors = np.abs(values[:, :3] / true - 1).max(0)
        print(f"{way:<30}{errors[0]:>12.1e}{errors[1]:>12.1e}{errors[2]:>12.1e}{values[:, 3].mean():>8.2f}")


if __name__ == "__main__":
    main()
