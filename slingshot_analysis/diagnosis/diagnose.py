"""From the evidence to a diagnosis: what happened, candidate causes, what could not be checked."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from slingshot_analysis.diagnosis import causes
from slingshot_analysis.diagnosis.cause import Cause, Check
from slingshot_analysis.diagnosis.evidence import Evidence

MARGIN = 1.5
"""The first candidate is the likely cause only if its score exceeds that of the second one by this."""


@dataclass(frozen=True)
class Diagnosis:
    """Why the loss of a run spiked, as far as its log tells.

    Parameters
    ----------
    decided : bool
        Whether one cause is likely, and ahead of all others.
    causes : tuple of Cause
        Candidates for which something in this log speaks, the most likely first.
    refuted : tuple of Cause
        Those against which more speaks than for them.
    unchecked : tuple of Check
        Checks that could not be made, and the signals that would make them.
    """

    decided: bool
    causes: tuple[Cause, ...]
    refuted: tuple[Cause, ...] = ()
    unchecked: tuple[Check, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as plain values for JSON."""
        return {
            "decided": self.decided,
            "causes": [_plain(cause) for cause in self.causes],
            "refuted": [_plain(cause) for cause in self.refuted],
            "unchecked": [asdict(check) for check in self.unchecked],
        }


def _plain(cause: Cause) -> dict[str, Any]:
    return {
        "name": cause.name,
        "title": cause.title,
        "grade": cause.grade,
        "score": cause.score,
        "for": list(cause.speaks_for),
        "against": list(cause.speaks_against),
        "remedies": [asdict(remedy) for remedy in cause.remedies],
    }


def diagnose(evidence: Evidence) -> Diagnosis:
    """Judge every candidate cause by the evidence of one log.

    Parameters
    ----------
    evidence : Evidence
        What the log shows.

    Returns
    -------
    Diagnosis
        Without candidates where nothing in this log speaks for one. `decided` is False unless the first one is likely
        and clearly ahead.
    """
    found = [cause for judge in judges() if (cause := judge(evidence)) is not None]
    candidates = sorted((cause for cause in found if cause.grade != "unlikely"), key=lambda cause: -cause.score)
    second = candidates[1].score if len(candidates) > 1 else 0.0
    decided = bool(candidates) and candidates[0].grade == "likely" and candidates[0].score >= second + MARGIN
    refuted = tuple(cause for cause in found if cause.score < 0 and cause.speaks_against)
    unchecked = {check.signal: check for cause in found for check in cause.unchecked if cause not in refuted}
    return Diagnosis(decided, tuple(candidates), refuted, tuple(unchecked.values()))


def judges() -> Iterator[Callable[[Evidence], Cause | None]]:
    """Yield the function ``judge`` of each module in ``causes/``, in the order of their names."""
    for module in sorted(pkgutil.iter_modules(causes.__path__), key=lambda module: module.name):
        yield import_module(f"{causes.__name__}.{module.name}").judge
