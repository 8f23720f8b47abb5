"""Seconds and memory of ``slingshot analyze`` on many traces, with one process and with more.

Run it from the project's root, on a machine that is otherwise idle::

    OMP_NUM_THREADS=1 python benchmarks/analyze_many.py

It writes traces of 20,000 updates with ten signals at each update (`analysis_speed.write`): 40 different ones and
copies of them. For each number of jobs it analyzes them all in a separate process, and checks that the tables agree.

Memory is the sum of the peak memory of all processes. Shared pages count in each process, so this is an upper bound.
Seconds are those of the whole command, including imports and the table across runs. If the machine is shared, the CPU
seconds are more informative. CPUs of virtual machines are often shared or hyperthreads. So the same number of busy
loops shows the largest possible speedup.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from analysis_speed import write

COMMAND = "from cli.main import main; main(prog_name='slingshot')"
LOOP = "x = 0\nfor i in range(30_000_000): x += i"
SAMPLE_SECONDS = 0.2


def family(root: int) -> list[int]:
    """Return a process and all its descendants."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(status.parent.name)] = int(fields[1])
    members = [root]
    for process in members:
        members += [child for child, parent in parents.items() if parent == process]
    return members


def largest(process: int) -> int:
    """Return the peak memory of a process in KiB; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def measure(words: list[str]) -> tuple[float, float, float]:
    """Run the command; return seconds, CPU seconds, and MiB."""
    peaks: dict[int, int] = {}
    before = os.times()
    start = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-c", COMMAND, *words], stdout=subprocess.DEVNULL, env=environment) as run:
        while run.poll() is None:
            for process in family(run.pid):
                peaks[process] = max(peaks.get(process, 0), largest(process))
            time.sleep(SAMPLE_SECONDS)
        seconds = time.perf_counter() - start
    if run.returncode:
        raise SystemExit(f"slingshot {' '.join(words[:3])} ... ended with status {run.returncode}")
    after = os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, busy, sum(peaks.values()) / 1024


def loops(number: int) -> float:
    """Return the seconds that this number of busy loops takes when they run at once."""
    start = time.perf_counter()
    running = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(number)]
    for one in running:
        one.wait()
    return time.perf_counter() - start


@click.command()
@click.option("--traces", default=1000, show_default=True)
@click.option("--updates", default=20_000, show_default=True)
@click.option("--jobs", default="1,2", show_default=True, help="Numbers of processes, separated by commas.")
@click.option("--different", default=40, show_default=True, help="Traces that are no copies.")
def main(traces: int, updates: int, jobs: str, different: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"run-{number:05}.h5" for number in range(traces)]
        for number, path in enumerate(paths):
            if number < different:
                write(path, updates, number)
            else:
                shutil.copyfile(paths[number % different], path)
        size = sum(path.stat().st_size for path in paths) / 1e6
        print(f"{traces} traces of {updates} updates and ten signals: {size:.0f} MB")
        print(f"{'jobs':>5}{'seconds':>10}{'of CPUs':>9}{'ms a trace':>12}{'faster':>8}{'(loops)':>9}{'MiB':>7}")
        first_seconds, first_table = 0.0, b""
        for number in map(int, jobs.split(",")):
            table = folder / f"jobs-{number}.csv"
            seconds, busy, memory = measure(["analyze", *map(str, paths), "--jobs", str(number), "--table", str(table)])
            first_seconds, first_table = first_seconds or seconds, first_table or table.read_bytes()
            faster, possible = first_seconds / seconds, number * loops(1) / loops(number)
            print(
                f"{number:>5}{seconds:>10.1f}{busy:>9.1f}{1000 * seconds / traces:>12.1f}"
                f"{faster:>8.2f}{possible:>9.2f}{memory:>7.0f}",
                flush=True,
            )
            if table.read_bytes() != first_table:
                raise SystemExit(f"{number} jobs give another table than {jobs.split(',')[0]}")


if __name__ == "__main__":
    main()
