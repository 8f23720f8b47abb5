"""Does the slingshot cause the gain of validation accuracy? And what does an arm cost?

``python benchmarks/branching.py study RUN.h5... --out DIR`` branches each run before and after its first slingshot, by
the rule in docs/branching.md, and prints a table after each. The same command goes on where it was stopped.

``python benchmarks/branching.py cost`` measures the time of an arm relative to that of the run itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from slingshot_analysis.analysis import analyze
from slingshot_analysis.many_runs import Branch, read_branch
from trainers.branch import PROBES, branch, null_arms, open_parent, parse_arm
from trainers.recorded_run import record
from trainers.setups import find_setup

ARMS = "optimizer.eps=1e-6", "loss_dtype=float64", "loss=stablemax"
BEFORE, AFTER, BEYOND, NULLS = 300, 200, 1200, 3
LENGTH = BEFORE + BEYOND


def study(paths: list[str], out: Path) -> None:
    pairs: dict[str, tuple[Branch, Branch]] = {}
    for path in paths:
        parent = open_parent(path)
        event = next((one for one in analyze(parent.trace).certain if one.growth_start is not None), None)
        if event is None or event.transition + AFTER + LENGTH > parent.setup.steps:
            print(f"{parent.trace.name}: left out, it has no slingshot early enough", flush=True)
            continue
        branches = []
        for name, step in (("before", event.transition - BEFORE), ("after", event.transition + AFTER)):
            folder = out / parent.trace.name / name
            arms = null_arms(parent.setup, step + LENGTH, NULLS)
            arms += [parse_arm(text, parent.setup, step + LENGTH) for text in ARMS]
            found = list(branch(parent, step, LENGTH, arms, folder))
            if not found[0][1].is_equal:
                raise SystemExit(f"{path}: the control does not repeat the run")
            branches.append(read_branch(folder))
        pairs[parent.trace.name] = branches[0], branches[1]
        print(f"{parent.trace.name}: event at {event.transition:,}", flush=True)
        report(pairs)


def report(pairs: dict[str, tuple[Branch, Branch]]) -> None:
    print("\n| parent | arm | verdict | event | accuracy | chance | after: accuracy | chance | due to the slingshot |")
    print("|---|---|---|---|---|---|---|---|---|")
    due: dict[str, list[tuple[str, float]]] = {arm: [] for arm in ARMS}
    for name, (before, after) in pairs.items():
        for arm in ARMS:
            rows = [next(one for one in each.changed if one.arm == arm) for each in (before, after)]
            chance = [[one.val_accuracy for one in (each.control, *each.nulls)] for each in (before, after)]
            effect = [row.val_accuracy - float(np.mean(values)) for row, values in zip(rows, chance, strict=True)]
            due[arm].append((rows[0].verdict, effect[1] - effect[0]))
            spans = [f"{min(values):.3f} to {max(values):.3f}" for values in chance]
            event = "none" if rows[0].event is None else f"{rows[0].event - before.control.event:+,}"
            print(
                f"| {name} | {arm} | {rows[0].verdict} | {event} | {rows[0].val_accuracy:.3f} | {spans[0]} | "
                f"{rows[1].val_accuracy:.3f} | {spans[1]} | {effect[1] - effect[0]:+.3f} |"
            )
    for arm, found in due.items():
        for title, values in (
            ("all parents", [value for _, value in found]),
            ("where removed", [value for verdict, value in found if verdict == "removed"]),
        ):
            if values:
                p, smallest = sign_flip_test(values)
                mean = f"{np.mean(values):+.3f}"
                print(f"{arm}, {title}: n = {len(values)}, mean {mean}, p = {p:.3g} (least {smallest:.2g})")
    print(flush=True)


def sign_flip_test(values: list[float]) -> tuple[float, float]:
    """Return the exact two-sided p-value of a mean of 0 under random signs, and the smallest one possible."""
    signs = np.array(list(itertools.product((-1, 1), repeat=len(values))))
    sums = np.abs(signs @ np.array(values))
    return float(np.mean(sums >= sums[-1] - 1e-12)), 2 / len(signs)


def cost(steps: int, arms: int, turns: int) -> None:
    """Print the time of an arm relative to that of a run that is recorded in the same way; they take turns."""
    setup = dataclasses.replace(find_setup("parity_3_50"), steps=steps)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def run() -> Path:
            return record(setup, folder / "run.h5", overwrite=True, probes=PROBES.split(","))

        def branched(count: int) -> None:
            path = folder / "branch"
            list(branch(parent, 0, steps, null_arms(setup, steps, count), path))
            shutil.rmtree(path)

        run()
        parent = open_parent(run())
        together, alone = [], []
        for _ in range(turns):
            seconds = [seconds_of(run), seconds_of(lambda: branched(arms)), seconds_of(lambda: branched(0))]
            together.append(seconds[1] / (arms + 1) / seconds[0])
            alone.append(seconds[2] / seconds[0])
        print(f"an arm takes {spread(together)} of a run with {arms} arms beside the control, {spread(alone)} alone")


def seconds_of(work: Callable[[], object]) -> float:
    """Return the CPU time that some work takes, in seconds."""
    start = time.process_time()
    work()
    return time.process_time() - start


def spread(ratios: list[float]) -> str:
    return f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    of_study = verbs.add_parser("study")
    of_study.add_argument("runs", nargs="+")
    of_study.add_argument("--out", type=Path, required=True)
    of_cost = verbs.add_parser("cost")
    of_cost.add_argument("--steps", type=int, default=3000)
    of_cost.add_argument("--arms", type=int, default=7)
    of_cost.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    if given.verb == "study":
        study(given.runs, given.out)
    else:
        cost(given.steps, given.arms, given.turns)
