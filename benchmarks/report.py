"""Size of the page of ``slingshot report``, and seconds and memory to make it.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/report.py
    OMP_NUM_THREADS=1 python benchmarks/report.py --runs 1 --steps 10000000 --log

Each run has eight signals at every step, and ten cycles. With ``--log``, it is a CSV file of step, norm, loss and
accuracy. ``slingshot analyze --format json`` and ``slingshot report`` then read the
same files, each in one process of its own. The seconds are those of the CPU, so that other work on the machine counts
little; the memory is the peak of the process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from slingshot_analysis import Group, Quantity, TraceWriter

FloatArray = npt.NDArray[np.float64]

USED = (
    "import atexit, resource, sys\n"
    "used = lambda: resource.getrusage(resource.RUSAGE_SELF)\n"
    "atexit.register(lambda: print(used().ru_utime + used().ru_stime, used().ru_maxrss, file=sys.stderr))\n"
    "from cli.main import main; main(prog_name='slingshot')"
)


def signals(step: FloatArray, steps: int, random: np.random.Generator) -> dict[str, FloatArray]:
    """Return eight signals that the page shows, with ten cycles in the run."""
    cycle = steps // 10
    number, since = step // cycle, step % cycle
    growth = np.maximum(since / cycle - 0.8, 0) * 1.5
    spike = np.where(number > 0, np.exp(-since / 40), 0)
    loss = (1e-7 + 0.5 * spike + np.exp(-step / 300)) * np.exp(0.3 * random.standard_normal(len(step)))
    accuracy = np.clip(0.5 + 0.05 * number + 0.003 * random.standard_normal(len(step)), 0, 1)
    return {
        "last_layer_norm": np.exp(0.3 * number + growth) * np.log(step + 10),
        "train_loss": loss,
        "val_accuracy": accuracy,
        "batch_loss": loss * np.exp(0.1 * random.standard_normal(len(step))),
        "val_loss": 1 - accuracy + 0.1 * loss,
        "batch_errors": np.rint(4.0 * (random.random(len(step)) < spike + (step < 500))),
        "gradient_norm": np.sqrt(loss),
        "update_norm": 1e-3 * np.exp(0.1 * random.standard_normal(len(step))),
    }


def write_trace(path: Path, steps: int, seed: int) -> None:
    """Write a run with all of the signals at every step."""
    step = np.arange(steps)
    values = signals(step, steps, np.random.default_rng(seed))
    with TraceWriter(path, [Group("every_1", [Quantity(name) for name in values])], {"seed": seed}) as writer:
        writer.append("every_1", step, **values)


def write_log(path: Path, steps: int, seed: int) -> None:
    """Write a log of norm, loss and accuracy, block by block."""
    random = np.random.default_rng(seed)
    names = ("last_layer_norm", "train_loss", "val_accuracy")
    with path.open("w") as file:
        file.write(f"step,{','.join(names)}\n")
        for start in range(0, steps, 1_000_000):
            step = np.arange(start, min(start + 1_000_000, steps))
            found = signals(step, steps, random)
            np.savetxt(file, np.column_stack([step, *(found[name] for name in names)]), "%d,%.6g,%.6g,%.4f")


def measure(*words: str) -> tuple[float, float]:
    """Return the seconds of the CPU and the peak memory, MiB, of a command."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", USED, *words], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds, kibibytes = done.stderr.strip().splitlines()[-1].split()
    return float(seconds), int(kibibytes) / 1024


@click.command()
@click.option("--runs", default=50, help="Number of runs.")
@click.option("--steps", default=100_000, help="Updates of each run.")
@click.option("--log", is_flag=True, help="Write CSV files in place of traces.")
def main(runs: int, steps: int, log: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"run{number:03d}{'.csv' if log else '.h5'}" for number in range(runs)]
        for number, path in enumerate(files):
            (write_log if log else write_trace)(path, steps, number)
        page = Path(folder) / "report.html"
        names = [str(path) for path in files]
        analysis = measure("analyze", *names, "--format", "json")
        report = measure("report", *names, "--out", str(page))
        print(f"{runs} runs of {steps:,} updates, {sum(path.stat().st_size for path in files) / 1e6:,.0f} MB of files")
        print(f"page {page.stat().st_size / 1e6:.1f} MB")
        for name, (seconds, memory) in (("analyze", analysis), ("report", report)):
            print(f"{name:>8}: {seconds:6.1f} s of CPU, {memory:6.0f} MiB")


if __name__ == "__main__":
    main()
