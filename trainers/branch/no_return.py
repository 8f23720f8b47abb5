"""The point of no return: from when on, in the growth that leads to an event, a change no longer removes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slingshot_analysis.errors import InputError
from slingshot_analysis.events import Slingshot
from slingshot_analysis.many_runs import read_branch
from trainers.branch.arms import parse_arm
from trainers.branch.parent import Parent
from trainers.branch.train import PROBES, branch

GRID = 5
"""Number of points, equally far apart, that are tried first."""

RESOLUTION = 0.01
"""Share of the growth phase up to which the point is bisected."""


@dataclass(frozen=True)
class Tried:
    """One branch point.

    Parameters
    ----------
    step : int, updates
        The branch point.
    helps : bool
        Whether the arm has no event by the horizon.
    event : int or None, updates
        Transition of the arm.
    """

    step: int
    helps: bool
    event: int | None


def point_of_no_return(
    parent: Parent,
    event: Slingshot,
    arm: str,
    folder: Path,
    after: int,
    *,
    probes: str = PROBES,
    progress: Callable[[str, int], None] | None = None,
) -> Iterator[Tried]:
    """Branch at points along the growth phase, and bisect where the change ceases to remove the event.

    Each point is a branch of its own in a folder named after its step, so the same call goes on with what was stopped.
    The bisection assumes that there is one such place; the points tried first show whether there may be several.

    Parameters
    ----------
    parent : Parent
        The run.
    event : Slingshot
        The event, whose growth was found.
    arm : str
        The change, as for :func:`~trainers.branch.arms.parse_arm`.
    folder : Path
        Folder of the branches.
    after : int, updates
        How far each arm goes beyond the transition.
    probes, progress
        As for :func:`~trainers.branch.train.branch`.

    Yields
    ------
    Tried
        First the grid by increasing step, then the points of the bisection.

    Raises
    ------
    InputError
        If no growth was found before the event, or the control does not repeat the run.
    """
    if event.growth_start is None:
        raise InputError(f"{parent.trace.path}: no growth of the norm was found before {event.transition:,}")

    def tried(step: int) -> Tried:
        length = event.transition + after - step
        arms = [parse_arm(arm, parent.setup, step + length)]
        for found, agreement in branch(
            parent, step, length, arms, folder / str(step), probes=probes, progress=progress
        ):
            if found.name == "control" and not agreement.is_equal:
                raise InputError(f"{parent.trace.path}: the control does not repeat this run; branch it with at=STEP")
        read = read_branch(folder / str(step))
        if read.control.event is None:
            raise InputError(f"{folder / str(step)}: the control has no event by the horizon; give a larger until=")
        return Tried(step, read.changed[0].event is None, read.changed[0].event)

    points = []
    for step in np.linspace(event.growth_start, event.transition - 1, GRID).astype(int).tolist():
        points.append(tried(step))
        yield points[-1]
    helping = [point.step for point in points if point.helps]
    hopeless = [point.step for point in points if not point.helps and point.step > max(helping, default=0)]
    if not helping or not hopeless:
        return
    last, first = max(helping), min(hopeless)
    while first - last > max(1, RESOLUTION * (event.transition - event.growth_start)):
        middle = tried((last + first) // 2)
        yield middle
        last, first = (middle.step, first) if middle.helps else (last, middle.step)


def bounds(points: list[Tried]) -> tuple[int | None, int | None]:
    """Return the last step at which the change helps and the first one after it at which it does not."""
    last = max((point.step for point in points if point.helps), default=None)
    first = min((p.step for p in points if not p.helps and (last is None or p.step > last)), default=None)
    return last, first
