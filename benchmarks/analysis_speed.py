"""Seconds and memory to analyze one long trace with ten signals at every step.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/analysis_speed.py

For each length, `TraceWriter` writes a trace with noisy cycles of norm growth, loss spikes and errors, and seven more
signals. Then ``slingshot analyze`` reads it in a separate process. The table has the wall time and the peak memory of
this process, and those of a process that only imports what the command imports.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from slingshot_analysis import Group, Quantity, TraceWriter

OTHERS = ("batch_loss_float64", "gradient_norm", "representation_norm", "total_norm", "train_loss")


def write(path: Path, steps: int, seed: int = 0) -> None:
    """Write a run with ten cycles."""
    random = np.random.default_rng(seed)
    step = np.arange(steps)
    cycle = steps // 10
    phase = step % cycle / cycle
    growth = np.where(phase > 0.8, (phase - 0.8) / 0.2, 0) * 0.3 + step // cycle * 0.3
    norm = np.exp(growth + 1e-6 * random.standard_normal(steps)) * np.log(step + 10)
    since = step % cycle
    spike = np.where(step > cycle, np.exp(-since / 40), 0)
    loss = (1e-7 + 0.5 * spike + np.exp(-step / 300)) * np.exp(0.3 * random.standard_normal(steps))
    errors = (random.random(steps) < np.minimum(1, spike + (step < 500))).astype(np.int64) * 4
    accuracy = np.minimum(1, 0.5 + 0.05 * (step // cycle)) + 0.003 * random.standard_normal(steps)
    values = {
        "last_layer_norm": norm,
        "batch_loss": loss,
        "batch_errors": errors,
        "val_accuracy": np.clip(accuracy, 0, 1),
        "train_accuracy": 1 - np.minimum(errors, 1) * 0.1,
        **{name: loss * (i + 1) if "loss" in name else norm * (i + 1) for i, name in enumerate(OTHERS)},
    }
    quantities = [Quantity(name, dtype="int64" if name == "batch_errors" else "float64") for name in values]
    with TraceWriter(path, [Group("every_1", quantities)]) as writer:
        for start in range(0, steps, 65_536):
            block = slice(start, start + 65_536)
            writer.append("every_1", step[block], **{name: value[block] for name, value in values.items()})


def run(code: str, *words: str) -> tuple[float, float, str]:
    """Run Python code in a process; return seconds, MiB and its output."""
    report = "import resource, atexit; atexit.register(lambda: print('KiB', resource.getrusage(0).ru_maxrss))\n"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", report + code, *words], capture_output=True, text=True, env=environment, check=True
    )
    seconds = time.perf_counter() - start
    *lines, last = done.stdout.strip().splitlines()
    return seconds, int(last.split()[1]) / 1024, "\n".join(lines)


@click.command()
@click.option("--steps", default="10000,100000,1000000", help="Lengths, separated by commas.")
def main(steps: str) -> None:
    analyze = "from cli.main import main; main(prog_name='slingshot')"
    idle_seconds, idle_memory, _ = run("import cli.analyze")
    print(f"{'steps':>10}{'file MB':>10}{'seconds':>10}{'MiB':>8}{'slingshots':>12}")
    print(f"{'(imports)':>10}{'':>10}{idle_seconds:>10.2f}{idle_memory:>8.0f}")
    with tempfile.TemporaryDirectory() as folder:
        for length in map(int, steps.split(",")):
            path = Path(folder) / f"{length}.h5"
            write(path, length)
            seconds, memory, text = run(analyze, "analyze", str(path))
            found = sum(" full " in line or " norm_only " in line for line in text.splitlines())
            print(f"{length:>10}{path.stat().st_size / 1e6:>10.1f}{seconds:>10.2f}{memory:>8.0f}{found:>12}")


if __name__ == "__main__":
    main()
