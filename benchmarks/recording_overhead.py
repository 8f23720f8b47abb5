"""What recording costs: recorded loops against a bare loop that does the same work, side by side in one run.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/recording_overhead.py                         # all, about ten minutes
    OMP_NUM_THREADS=1 python benchmarks/recording_overhead.py full --steps 40000

Each variant trains parity_3_50 from the start beside a bare loop. By default it trains the whole run, in which the
flight recorder of the full bundle measures three slingshots. The two loops take turns of 100 updates, so that a change
of the machine's speed affects both. `ratio` is the time of a variant for all its updates, including closing the file,
relative to that of the bare loop. Its quartiles are over bootstrap samples of the turns. `writer alone` trains without
recording. After each turn it appends to a trace the rows that a full recording of the turn would make; these rows are
already on the host.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import click
import numpy as np
import torch

from slingshot_analysis import TraceWriter, open_trace
from slingshot_analysis.recording import Recorder
from slingshot_analysis.recording.probes._bundles import BUNDLES, STANDARD
from slingshot_analysis.trace import Group, Quantity
from trainers.loop import updates
from trainers.run import Run
from trainers.setups import find_setup

TURN = 100
"""Length of a turn, in updates."""

Loop = Iterator[int]
"""An iterator of which each item makes one update."""


def bare_loop(steps: int) -> Loop:
    return updates(new_run(steps))


def recorded_loop(steps: int, path: Path, probes: Iterable[str]) -> Loop:
    run = new_run(steps)
    data = run.data
    with Recorder(
        path,
        run.model,
        run.optimizer,
        train_data=(data.train_inputs, data.train_targets),
        val_data=(data.val_inputs, data.val_targets),
        probes=probes,
    ) as recorder:
        yield 0
        yield from updates(run, recorder)


def writing_loop(steps: int, folder: Path) -> Loop:
    """Train without recording, and write the rows of a recording that was made before the first update."""
    for _ in recorded_loop(steps, folder / "recorded.h5", STANDARD):
        pass
    trace = open_trace(folder / "recorded.h5")
    groups, rows = [], {}
    for name, names in trace.groups.items():
        signals = [trace[n] for n in names]
        groups.append(
            Group(name, tuple(Quantity(s.name, s.unit, s.description, s.axes, str(s.value.dtype)) for s in signals))
        )
        rows[name] = (signals[0].step, {s.name: s.value for s in signals})
    with TraceWriter(folder / "written.h5", groups) as writer:
        yield 0
        for step in updates(new_run(steps)):
            if step % TURN == 0:
                for name, (at, values) in rows.items():
                    part = slice(*np.searchsorted(at, [step - TURN, step]))
                    writer.append(name, at[part], **{n: v[part] for n, v in values.items()})
            yield step


def new_run(steps: int) -> Run:
    return Run(dataclasses.replace(find_setup("parity_3_50"), steps=steps), torch.device("cpu"))


def take_turns(loops: Sequence[Loop]) -> list[np.ndarray]:
    """Run the loops in turns; return the seconds of each loop's turns. The last turn includes the end of the loop."""
    seconds: list[list[float]] = [[] for _ in loops]
    waiting = list(zip(loops, seconds, strict=True))
    while waiting:
        for loop, turns in list(waiting):
            start = time.perf_counter()
            updates_made = sum(1 for _ in islice(loop, TURN))
            elapsed = time.perf_counter() - start
            if updates_made == TURN:
                turns.append(elapsed)
            else:
                turns[-1] += elapsed
                waiting.remove((loop, turns))
    return [np.array(turns) for turns in seconds]


@click.command()
@click.argument("variants", nargs=-1)
@click.option("--steps", default=80_000, show_default=True, help="Updates of each variant; whole turns of 100.")
def main(variants: tuple[str, ...], steps: int) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(
        f"parity_3_50, {steps} updates in turns of {TURN}, one thread, torch {torch.__version__}, "
        f"{torch.backends.cpu.get_cpu_capability()}"
    )
    print(f"{'variant':<24}{'us/update':>10}{'bare':>6}{'ratio':>8}{'quartiles':>16}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        probes = {name: (name,) for name in BUNDLES} | {"standard less precision": STANDARD[:-1]}
        probes |= {f"  {probe}": (probe,) for probe in STANDARD}
        loops = {variant: recorded_loop(steps, folder / f"{variant}.h5", names) for variant, names in probes.items()}
        for variant, loop in (loops | {"writer alone": writing_loop(steps, folder)}).items():
            if variants and variant.strip() not in variants:
                continue
            next(loop)
            bare, turns = take_turns([bare_loop(steps), loop])
            samples = np.random.default_rng(0).integers(len(bare), size=(1000, len(bare)))
            low, high = np.quantile(turns[samples].sum(1) / bare[samples].sum(1), [0.25, 0.75])
            print(
                f"{variant:<24}{turns.sum() / steps * 1e6:>10.0f}{bare.sum() / steps * 1e6:>6.0f}"
                f"{turns.sum() / bare.sum():>8.3f}{low:>9.3f}{high:>7.3f}"
            )


if __name__ == "__main__":
    main()
