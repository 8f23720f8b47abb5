"""What training and recording cost on a GPU, in about eight minutes. It was never run on one.

Run it from the project's root::

    python benchmarks/gpu.py                                     # on a GPU
    OMP_NUM_THREADS=1 python benchmarks/gpu.py --device cpu --small   # shows that it runs; skips what needs CUDA

The file of ``--out`` is written anew after each case, so that it keeps all that was measured when time runs out. An
error of one case becomes its result. The steps are:

- `waiting`: updates with ``torch.cuda.set_sync_debug_mode("error")``, under which an operation that waits for the GPU
  fails. Curvature is left out, because its probes wait and say so.
- `graph`: ten updates captured as one CUDA graph. Their batches are rows of a matrix of indices that is loaded
  beforehand, and a counter on the device says which row is next. Weights and losses are compared bit for bit with those
  of the same updates without a graph, and the latter with those of the training loop.
- `turns`: a bare loop beside those with the light and the standard bundle, in turns of equal numbers of updates, and
  the bare loop of the Transformer beside those with autocast. `ratio` is to the first loop; its quartiles are over
  bootstrap samples of the turns.
- `kernels`: kernels, copies and PyTorch operations of an update, as PyTorch's profiler counts them.
- `curvature`: the largest eigenvalue of the Hessian at the initialisation.
- `sweeps`: runs of parity_3_50 trained as one batch with the light bundle, in stacks of 32 and in one stack. `memory`
  is the peak on the GPU, `host memory` that of the process so far, in MiB.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import resource
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity
from torch.profiler import profile as watch

from slingshot_analysis.recording.curvature import HessianOperator, MeanLoss, Solver
from slingshot_analysis.recording.probes._bundles import BUNDLES, CURVATURE
from slingshot_analysis.recording.subject.losses import cross_entropy
from trainers.batch import record_batch, recorded_batch
from trainers.loop import updates
from trainers.passes import find_passes
from trainers.recorded_run import make_recorder
from trainers.run import Run
from trainers.setup import Setup
from trainers.setups import find_setup
from trainers.stack import Stack

SETUPS = "parity_3_50", "modular_division"
CAPTURED = 10
"""Updates in a CUDA graph."""
Cases = Iterator[tuple[str, Callable[[], dict[str, Any]]]]
"""Names of cases, and what measures each."""


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is measured."""

    watched: int = 600
    """Updates of a case of `waiting` and of `kernels`."""
    turn: int = 100
    """Length of a turn, in updates."""
    seconds: float = 30.0
    """Duration of a case of `turns`, and the longest training of a case of `sweeps`."""
    graphed: int = 2000
    """Length of the runs of `graph` in updates, a multiple of ten."""
    sweeps: Sequence[int] = (1, 32, 256, 1024)
    """Numbers of runs."""
    sweep_steps: int = 1500
    """Length of the runs of a sweep, in updates."""


SMALL = Size(watched=12, turn=5, seconds=2.0, graphed=100, sweeps=(1, 4), sweep_steps=60)


class Machine:
    """The device, a folder for traces, and the time at which the benchmark should end."""

    def __init__(self, device: torch.device, folder: Path, end: float) -> None:
        self.device, self.folder, self.end = device, folder, end
        self.has_cuda = device.type == "cuda"

    def wait(self) -> None:
        """Wait for the device."""
        if self.has_cuda:
            torch.cuda.synchronize(self.device)

    def loop(self, setup: Setup, probes: Sequence[str] | None) -> Iterator[int]:
        """Return an iterator of which each item makes one update, recorded with `probes` or not at all."""
        run = Run(dataclasses.replace(setup, steps=10**9), self.device)
        if probes is None:
            yield from updates(run)
            return
        with make_recorder(run, self.folder / "run.h5", True, None, probes=probes) as recorder:
            yield from updates(run, recorder)


def waiting(machine: Machine, size: Size) -> Cases:
    """Updates under which an operation that waits for the GPU fails."""
    setups = {name: find_setup(name) for name in SETUPS}
    setups["modular_division, bfloat16"] = dataclasses.replace(find_setup("modular_division"), autocast="bfloat16")
    bundles: dict[str, list[str] | None] = {"bare": None}
    bundles |= {name: [p for p in BUNDLES[name] if p not in CURVATURE] for name in ("light", "standard")}

    def measure(setup: Setup, probes: Sequence[str] | None) -> dict[str, Any]:
        loop = machine.loop(setup, probes)
        next(loop)
        if not machine.has_cuda:
            next(loop)
            return {"skipped": "needs CUDA"}
        torch.cuda.set_sync_debug_mode("error")
        try:
            made = sum(1 for _ in islice(loop, size.watched))
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return {"updates that did not wait": made}

    for name, setup in setups.items():
        for bundle, probes in bundles.items():
            yield f"{name}, {bundle}", functools.partial(measure, setup, probes)


