"""Write the run of `made_runs.staircase`, up to each step that standard input names. Usage: PATH."""

import sys
from pathlib import Path

from slingshot_analysis.trace import Group, Quantity, TraceWriter


def main(path):
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from made_runs import staircase

    step, norm, loss = staircase(stride=1)
    group = Group("every_1", [Quantity("last_layer_norm"), Quantity("batch_loss", "nat")])
    written = 0
    with TraceWriter(path, [group], {"config": {"steps": 10_000}}) as writer:
        for line in sys.stdin:
            rows = slice(written, int(line))
            writer.append("every_1", step[rows], last_layer_norm=norm[rows], batch_loss=loss[rows])
            writer.flush()
            written = rows.stop
            print(written, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
