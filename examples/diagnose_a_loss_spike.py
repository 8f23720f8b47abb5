"""Run ``python examples/diagnose_a_loss_spike.py``: from a loss spike in a pretraining log to what may have caused it.

It writes pretraining.jsonl, as a trainer would, in which the learning rate is raised by mistake at update 2,000.
"""

import json
from pathlib import Path

import numpy as np

from slingshot_analysis import analyze

SPIKE, ROWS = 2000, 4000


def write_log(path: Path) -> None:
    """Write a log of a run that goes well until the learning rate is eight times as high for 50 updates."""
    random, step = np.random.default_rng(0), np.arange(ROWS)
    rate = np.where((step >= SPIKE) & (step < SPIKE + 50), 2.4e-3, 3e-4)
    loss = 2.5 + 8 * np.exp(-step / 300) + 0.02 * random.normal(size=ROWS)
    loss += np.where(step >= SPIKE, 1.5 * np.exp((SPIKE - step) / 60), 0) * np.minimum((step - SPIKE + 1) / 5, 1)
    gradient = 0.4 + 0.02 * random.normal(size=ROWS) + np.where(step >= SPIKE, 2 * np.exp((SPIKE - step) / 60), 0)
    with path.open("w") as file:
        for row in zip(step.tolist(), loss.tolist(), gradient.tolist(), rate.tolist(), strict=True):
            file.write(json.dumps(dict(zip(("step", "loss", "grad_norm", "lr"), row, strict=True))) + "\n")


if __name__ == "__main__":
    log = Path("pretraining.jsonl")
    write_log(log)
    found = analyze(log)
    for spike in found.loss_spikes:
        print(f"loss spike at {spike.start:,}, {spike.height:.2f} high: {spike.outcome}")
    for cause in found.diagnosis.causes:
        print(f"{cause.grade}: {cause.title}")
        for words in cause.speaks_for:
            print(f"  for it: {words}")
        for words in cause.speaks_against:
            print(f"  against it: {words}")
        for remedy in cause.remedies:
            print(f"  what people do: {remedy.what} ({remedy.source})")
    for check in found.diagnosis.unchecked:
        print(f"to log next time: {check.signal}: {check.tells}")
