"""What recording costs: a recorded loop against the bare loop, same work, taken in turns within one run.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/recording_overhead.py

Every round trains each variant for the same number of updates of parity_3_50, in an order that turns from round to
round; a ratio is that of a variant to the bare loop of the same round, and the table gives its median, minimum and
maximum over the rounds. `writer alone` appends the rows of a full recording, already on the host, to a trace.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch

from slingshot_analysis import TraceWriter, open_trace
from slingshot_analysis.recording import PROBES, Recorder
from slingshot_analysis.trace import Group, Quantity
from trainers.loop import Run, train
from trainers.setups import find_setup


def trainer(steps: int, folder: Path, probes: list[str] | None) -> Callable[[], float]:
    """Return a function that trains afresh and returns the seconds of the loop; without probes it is bare."""
    setup = dataclasses.replace(find_setup("parity_3_50"), steps=steps)

    def run() -> float:
        run = Run(setup, torch.device("cpu"))
        if probes is None:
            start = time.perf_counter()
            train(run)
            return time.perf_counter() - start
        data = run.data
        recorder = Recorder(
            folder / "run.h5",
            run.model,
            run.optimizer,
            train_data=(data.train_inputs, data.train_targets),
            val_data=(data.val_inputs, data.val_targets),
            probes=probes,
            overwrite=True,
        )
        start = time.perf_counter()
        with recorder:
            train(run, recorder)
        return time.perf_counter() - start

    return run


def writer_alone(steps: int, folder: Path) -> Callable[[], float]:
    """Return a function that trains bare and writes the rows of a recording block by block."""
    trainer(steps, folder, list(PROBES))()
    trace = open_trace(folder / "run.h5")
    groups, rows = [], {}
    for name, names in trace.groups.items():
        signals = [trace[n] for n in names]
        groups.append(
            Group(name, tuple(Quantity(s.name, s.unit, s.description, s.axes, str(s.value.dtype)) for s in signals))
        )
        rows[name] = (signals[0].step, {s.name: s.value for s in signals})
    bare = trainer(steps, folder, None)

    def run() -> float:
        seconds = bare()
        start = time.perf_counter()
        with TraceWriter(folder / "written.h5", groups, overwrite=True) as writer:
            for name, (step, values) in rows.items():
                for begin in range(0, len(step), 512):
                    block = slice(begin, begin + 512)
                    writer.append(name, step[block], **{n: v[block] for n, v in values.items()})
        return seconds + time.perf_counter() - start

    return run


@click.command()
@click.option("--steps", default=4000, help="Updates of each variant in each round.")
@click.option("--rounds", default=7)
def main(steps: int, rounds: int) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        variants = {
            "bare loop": trainer(steps, folder, None),
            "all probes": trainer(steps, folder, list(PROBES)),
            "writer alone": writer_alone(steps, folder),
        } | {f"  {probe}": trainer(steps, folder, [probe]) for probe in PROBES}
        seconds: dict[str, list[float]] = {variant: [] for variant in variants}
        order = list(variants)
        for round_ in range(rounds + 1):
            order = order[1:] + order[:1]
            for variant in order:
                elapsed = variants[variant]()
                if round_:
                    seconds[variant].append(elapsed)
    bare = np.array(seconds["bare loop"])
    print(
        f"parity_3_50, {steps} updates, {rounds} rounds, one thread, torch {torch.__version__}, "
        f"{torch.backends.cpu.get_cpu_capability()}"
    )
    print(f"{'variant':<20}{'us/update':>10}{'ratio':>8}{'min':>8}{'max':>8}")
    for variant, values in seconds.items():
        ratios = np.array(values) / bare
        print(
            f"{variant:<20}{statistics.median(values) / steps * 1e6:>10.0f}{np.median(ratios):>8.3f}"
            f"{ratios.min():>8.3f}{ratios.max():>8.3f}"
        )


if __name__ == "__main__":
    main()
