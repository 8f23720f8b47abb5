"""A claim: its runs, the quantity that is measured in each of them, and the rule that decides it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.configuration import Plain
from slingshot_analysis.trace import Trace

Verdict = Literal["holds", "does not hold", "not decided"]
Scale = Literal["small", "paper"]

SWEEPS = Path(__file__).parent / "sweeps"
"""Folder of the sweep files that only claims use; others come with :mod:`trainers.sweep`."""


@dataclass(frozen=True)
class Finding:
    """What the rule of a claim says of some runs.

    Parameters
    ----------
    verdict : {"holds", "does not hold", "not decided"}
        "not decided" where the runs are too few, or do not show what the rule asks for.
    because : str
        The numbers that decided, in words.
    n : str
        What was counted, such as "33 transitions of 7 runs".
    numbers : dict of str to int, float or None
        The same numbers for programs.
    """

    verdict: Verdict
    because: str
    n: str
    numbers: dict[str, int | float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One run of a claim.

    Parameters
    ----------
    analysis : Analysis
        What was found in the run.
    found : object
        What the claim's `measure` returned for it.
    """

    analysis: Analysis
    found: Any = None

    @property
    def config(self) -> dict[str, Plain]:
        """The configuration of the run by dotted names, such as ``optimizer.eps``."""
        return self.analysis.config

    @property
    def slingshots(self) -> int:
        """Number of slingshots with a confidence of 0.5 or more."""
        return len(self.analysis.certain)

    @property
    def best_accuracy(self) -> float:
        """The best validation accuracy of the run; 0 if there was no evaluation."""
        bests = self.analysis.best_val_accuracy_before, self.analysis.best_val_accuracy_after
        return max((best for best in bests if best is not None), default=0.0)


def samples(run: Trace, name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the steps and the values of a quantity as arrays of float64.

    Raises
    ------
    InputError
        If the run has no such quantity.
    """
    signal = run[name]
    return signal.step.astype(np.float64), signal.value.astype(np.float64)


def nothing(run: Trace, analysis: Analysis) -> None:
    """Measure nothing: the analysis of the run is enough."""


@dataclass(frozen=True)
class Claim:
    """A claim of the paper (Thilak et al. 2022, arXiv 2206.04817), or one about its experiments.

    Parameters
    ----------
    title : str
        What is claimed, in one sentence.
    figures : str
        Figures of the paper that show it; "not in the paper" if there are none.
    sweeps : dict of {"small", "paper"} to tuple of str
        The sweep files of each scale: names of files in ``trainers/claims/sweeps`` or of :func:`shipped_sweeps`.
    rule : str
        The rule in words, with its threshold.
    decide : callable
        The rule: a function of all `Measured` runs that returns a `Finding`.
    draws : str
        Name of the figure, which ``slingshot figure`` draws too.
    core_hours : float, hours
        What the runs of the small scale cost on one core of the machine for which docs/experiments.md has rates.
    measure : callable, optional
        A function of the trace and the analysis of one run. What it returns must be picklable.
    shortened : str, optional
        What the small scale leaves out, if it is too short to decide the claim. Its verdict is then "not decided".
    changed : str, optional
        How the rule was changed after its runs were looked at, and why.
    """

    title: str
    figures: str
    sweeps: Mapping[Scale, tuple[str, ...]]
    rule: str
    decide: Callable[[Sequence[Measured]], Finding]
    draws: str
    core_hours: float
    measure: Callable[[Trace, Analysis], Any] = nothing
    shortened: str = ""
    changed: str = ""


def sweep_file(name: str) -> str | Path:
    """Return what `read_config` needs for a sweep of a claim."""
    own = SWEEPS / f"{name}.toml"
    return own if own.exists() else name