class IndexedUpdates:
    """A run whose updates hold no value of the host: batches are rows of a matrix that a counter on the device counts.

    Parameters
    ----------
    setup : Setup
        A chain of linear layers and ReLUs, without warm-up and without incomplete batches.
    device : torch.device
        Where to train.
    """

    def __init__(self, setup: Setup, device: torch.device) -> None:
        self.run = Run(setup, device)
        self._stack = Stack([self.run], [0])
        self._passes = find_passes(self.run, self._stack)
        self._order = torch.stack([next(self.run.batches) for _ in range(setup.steps)])
        self._row = torch.zeros(1, dtype=torch.long, device=device)
        self.losses = torch.zeros(setup.steps, device=device)

    @torch.no_grad()
    def update(self, count: int) -> None:
        """Make the next updates."""
        data = self.run.data
        for _ in range(count):
            batch = self._order.index_select(0, self._row).squeeze(0)
            targets = data.train_targets.index_select(0, batch)
            loss, _ = self._passes(data.train_inputs.index_select(0, batch), targets)
            self.losses.index_copy_(0, self._row, loss.unsqueeze(0))
            self._stack.update()
            self._row.add_(1)

    def capture(self) -> torch.cuda.CUDAGraph:
        """Make ten updates, which also makes all buffers, and return a graph of ten more, which are not yet made."""
        stream = torch.cuda.Stream(self.run.data.train_inputs.device)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.update(CAPTURED)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.update(CAPTURED)
        return graph

    @property
    def weights(self) -> torch.Tensor:
        """All weights as one vector."""
        return torch.cat([p.detach().flatten() for p in self.run.model.parameters()])


def graph(machine: Machine, size: Size) -> Cases:
    """A graph of ten updates beside the same updates one by one, and these beside the training loop."""
    setup = dataclasses.replace(find_setup("parity_3_50"), steps=size.graphed)

    @functools.cache
    def eager() -> tuple[IndexedUpdates, float]:
        made = IndexedUpdates(setup, machine.device)
        made.update(CAPTURED)
        machine.wait()
        start = time.perf_counter()
        made.update(size.graphed - CAPTURED)
        machine.wait()
        return made, (time.perf_counter() - start) / (size.graphed - CAPTURED) * 1e6

    def beside_the_loop() -> dict[str, Any]:
        made, microseconds = eager()
        run = Run(setup, machine.device)
        for _ in updates(run):
            pass
        weights = torch.cat([p.detach().flatten() for p in run.model.parameters()])
        return {"equal bit for bit": torch.equal(made.weights, weights), "us/update": microseconds}

    def captured() -> dict[str, Any]:
        if not machine.has_cuda:
            return {"skipped": "needs CUDA"}
        made, microseconds = eager()
        other = IndexedUpdates(setup, machine.device)
        ten = other.capture()
        machine.wait()
        start = time.perf_counter()
        for _ in range(size.graphed // CAPTURED - 1):
            ten.replay()
        machine.wait()
        seconds = time.perf_counter() - start
        return {
            "weights equal bit for bit": torch.equal(other.weights, made.weights),
            "losses equal bit for bit": torch.equal(other.losses, made.losses),
            "us/update": seconds / (size.graphed - CAPTURED) * 1e6,
            "us/update without a graph": microseconds,
        }

    yield "updates by index matrix beside the training loop", beside_the_loop
    yield "ten updates as a CUDA graph beside updates by index matrix", captured


def turns(machine: Machine, size: Size) -> Cases:
    """Loops in turns of equal numbers of updates."""

    def measure(loops: dict[str, Iterator[int]]) -> dict[str, Any]:
        seconds: dict[str, list[float]] = {name: [] for name in loops}
        end = time.monotonic() + size.seconds
        while time.monotonic() < end or len(next(iter(seconds.values()))) < 2:
            for name, loop in loops.items():
                machine.wait()
                start = time.perf_counter()
                for _ in islice(loop, size.turn):
                    pass
                machine.wait()
                seconds[name].append(time.perf_counter() - start)
        times = {name: np.array(each[1:]) for name, each in seconds.items()}  # the first turn warms up
        first = next(iter(times.values()))
        picked = np.random.default_rng(0).integers(len(first), size=(1000, len(first)))
        return {
            name: {
                "us/update": each.mean() / size.turn * 1e6,
                "ratio": each.sum() / first.sum(),
                "quartiles": np.quantile(each[picked].sum(1) / first[picked].sum(1), [0.25, 0.75]).tolist(),
            }
            for name, each in times.items()
        } | {"turns": len(first), "updates in a turn": size.turn}

    def bundles(setup: Setup) -> dict[str, Any]:
        return measure(
            {"bare": machine.loop(setup, None)} | {name: machine.loop(setup, [name]) for name in ("light", "standard")}
        )

    for name in SETUPS:
        yield name, functools.partial(bundles, find_setup(name))
    setup = find_setup("modular_division")
    kinds = ("none", "bfloat16", "float16")
    yield (
        "modular_division, bare, by autocast",
        lambda: measure({kind: machine.loop(dataclasses.replace(setup, autocast=kind), None) for kind in kinds}),
    )


def kernels(machine: Machine, size: Size) -> Cases:
    """What an update starts, by the profiler."""

    def measure(setup: Setup, probes: Sequence[str] | None) -> dict[str, Any]:
        loop = machine.loop(setup, probes)
        for _ in islice(loop, size.watched):
            pass
        machine.wait()
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if machine.has_cuda else [])]
        with watch(activities=activities) as found:
            for _ in islice(loop, size.watched):
                pass
            machine.wait()
        counts: Counter[str] = Counter()
        for event in found.events() or []:
            if event.device_type == DeviceType.CUDA:
                counts["copies" if event.name.startswith(("Memcpy", "Memset")) else "kernels"] += 1
            elif event.name.startswith("aten::") and event.cpu_parent is None:
                counts["operations"] += 1
        per_update = {name: count / size.watched for name, count in counts.items()}
        return per_update if machine.has_cuda else per_update | {"skipped": "kernels need CUDA"}

    for name in SETUPS:
        for bundle in (None, "light", "standard"):
            yield f"{name}, {bundle or 'bare'}", functools.partial(measure, find_setup(name), bundle and [bundle])


