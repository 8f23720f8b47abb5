"""Run ``python examples/csv_detectors.py [log.csv]``: the detectors, one by one, on the columns of anybody's CSV.

Without a file it writes log.csv into the current folder and reads that.
"""

import sys
from pathlib import Path

import numpy as np

from slingshot_analysis import detect_accuracy_jumps, detect_loss_spikes, detect_slingshots, read_log, segment_norm


def write_log(path: Path) -> None:
    """Write a log in which the norm grows, the loss spikes at 9,000, and the accuracy jumps."""
    step = np.arange(0, 20_000, 10)
    norm = np.exp(np.interp(step, [0, 500, 8000, 9000, 20_000], [0, 1, 1.1, 1.6, 1.65]))
    loss = np.exp(-step / 500) + np.where(step >= 9000, np.exp((9000 - step) / 300), 0)
    accuracy = np.where(step < 9050, 0.5, 0.9)
    rows = np.column_stack([step, norm, loss, accuracy])
    np.savetxt(path, rows, delimiter=",", header="iter,weight_norm,Loss/train,Acc/val", comments="")


if __name__ == "__main__":
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("log.csv")
    if len(sys.argv) == 1:
        write_log(file)
    (run,) = read_log(file)
    print(run)
    norm, loss, accuracy = (run[name] for name in ("total_norm", "train_loss", "val_accuracy"))
    for phase in segment_norm(norm.step, norm.value):
        print(f"{phase.kind} of the norm from {phase.start:,} to {phase.end:,}")
    for spike in detect_loss_spikes(loss.step, loss.value):
        print(f"loss spike at {spike.start:,}: {spike.outcome}")
    for jump in detect_accuracy_jumps(accuracy.step, accuracy.value):
        print(f"accuracy jump at {jump.step:,}: {jump.before:.2f} to {jump.after:.2f}")
    for slingshot in detect_slingshots(norm.step, norm.value, train_loss=loss):
        print(f"slingshot at {slingshot.transition:,}, confidence {slingshot.confidence:.2f}")
