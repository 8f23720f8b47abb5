"""Branch a recorded run: continue it from one of its states with one thing changed, beside an unchanged control."""

from trainers.branch.arms import Arm, null_arms, parse_arm
from trainers.branch.no_return import Tried, bounds, point_of_no_return
from trainers.branch.parent import Parent, open_parent, state_at
from trainers.branch.point import event_of, find_step, next_event
from trainers.branch.train import PROBES, branch

__all__ = [
    "PROBES",
    "Arm",
    "Parent",
    "Tried",
    "bounds",
    "branch",
    "event_of",
    "find_step",
    "next_event",
    "null_arms",
    "open_parent",
    "parse_arm",
    "point_of_no_return",
    "state_at",
]