def curvature(machine: Machine, size: Size) -> Cases:
    """The largest eigenvalue of the Hessian over at most 1,000 training samples."""

    def measure(setup: Setup) -> dict[str, Any]:
        run = Run(setup, machine.device)
        samples = run.data.train_inputs[:1000], run.data.train_targets[:1000]
        seconds = []
        for _ in range(3):
            machine.wait()
            start = time.perf_counter()
            found = Solver().solve(HessianOperator(MeanLoss(run.model, cross_entropy, [samples])))
            value = float(found.values)
            seconds.append(time.perf_counter() - start)
        return {"eigenvalue": value, "products": found.products, "first s": seconds[0], "then s": min(seconds[1:])}

    for name in SETUPS:
        yield name, functools.partial(measure, find_setup(name))


class OutOfTimeError(Exception):
    """Ends a sweep early."""


def sweeps(machine: Machine, size: Size) -> Cases:
    """Runs that are trained as one batch."""
    seconds_to_make = 0.0

    def measure(runs: int, stack: int) -> dict[str, Any]:
        nonlocal seconds_to_make
        if time.monotonic() + runs * seconds_to_make > machine.end:
            return {"skipped": "making the runs would take too long"}
        setup = dataclasses.replace(find_setup("parity_3_50"), steps=size.sweep_steps)
        marks: list[tuple[float, int]] = []

        def progress(made: int, left: int) -> None:
            marks.append((time.perf_counter(), made))
            if marks[-1][0] - marks[0][0] > size.seconds:
                raise OutOfTimeError

        recorded_batch.LARGEST_STACK = stack
        if machine.has_cuda:
            torch.cuda.reset_peak_memory_stats(machine.device)
        start = time.perf_counter()
        with contextlib.suppress(OutOfTimeError):
            record_batch(
                [dataclasses.replace(setup, seed=seed) for seed in range(runs)],
                [machine.folder / f"{runs}-{stack}-{seed}.h5" for seed in range(runs)],
                device=str(machine.device),
                probes="light",
                progress=progress,
            )
        seconds_to_make = (marks[0][0] - start) / runs
        (begin, before), (end, made) = marks[len(marks) // 4], marks[-1]  # the first turns are short
        return {
            "updates/s of all runs": (made - before) / (end - begin),
            "updates of each run": made / runs,
            "s to make a run": seconds_to_make,
            "memory": torch.cuda.max_memory_allocated(machine.device) / 2**20 if machine.has_cuda else None,
            "host memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    for runs in size.sweeps:
        for stack in sorted({min(runs, 32), runs}):
            yield f"{runs} runs in stacks of {stack}", functools.partial(measure, runs, stack)


STEPS = waiting, graph, turns, kernels, curvature, sweeps


@click.command()
@click.option("--device", default="cuda", show_default=True, help="cuda, cuda:N or cpu.")
@click.option("--small", is_flag=True, help="Measure little, to see that the benchmark runs.")
@click.option("--minutes", default=7.0, show_default=True, help="No case begins after this time.")
@click.option(
    "--out", default=Path("gpu.json"), show_default=True, type=click.Path(path_type=Path), help="The results."
)
def main(device: str, small: bool, minutes: float, out: Path) -> None:
    where, size = torch.device(device), SMALL if small else Size()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    named = torch.cuda.get_device_name(where) if where.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    report: dict[str, Any] = {"device": f"{where} ({named})", "torch": torch.__version__, "small": small, "results": []}
    with tempfile.TemporaryDirectory() as name:
        machine = Machine(where, Path(name), time.monotonic() + 60 * minutes)
        for step in STEPS:
            for case, measure in step(machine, size):
                start = time.monotonic()
                if start > machine.end:
                    result: dict[str, Any] = {"skipped": "out of time"}
                else:
                    try:
                        result = measure()
                    except Exception:
                        result = {"error": traceback.format_exc()}
                seconds = time.monotonic() - start
                report["results"].append({"step": step.__name__, "case": case, "seconds": seconds, **result})
                out.write_text(json.dumps(report, indent=2) + "\n")
                print(f"{step.__name__}: {case} ({seconds:.1f} s): {json.dumps(result)}", flush=True)


if __name__ == "__main__":
    main()
