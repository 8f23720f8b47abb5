"""Fit the weights of the confidence by logistic regression on synthetic runs, with cross-validation over families.

Run it from the project's root. It prints the weights for ``slingshot_analysis/slingshots/_confidence.py``::

    OMP_NUM_THREADS=1 python benchmarks/fit_confidence.py

A family is one style and shape of runs with slingshots, or one kind of run without. Each family is left out once, and
judged by weights that are fitted to the others. Seeds are below 50,000, because ``benchmarks/detection.py`` uses the
others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import click
import numpy as np
from scipy.optimize import minimize

from slingshot_analysis.events import Shape
from slingshot_analysis.slingshots._cycles import judge
from slingshot_analysis.slingshots._inputs import read_run
from slingshot_analysis.slingshots.assembly import find_anchors
from slingshot_analysis.synthetic import (
    HOSTILE_VERDICTS,
    NEGATIVE_KINDS,
    CoarseShape,
    Style,
    SyntheticRun,
    coarse_run,
    hostile_run,
    negative_run,
    slingshot_run,
)

JUDGED_BY_OTHER_RULES = {"chaos", "zero_chaos", "relaxation", "instability", "divergence"}
"""Kinds whose spikes are real; the verdict on them needs the whole run."""
SPIKES_ARE_REAL = {"spikes", "benign_spikes"}
"""Kinds whose spikes differ from slingshots only in the norm."""
MARGIN = 0.002
"""Largest distance between an event and its truth, as a fraction of the run, or three rows if that is more."""
PENALTY = 1e-3
"""Coefficient of the L2 penalty, which keeps the weights finite if the families are separable."""
LOSSES, ERRORS = ("batch_loss", "train_loss"), ("batch_errors", "train_errors", "train_accuracy")


def families(seeds: int) -> Iterator[tuple[str, SyntheticRun]]:
    for seed in range(seeds):
        for style in get_args(Style):
            for shape in get_args(Shape):
                rows = (1000, 2000, 20_000)[seed % 3]
                yield f"{style} {shape}", slingshot_run(seed, rows=rows, style=style, shape=shape)
        for shape in get_args(CoarseShape):
            yield f"coarse {shape}", coarse_run(seed, shape, digits=3 + seed % 2)
        for kind in set(NEGATIVE_KINDS) - JUDGED_BY_OTHER_RULES:
            made = negative_run(seed, kind, rows=(1000, 2000, 20_000)[seed % 3], underflow=bool(seed % 2))
            yield kind, made
            yield f"{kind}, errors", with_errors(made, seed)
        for hostile in set(HOSTILE_VERDICTS) - JUDGED_BY_OTHER_RULES:
            yield hostile, hostile_run(seed, hostile)


def with_errors(made: SyntheticRun, seed: int) -> SyntheticRun:
    """Return the run with a misclassified sample in each of a few batches, as hard samples cause in any training."""
    random = np.random.default_rng(seed)
    errors = made.signals["batch_errors"]
    rows = random.integers(len(errors) // 10, len(errors), 3)
    value = np.where(np.isin(np.arange(len(errors)), rows), 1, errors.value)
    return replace(made, signals=made.signals | {"batch_errors": replace(errors, value=value)})


def samples(seeds: int) -> dict[str, dict[str, list[Any]]]:
    """Return features and truths of spikes and of misclassification by family."""
    spikes: dict[str, list[Any]] = defaultdict(list)
    errors: dict[str, list[Any]] = defaultdict(list)
    growth: dict[str, list[Any]] = defaultdict(list)
    misclassified: dict[str, list[Any]] = defaultdict(list)
    for family, made in families(seeds):
        norm = made.signals.get("last_layer_norm", made.signals.get("total_norm"))
        loss = {name: made.signals[name] for name in LOSSES if name in made.signals}
        wrong = {name: made.signals[name] for name in ERRORS if name in made.signals}
        for given in ([norm, {}, wrong], [None, loss, {}], [None, loss, wrong], [norm, loss, {}], [norm, loss, wrong]):
            run = read_run(None, *given)
            step = next(iter([*run.losses.values(), *run.errors.values()])).step
            margin = max(MARGIN * (run.span[1] - run.span[0]), 3 * float(np.median(np.diff(step))))
            for each in judge(run, find_anchors(run)):
                right = bool((np.abs(made.transitions - each.anchor.start) <= margin).any())
                if each.anchor.decades > 0 and run.norm is not None:
                    growth[family].append((each.evidence.growth, right))
                if each.anchor.decades > 0 and run.errors:
                    misclassified[family].append((each.anchor.misclassified, right))
                if run.norm is None and each.anchor.decades > 0 and made.kind not in SPIKES_ARE_REAL:
                    spikes[family].append((each.evidence.spike_features[:-2], right))
                if each.anchor.misclassified and not run.losses:
                    errors[family].append((each.evidence.error_features, right))
    return {
        "spikes": spikes,
        "misclassified samples": misclassified,
        "growth of the norm": growth,
        "misclassification alone": errors,
    }


def fit(data: dict[str, list[Any]]) -> np.ndarray:
    """Fit an intercept and nonnegative weights. Each family of true or of false events has the same weight."""
    x, y, balance = [], [], []
    for truth in (True, False):
        groups = [[features for features, right in rows if right == truth] for rows in data.values()]
        groups = [group for group in groups if group]
        for group in groups:
            x += [[1.0, *features] for features in group]
            y += [float(truth)] * len(group)
            balance += [0.5 / len(groups) / len(group)] * len(group)
    inputs, truths, weight = np.array(x), np.array(y), np.array(balance) / sum(balance)

    def loss(w: np.ndarray) -> float:
        score = inputs @ w
        return float(weight @ (np.logaddexp(0, score) - truths * score) + PENALTY * (w[1:] ** 2).sum())

    bounds = [(None, None), *[(0, None)] * (inputs.shape[1] - 1)]
    return np.asarray(minimize(loss, np.zeros(inputs.shape[1]), bounds=bounds).x)


def report(name: str, data: dict[str, list[Any]]) -> None:
    """Print how well each family is judged by weights from the others, and the weights from all families."""
    click.echo(f"\n{name}: family left out, events, true, mean confidence of true and of false events, wrong at 0.5")
    wrong = total = 0
    for family, rows in data.items():
        weights = fit({other: each for other, each in data.items() if other != family})
        score = np.array([[1.0, *features] for features, _ in rows]) @ weights
        judged, truth = 1 / (1 + np.exp(-score)), np.array([right for _, right in rows])
        means = [f"{judged[part].mean():.3f}" if part.any() else "-" for part in (truth, ~truth)]
        errors = int(((judged >= 0.5) != truth).sum())
        wrong, total = wrong + errors, total + len(rows)
        click.echo(f"{family:>26} {len(rows):>6} {int(truth.sum()):>6} {means[0]:>8} {means[1]:>8} {errors:>6}")
    weights = fit(data)
    click.echo(f"{wrong} of {total} wrong; weights: {tuple(np.round(weights, 2).tolist())}")


def report_ratio(name: str, data: dict[str, list[Any]]) -> None:
    """Print how much more often true spikes have each feature than false ones, after adding one to each count."""
    shares, counts = [], []
    for truth in (True, False):
        found = [seen for rows in data.values() for seen, right in rows if right == truth]
        shares.append((sum(found) + 1) / (len(found) + 2))
        counts.append(len(found))
    click.echo(f"\n{name}: at {shares[0]:.3f} of {counts[0]} true and at {shares[1]:.4f} of {counts[1]} false spikes")
    click.echo(f"logarithm of the likelihood ratio: {np.log(shares[0] / shares[1]):.2f}")


@click.command()
@click.option("--seeds", default=12, show_default=True, help="Runs of each family.")
def main(seeds: int) -> None:
    for name, data in samples(seeds).items():
        (report_ratio if name in ("misclassified samples", "growth of the norm") else report)(name, data)


if __name__ == "__main__":
    main()
