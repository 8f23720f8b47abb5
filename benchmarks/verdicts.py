"""Draw a made-up log for each verdict, as in ``docs/verdicts.png``.

Run it from the project's root::

    python benchmarks/verdicts.py docs/verdicts.png
"""

from __future__ import annotations

from pathlib import Path

import click
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from slingshot_analysis import analyze
from slingshot_analysis.synthetic import coarse_run, hostile_run, slingshot_run

SEED = 50_004
GIVEN = ("train_loss", "train_accuracy", "total_norm")
LOGS = {
    "slingshots": (coarse_run(SEED, "staircase"), GIVEN, "the norm grows, the loss jumps, the norm rests"),
    "spikes": (hostile_run(SEED, "spikes"), GIVEN, "the norm does not respond to the jumps"),
    "unstable": (hostile_run(SEED, "chaos"), GIVEN, "jumps at random times over a high floor"),
    "diverged": (hostile_run(SEED, "divergence"), GIVEN, "the loss rises for good"),
    "none": (hostile_run(SEED, "hump"), GIVEN, "the rise takes a tenth of the run"),
    "undecided": (slingshot_run(SEED, rows=2000), ("last_layer_norm",), "the norm breaks, and no loss was logged"),
}
"""Run, the signals of it that are given, and why the verdict is what it is."""


@click.command(help=__doc__)
@click.argument("picture", type=click.Path(path_type=Path))
def main(picture: Path) -> None:
    """Draw the picture."""
    figure, axes = plt.subplots(3, 2, figsize=(10, 7.5), layout="constrained")
    for axis, (verdict, (run, names, why)) in zip(axes.flat, LOGS.items(), strict=True):
        signals = {name: run.signals[name] for name in names}
        found = analyze(signals)
        assert found.verdict == verdict, f"{verdict}: the verdict is {found.verdict}"
        norm = signals[names[-1]]
        beside = axis
        if "train_loss" in signals:
            loss = signals["train_loss"]
            axis.semilogy(loss.step, np.maximum(loss.value, 1e-8), color="black", linewidth=0.8)
            axis.set_ylabel("training loss (nat)")
            beside = axis.twinx()
        beside.plot(norm.step, norm.value, color="tab:blue", linewidth=1.2)
        beside.set_ylabel("weight norm", color="tab:blue")
        for event in found.certain:
            axis.axvline(event.transition, color="tab:red", linewidth=0.6, linestyle=":")
        for event in found.certain_spikes:
            axis.axvline(event.transition, color="tab:gray", linewidth=0.6, linestyle=":")
        axis.set_title(f"{verdict}: {why}", loc="left", fontsize=10)
        axis.set_xlabel("updates")
    figure.savefig(picture, dpi=90)


if __name__ == "__main__":
    main()
