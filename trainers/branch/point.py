"""Where to branch: a step, or a place before an event of the run."""

from __future__ import annotations

import re

import numpy as np

from slingshot_analysis.analysis import analyze
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import Slingshot
from slingshot_analysis.online_rules import EarlyWarning
from slingshot_analysis.trace import Trace

FORMS = "a step, 3-200 (200 updates before event 3), 3+200, before:3 (where its growth starts), or before:3,warning"


def find_step(run: Trace, text: str) -> int:
    """Return the step that a text names.

    Parameters
    ----------
    run : Trace
        The run, which is analyzed where the text names an event: a slingshot, counted from 1.
    text : str
        A step such as ``18000``; ``3-200`` or ``3+200``, updates before or after the transition of event 3;
        ``before:3``, the start of the growth that leads to event 3; ``before:3,warning``, the last early warning
        between event 2 and it.

    Raises
    ------
    InputError
        If the text has another form, there is no such event, or what it names was not found in this run.
    """
    if re.fullmatch(r"\d+", text):
        return int(text)
    offset, before = re.fullmatch(r"(\d+)([+-]\d+)", text), re.fullmatch(r"before:(\d+)(,warning)?", text)
    if offset:
        step = event_of(run, int(offset[1])).transition + int(offset[2])
        if step < 0:
            raise InputError(f"at={text}: lies before the beginning of the run; give a smaller distance")
        return step
    if not before:
        raise InputError(f"at={text}: give {FORMS}")
    number = int(before[1])
    event = event_of(run, number)
    if before[2]:
        start = event_of(run, number - 1).transition if number > 1 else 0
        return _warning_between(run, start, event.transition, text)
    if event.growth_start is None:
        raise InputError(f"at={text}: no growth of the norm was found before this event; give a step, or {before[1]}-N")
    return event.growth_start


def event_of(run: Trace, number: int) -> Slingshot:
    """Return the slingshot of this number, counted from 1.

    Raises
    ------
    InputError
        If the run has fewer.
    """
    found = analyze(run).certain
    if not 1 <= number <= len(found):
        raise InputError(f"{run.path}: has no event {number}; slingshots found: {len(found)}, counted from 1")
    return found[number - 1]


def next_event(run: Trace, step: int) -> Slingshot:
    """Return the first slingshot whose transition comes after a step.

    Raises
    ------
    InputError
        If there is none.
    """
    for event in analyze(run).certain:
        if event.transition > step:
            return event
    raise InputError(f"{run.path}: has no slingshot after step {step:,}; give steps= in place of until=")


def _warning_between(run: Trace, start: int, end: int, text: str) -> int:
    if "softmax_collapse" not in run:
        raise InputError(f"at={text}: the warning needs the probe 'precision', which this run was recorded without")
    collapse = run["softmax_collapse"]
    rows = np.nan_to_num(collapse.value, nan=1.0).tolist()
    warnings = [w.step for w in EarlyWarning().update(collapse.step.tolist(), rows) if start <= w.step < end]
    if not warnings:
        raise InputError(f"at={text}: there was no warning between {start:,} and {end:,}; leave ',warning' out")
    return warnings[-1]
