"""Time and memory to read a million lines of text, compared with only splitting the lines.

Run ``python benchmarks/text_log.py`` (about a minute). Times are CPU seconds of one process.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from slingshot_analysis.readers import read_log

SHAPES: dict[str, Callable[[int], str]] = {
    "short": lambda k: f"step {k} loss {2 + 1 / (1 + k):.5f} lr 0.001",
    "pipes": lambda k: (
        f"2024-01-01 10:00:{k % 60:02d},123 - INFO - step {k:7d}/1000000 | loss: {2 + 1 / (1 + k):.4f} | lr 1.0e-04 | "
        f"norm: {1 + k % 7 / 10:.3f} | dt: {400 + k % 7}.81ms | tok/sec: 10970.07"
    ),
    "numbers": lambda k: (
        f"[2024-01-01 10:00:{k % 60:02d}] iteration {k:8d}/ 1000000 | consumed samples: {8 * k} | elapsed time "
        f"per iteration (ms): {400 + k % 7}.8 | learning rate: 1.0E-04 | lm loss: {2 + 1 / (1 + k):.6E} | "
        f"loss scale: 1.0 | grad norm: {1 + k % 9 / 10:.3f} |"
    ),
    "bars": lambda k: (
        f"\rEpoch 3: {k % 100:3d}%|{'█' * (k % 100 // 10)}{' ' * (10 - k % 100 // 10)}| {k}/1000000 "
        f"[{k // 3600 % 60:02d}:{k % 60:02d}<10:00, 12.{k % 10}it/s, loss={2 + 1 / (1 + k):.4f}]"
    ),
    "epochs": lambda k: (
        f"Epoch: [{k // 1000}][{k % 1000}/1000]\tTime 0.200 (0.215)\tLoss {2 + 1 / (1 + k):.4f} (2.1)\t"
        f"Acc@1 {k % 100:.2f} (50.00)"
    ),
    "dicts": lambda k: f"{{'loss': {2 + 1 / (1 + k):.5f}, 'grad_norm': 1.25, 'learning_rate': 5e-05, 'step': {k}}}",
    "prose": lambda k: (
        f"sample {k}: the quick brown fox {'abcdefghij'[k % 10] * (1 + k % 13)} jumps over {k % 17} dogs"
    ),
}
"""A line of each shape. In prose, one line in ten is a line with a loss."""


def main() -> None:
    """Time each shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("shapes", nargs="*", default=list(SHAPES))
    arguments = parser.parse_args()
    for shape in arguments.shapes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "train.log"
            with path.open("w") as file:
                for k in range(arguments.lines):
                    line = SHAPES["short"](k) if shape == "prose" and k % 10 == 0 else SHAPES[shape](k)
                    file.write(line + "\n")
            begin = time.process_time()
            lines = len(path.read_text().split("\n"))
            split = time.process_time() - begin
            begin = time.process_time()
            (run,) = read_log(path)
            spent = time.process_time() - begin
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"{shape}: {lines - 1:,} lines, {len(run['train_loss']):,} losses in {spent:.1f} s of CPU "
            f"(reading and splitting alone {split:.2f} s); at most {memory:.2f} GB so far"
        )


if __name__ == "__main__":
    main()
