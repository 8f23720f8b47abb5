"""Size of the page of ``slingshot report``, and seconds and memory to make it.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/report.py
    OMP_NUM_THREADS=1 python benchmarks/report.py --runs 1 --steps 10000000 --log

`analysis_speed.write` writes the traces: ten signals at every step, ten cycles in each run. With ``--log``, a CSV file
has step, loss, norm and accuracy instead. ``slingshot analyze --format json`` and ``slingshot report`` then read the
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
from analysis_speed import write

USED = (
    "import atexit, resource, sys\n"
    "used = lambda: resource.getrusage(resource.RUSAGE_SELF)\n"
    "atexit.register(lambda: print(used().ru_utime + used().ru_stime, used().ru_maxrss, file=sys.stderr))\n"
    "from cli.main import main; main(prog_name='slingshot')"
)


def write_log(path: Path, steps: int) -> None:
    """Write a log of loss, norm and accuracy with ten cycles, block by block."""
    random = np.random.default_rng(0)
    cycle = steps // 10
    with path.open("w") as file:
        file.write("step,train_loss,last_layer_norm,val_accuracy\n")
        for start in range(0, steps, 1_000_000):
            step = np.arange(start, min(start + 1_000_000, steps))
            phase = step % cycle / cycle
            norm = np.exp(0.3 * (step // cycle) + np.where(phase > 0.8, (phase - 0.8) * 1.5, 0))
            loss = 1e-4 + np.where(step > cycle, np.exp(-(step % cycle) / 400), np.exp(-step / 3000))
            loss *= np.exp(0.1 * random.standard_normal(len(step)))
            accuracy = np.minimum(1, 0.5 + 0.05 * (step // cycle))
            np.savetxt(file, np.column_stack([step, loss, norm, accuracy]), "%d,%.6g,%.6g,%.4f")


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
            if log:
                write_log(path, steps)
            else:
                write(path, steps, seed=number)
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
