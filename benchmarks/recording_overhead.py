"""What training and recording cost: loops of the trainers against a plain loop that records nothing, side by side.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/recording_overhead.py                         # all, about ten minutes
    OMP_NUM_THREADS=1 python benchmarks/recording_overhead.py full --steps 40000

Each variant trains parity_3_50, or another setup, from the start beside a plain loop with autograd (plain_loop.py).
By default it trains the whole run, in which the flight recorder measures three slingshots. The two loops take turns
of 100 updates, so that a change of the machine's speed affects both; each has a clock that stands still in the turns
of the other, by which it keeps its budget. Both keep the memory that tensors free, as the trainers do. `ratio` is the
processor time of a variant for all its updates, including closing the file, relative to that of the plain loop. Its
quartiles are over bootstrap samples of the turns. `unrecorded` is the loop of the trainers without a recorder. `writer
alone` trains so too. After each turn it appends to a trace the rows that a full recording of the turn would make; these
rows are already on the host.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import torch
from plain_loop import plain_updates

from slingshot_analysis import TraceWriter, open_trace
from slingshot_analysis.recording import _table
from slingshot_analysis.recording.online import flight
from slingshot_analysis.recording.probes._bundles import ALWAYS, BUNDLES
from slingshot_analysis.trace import Group, Quantity
from trainers.loop import updates
from trainers.recorded_run import make_recorder
from trainers.run import Run, keep_freed_memory
from trainers.setups import find_setup

AT_FIXED_STEPS = (*ALWAYS, "features:1000")

Loop = Iterator[int]
"""An iterator of which each item makes one update."""


class Clock:
    """Processor time of the loop whose turn it is; what budgets of curvature are kept by."""

    def __init__(self) -> None:
        self.spent, self._since = 0.0, 0.0

    def begin(self, spent: float) -> None:
        """Go on from the time that a loop has spent in its earlier turns."""
        self.spent, self._since = spent, time.process_time()

    def __call__(self) -> float:
        """Return the time that the loop has spent so far, in seconds."""
        return self.spent + time.process_time() - self._since


CLOCK = Clock()


def recorded_loop(run: Run, path: Path, probes: Iterable[str]) -> Loop:
    with make_recorder(run, path, True, None, probes=list(probes)) as recorder:
        yield 0
        yield from updates(run, recorder)


def unrecorded_loop(run: Run) -> Loop:
    yield 0
    yield from updates(run)


def writing_loop(run: Run, again: Run, folder: Path, turn: int) -> Loop:
    """Train without recording, and write the rows of a recording that was made before the first update."""
    for _ in recorded_loop(again, folder / "recorded.h5", AT_FIXED_STEPS):
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
        for step in updates(run):
            if step % turn == 0:
                for name, (at, values) in rows.items():
                    part = slice(*np.searchsorted(at, [step - turn, step]))
                    writer.append(name, at[part], **{n: v[part] for n, v in values.items()})
            yield step


def take_turns(loops: Sequence[Loop], turn: int) -> list[np.ndarray]:
    """Run the loops in turns; return the seconds of each loop's turns. The last turn includes the end of the loop."""
    seconds: list[list[float]] = [[] for _ in loops]
    waiting = list(zip(loops, seconds, strict=True))
    while waiting:
        for loop, turns in list(waiting):
            before = sum(turns)
            CLOCK.begin(before)
            updates_made = sum(1 for _ in islice(loop, turn))
            elapsed = CLOCK() - before
            if updates_made == turn:
                turns.append(elapsed)
            else:
                turns[-1] += elapsed
                waiting.remove((loop, turns))
    return [np.array(turns) for turns in seconds]


@click.command()
@click.argument("variants", nargs=-1)
@click.option("--setup", "name", default="parity_3_50", show_default=True, help="What is trained.")
@click.option("--steps", default=80_000, show_default=True, help="Updates of each variant; whole turns.")
@click.option("--turn", default=100, show_default=True, help="Updates of a turn.")
def main(variants: tuple[str, ...], name: str, steps: int, turn: int) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    _table.time = flight.time = SimpleNamespace(perf_counter=CLOCK, monotonic=time.monotonic)

    def new_run() -> Run:
        return Run(dataclasses.replace(find_setup(name), steps=steps), torch.device("cpu"))

    print(
        f"{name}, {steps} updates in turns of {turn}, one thread, torch {torch.__version__}, "
        f"{torch.backends.cpu.get_cpu_capability()}"
    )
    print(f"{'variant':<26}{'us/update':>10}{'plain':>7}{'ratio':>8}{'quartiles':>16}")
    probes = {bundle: (bundle,) for bundle in BUNDLES} | {"standard less curvature": AT_FIXED_STEPS}
    probes |= {f"  {probe}": (probe,) for probe in BUNDLES["standard"]}
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        for variant in ("unrecorded", *probes, "writer alone"):
            if variants and variant.strip() not in variants:
                continue
            if variant == "unrecorded":
                loop = unrecorded_loop(new_run())
            elif variant == "writer alone":
                loop = writing_loop(new_run(), new_run(), folder, turn)
            else:
                loop = recorded_loop(new_run(), folder / f"{variant}.h5", probes[variant])
            next(loop)
            plain, turns = take_turns([plain_updates(new_run()), loop], turn)
            samples = np.random.default_rng(0).integers(len(plain), size=(1000, len(plain)))
            low, high = np.quantile(turns[samples].sum(1) / plain[samples].sum(1), [0.25, 0.75])
            print(
                f"{variant:<26}{turns.sum() / steps * 1e6:>10.0f}{plain.sum() / steps * 1e6:>7.0f}"
                f"{turns.sum() / plain.sum():>8.3f}{low:>9.3f}{high:>7.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
