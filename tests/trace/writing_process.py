"""Write a trace for ever, or to the end, and print how many rows are flushed. Usage: PATH SEED ROWS."""

import random
import sys

import numpy as np

from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Group, Quantity, TraceWriter

GROUPS = [
    Group("every_1", [Quantity("batch_loss"), Quantity("parameter_norm", axes=[Axis("parameter", ["a", "b"])])]),
    Group("every_3", [Quantity("val_loss")]),
]


def main(path: str, seed: int, end: int) -> None:
    rng = random.Random(seed)
    done = 0
    with TraceWriter(path, GROUPS) as writer:
        while done < end:
            rows = np.arange(done, done + rng.randint(1, 700))
            writer.append("every_1", step=rows, batch_loss=rows / 2, parameter_norm=np.column_stack([rows, -rows]))
            writer.append("every_3", step=3 * rows, val_loss=rows / 4)
            done += len(rows)
            if rng.random() < 0.5:
                writer.flush()
                print(done, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
