"""``slingshot branch``."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from cli._verb import Verb
from slingshot_analysis.errors import InputError

if TYPE_CHECKING:
    from slingshot_analysis.many_runs import Agreement, Branch

LOG_SECONDS = 5.0


@click.command(
    cls=Verb,
    examples=(
        "branch runs/parity_3_50-s3.h5 --at 1-300 --until 1200 --arm optimizer.eps=1e-6 --out branches/s3",
        "branch --compare branches/s3 branches/s4 --plot arms.png",
    ),
)
@click.argument("paths", nargs=-1, required=True, metavar="RUN.h5 | --compare DIR...")
@click.option(
    "--at",
    metavar="POINT",
    help="Where to branch: a step; 3-200, 200 updates before the transition of event 3; before:3, where the growth "
    "that leads to it starts; before:3,warning, the early warning before it; growth:3, points along that growth, to "
    "find from when on the arm no longer helps.",
)
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Length of each arm, the horizon.")
@click.option("--until", type=click.IntRange(min=0), metavar="N", help="Run until N updates after the next event.")
@click.option(
    "--arm",
    "arms",
    multiple=True,
    metavar="KEY=VALUE[,KEY=VALUE]",
    help="What an arm changes, such as optimizer.eps=1e-6, loss_dtype=float64, loss=stablemax, reset=second_moment, "
    "skip=100, clip_update=0.1, norm=clamp, perpendicular, freeze=0, order=1; repeatable.",
)
@click.option("--nulls", type=click.IntRange(min=0), default=3, show_default=True, help="Number of null arms.")
@click.option("--out", metavar="DIR", help="Folder of the arms.")
@click.option("--probes", metavar="NAMES", help="What to record of the arms; by default batch,norms:10,evaluation:200.")
@click.option("--compare", is_flag=True, help="Compare the arms of finished branches; train nothing.")
@click.option("--plot", metavar="FILE", help="Draw the arms over the band of the null arms, as a picture.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def branch(
    paths: tuple[str, ...],
    at: str | None,
    steps: int | None,
    until: int | None,
    arms: tuple[str, ...],
    nulls: int,
    out: str | None,
    probes: str | None,
    compare: bool,
    plot: str | None,
    form: str,
) -> None:
    """Continue a run from one of its states with one thing changed, and see what becomes of its next event.

    The control changes nothing and must repeat the run bit for bit. Null arms change one digit of one weight and show
    how far arms drift apart by chance. The same command, given again, goes on with a branch that was stopped.
    """
    if not compare:
        if len(paths) != 1 or at is None or out is None or (steps is None) == (until is None):
            raise InputError(
                "give one run with --at and --out, and either --steps or --until; or folders with --compare"
            )
        if at.startswith("growth:"):
            _find_no_return(paths[0], at, until, arms, out, probes, form)
            return
        _train(paths[0], at, steps, until, arms, nulls, out, probes, form)
        paths = (out,)
    elif at or out or steps or until or arms:
        raise InputError("--compare trains nothing; leave --at, --steps, --until, --arm and --out out")
    _compare(paths, plot, form)


def _train(
    path: str,
    at: str,
    steps: int | None,
    until: int | None,
    texts: tuple[str, ...],
    nulls: int,
    out: str,
    probes: str | None,
    form: str,
) -> None:
    from trainers.branch import PROBES, find_step, next_event, null_arms, open_parent, parse_arm
    from trainers.branch import branch as run_branch

    parent = open_parent(path)
    step = find_step(parent.trace, at)
    length = steps or next_event(parent.trace, step).transition + (until or 0) - step
    arms = [*null_arms(parent.setup, step + length, nulls)]
    arms += [parse_arm(text, parent.setup, step + length) for text in texts]
    show = Progress(step + length)
    try:
        for arm, found in run_branch(parent, step, length, arms, out, probes=probes or PROBES, progress=show):
            if form == "text":
                click.echo(f"{arm.name:<28} {agreement_line(found)}")
            if arm.name == "control" and not found.is_equal:
                click.echo(f"Error: {_why_not_equal(path, found)}", err=True)
                sys.exit(1)
    except KeyboardInterrupt:
        click.echo("Stopped. The same command goes on; arms that were finished are kept.", err=True)
        sys.exit(130)


def _find_no_return(
    path: str, at: str, until: int | None, arms: tuple[str, ...], out: str, probes: str | None, form: str
) -> None:
    from pathlib import Path

    from trainers.branch import PROBES, bounds, event_of, open_parent, point_of_no_return

    number = at.removeprefix("growth:")
    if not number.isdecimal() or until is None or len(arms) != 1:
        raise InputError(f"--at {at}: give growth:EVENT with --until N and one --arm")
    parent = open_parent(path)
    event, points = event_of(parent.trace, int(number)), []
    show = Progress(event.transition + until)
    for point in point_of_no_return(parent, event, arms[0], Path(out), until, probes=probes or PROBES, progress=show):
        points.append(point)
        if form == "text":
            where = f"{event.transition - point.step:,} updates before the transition"
            what = "no event" if point.event is None else f"event at {point.event:,}"
            click.echo(f"{point.step:>9,}  {where:>40}  {what}")
    last, first = bounds(points)
    if form == "json":
        document = {"transition": event.transition, "helps_until": last, "helps_no_longer_from": first}
        click.echo(json.dumps(document | {"points": [asdict(point) for point in points]}, indent=2))
    elif last is None:
        click.echo(f"{arms[0]} removes the event from none of these points.")
    elif first is None:
        click.echo(f"{arms[0]} removes the event from every one of these points.")
    else:
        click.echo(
            f"Point of no return of {arms[0]}: between {last:,} and {first:,}, {event.transition - first:,} to "
            f"{event.transition - last:,} updates before the transition at {event.transition:,}."
        )


def agreement_line(found: Agreement) -> str:
    """Return in words how far an arm equals its parent."""
    if not found.rows:
        return "has no row in common with the parent"
    if found.is_equal:
        return f"equals the parent bit for bit: {found.rows:,} rows, {found.signals} signals"
    return f"differs from the parent from step {found.differs_at:,} on ({found.signal})"


def _why_not_equal(path: str, found: Agreement) -> str:
    if not found.rows:
        return f"{path}: has no row after the branch point that the control could be compared with; branch earlier"
    return (
        f"{path}: the control does not repeat this run, so no arm can be compared with it. Runs of a sweep were "
        "trained in a batch, which rounds differently; another machine or version of PyTorch does too. Record the run "
        "alone, here, with `slingshot record`"
    )


def _compare(folders: tuple[str, ...], plot: str | None, form: str) -> None:
    from slingshot_analysis.analysis import finite
    from slingshot_analysis.many_runs import pool_branches, read_branch
    from slingshot_analysis.report.branches import branch_text, draw_branch, pooled_text

    branches = [read_branch(folder) for folder in folders]
    pooled = pool_branches(branches) if len(branches) > 1 else []
    if form == "json":
        document = {"branches": [as_dict(found) for found in branches], "pooled": [asdict(arm) for arm in pooled]}
        click.echo(json.dumps(finite(document), indent=2))
    else:
        click.echo("\n".join(map(branch_text, branches)))
        if pooled:
            click.echo(pooled_text(pooled, len(branches)))
    if plot is not None:
        where = draw_branch(branches[0], plot)
        if form == "text":
            click.echo(f"{where}")


def as_dict(found: Branch) -> dict[str, Any]:
    """Return a branch as plain values."""
    arms = [asdict(one) | {"val_gain": one.val_gain} for one in found.outcomes]
    return {
        "folder": str(found.folder),
        "parent": found.parent,
        "step": found.step,
        "horizon": found.horizon,
        "arms": arms,
    }


class Progress:
    """Shows on standard error every few seconds which arm is trained, and how far it is.

    Parameters
    ----------
    end : int, updates
        The horizon.
    """

    def __init__(self, end: int) -> None:
        self._end = end
        self._next = time.monotonic() + LOG_SECONDS

    def __call__(self, arm: str, made: int) -> None:
        """Show a line if the last one is old enough."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LOG_SECONDS
            of_all = "" if arm == "replay" else f" of {self._end:,}"
            click.echo(f"{arm}: {made:,}{of_all} updates", err=True)
