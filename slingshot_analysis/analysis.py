"""From the signals of a run to everything that was found in it."""

from __future__ import annotations

import dataclasses
import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slingshot_analysis.association import Association, association_test, near_window
from slingshot_analysis.detectors import detect_accuracy_jumps, detect_loss_spikes, grokking_step, segment_norm
from slingshot_analysis.detectors.slingshots import Verdict, assemble
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import AccuracyJump, LossSpike, Phase, Slingshot
from slingshot_analysis.signal import Signal
from slingshot_analysis.trace import Trace, open_trace

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Analysis", "Skipped", "analyze", "finite", "summarize_runs"]

NORMS = ("last_layer_norm", "total_norm", "representation_norm")
"""Norms to segment, the first that there is."""

BATCH_LOSSES = ("batch_loss_float64", "batch_loss")
"""The float64 loss goes on where the float32 one is exactly 0."""


@dataclass(frozen=True)
class Skipped:
    """Something that could not be found out, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Analysis:
    """What was found in one run. Steps are optimizer updates; numbers are not rounded.

    Parameters
    ----------
    path, name : str
        The file and the name of the run; both empty for signals that came from no file.
    steps : (int, int), updates
        First and last step of all signals.
    signals : dict of str to str
        The signals used, by canonical name, with their names in the source.
    verdict : {"slingshots", "none", "diverged", "unstable", "undecided"}
        "slingshots" with a full one, or a loss_only one where no norm was logged.
    terminal_phase_start : int or None, updates
        First step from which the training set stays perfectly classified for a while.
    grokking_step : int or None, updates
        First step of a validation accuracy that is high at last, long after the training set was fitted.
    phases : tuple of Phase
        Of the norm.
    loss_spikes : tuple of LossSpike
        Of the training loss.
    accuracy_jumps : tuple of AccuracyJump
        Of the validation accuracy.
    slingshots : tuple of Slingshot
        In order.
    association : Association
        Jumps in the terminal phase against transitions.
    skipped : tuple of Skipped
        What could not be found out, and why.
    """

    path: str
    name: str
    steps: tuple[int, int]
    signals: dict[str, str]
    verdict: Verdict
    terminal_phase_start: int | None
    grokking_step: int | None
    phases: tuple[Phase, ...]
    loss_spikes: tuple[LossSpike, ...]
    accuracy_jumps: tuple[AccuracyJump, ...]
    slingshots: tuple[Slingshot, ...]
    association: Association
    skipped: tuple[Skipped, ...]

    @property
    def norm_signal(self) -> str | None:
        """Name of the norm that was segmented."""
        return next((name for name in NORMS if name in self.signals), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the analysis as plain Python values for JSON; what is not finite is None."""
        plain: dict[str, Any] = finite(dataclasses.asdict(self))
        return plain

    def to_json(self) -> str:
        """Return the analysis as JSON text: one entry of the document that ``slingshot analyze`` writes."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def summary(self) -> pd.DataFrame:
        """Return one row per slingshot, with the fields of `Slingshot` as columns."""
        import pandas as pd

        columns = [field.name for field in dataclasses.fields(Slingshot)]
        return pd.DataFrame([dataclasses.asdict(s) for s in self.slingshots], columns=columns)

    def _repr_html_(self) -> str:
        head = f"<b>{html.escape(self.name or 'run')}</b>: verdict <b>{self.verdict}</b>, steps {self.steps}"
        return f"<div>{head}{self.summary().round(4).to_html(index=False)}</div>"


def analyze(run: Trace | Mapping[str, Signal] | str | Path) -> Analysis:
    """Find phases, spikes, jumps and slingshots in a run, and test whether jumps come with slingshots.

    Parameters
    ----------
    run : Trace, path of one, or mapping of str to Signal
        Signals by canonical name, such as ``last_layer_norm``, ``train_loss``, ``batch_errors``, ``val_accuracy``.
        Each has its own steps; any may be missing.

    Returns
    -------
    Analysis
        With a note of whatever had to be skipped.

    Raises
    ------
    InputError
        If a file can't be read, or the run holds no rows.

    Examples
    --------
    >>> import numpy as np
    >>> from slingshot_analysis import Signal
    >>> step = np.arange(10_000)
    >>> norm = np.exp(np.interp(step, [0, 500, 5000, 6000, 10_000], [0, 1, 1.01, 1.5, 1.51]))
    >>> loss = np.exp(-step / 300)
    >>> loss[6000:] += np.exp(-(step[6000:] - 6000) / 200)
    >>> found = analyze({"last_layer_norm": Signal(step, norm), "train_loss": Signal(step, loss)})
    >>> found.verdict, [slingshot.transition for slingshot in found.slingshots]
    ('slingshots', [6000])
    """
    trace = open_trace(run) if isinstance(run, str | Path) else run
    path = str(trace.path) if isinstance(trace, Trace) else ""
    used = _read(trace)
    if not any(len(signal) for signal in used.values()):
        raise InputError(f"{path or 'run'}: holds no rows of any signal that can be analyzed; it was killed too early")

    norm = next((used[name] for name in NORMS if name in used), None)
    batch_loss = next((used[name] for name in BATCH_LOSSES if name in used), None)
    assembly = assemble(
        norm=norm,
        train_loss=used.get("train_loss"),
        batch_loss=batch_loss,
        train_errors=used.get("train_errors"),
        batch_errors=used.get("batch_errors"),
        train_accuracy=used.get("train_accuracy"),
    )
    skipped = [Skipped(what, why) for what, why in assembly.skipped]

    loss = batch_loss if batch_loss is not None else used.get("train_loss")
    phases = segment_norm(norm.step, norm.value) if norm is not None else []
    spikes = detect_loss_spikes(loss.step, loss.value) if loss is not None else []

    first = min(float(np.nanmin(signal.step)) for signal in used.values() if len(signal))
    last = max(float(np.nanmax(signal.step)) for signal in used.values() if len(signal))
    jumps: list[AccuracyJump] = []
    grokking = None
    stride, span = 1.0, (first, last)
    accuracy = used.get("val_accuracy")
    if accuracy is None or len(accuracy) < 2:
        skipped.append(Skipped("accuracy jumps, grokking step", "no val_accuracy"))
    else:
        jumps = detect_accuracy_jumps(accuracy.step, accuracy.value, samples=_samples(used))
        grokking = grokking_step(accuracy.step, accuracy.value, assembly.terminal_phase)
        span = float(accuracy.step.min()), float(accuracy.step.max())
        if assembly.terminal_phase is not None:
            span = min(float(assembly.terminal_phase), span[1]), span[1]
        stride = float(np.median(np.diff(np.unique(accuracy.step))))
    transitions = [s.transition for s in assembly.slingshots if span[0] <= s.transition <= span[1]]
    late_jumps = [jump for jump in jumps if span[0] < jump.step]
    return Analysis(
        path=path,
        name=Path(path).stem,
        steps=(int(first), int(last)),
        signals={name: signal.name or name for name, signal in used.items()},
        verdict=assembly.verdict,
        terminal_phase_start=assembly.terminal_phase,
        grokking_step=grokking,
        phases=tuple(phases),
        loss_spikes=tuple(spikes),
        accuracy_jumps=tuple(jumps),
        slingshots=assembly.slingshots,
        association=association_test(late_jumps, transitions, near_window(stride, span), span),
        skipped=tuple(skipped),
    )


USED = (
    *NORMS,
    *BATCH_LOSSES,
    "batch_errors",
    "train_loss",
    "train_errors",
    "train_accuracy",
    "val_accuracy",
    "val_errors",
)


def _read(run: Trace | Mapping[str, Signal]) -> dict[str, Signal]:
    """Return the signals that the detectors use, once each: no second norm, no second loss of the batch."""
    names = [name for name in USED if name in run]
    for alternatives in (NORMS, BATCH_LOSSES):
        present = [name for name in alternatives if name in names]
        names = [name for name in names if name not in present[1:]]
    return {name: run[name] for name in names}


def _samples(used: Mapping[str, Signal]) -> int | None:
    """Return the size of the validation set, which errors and accuracy together tell where both are logged."""
    if "val_errors" not in used or len(used["val_errors"]) != len(used["val_accuracy"]):
        return None
    wrong = 1 - used["val_accuracy"].value.astype(np.float64)
    errors = used["val_errors"].value.astype(np.float64)
    return round(float((errors[wrong > 0] / wrong[wrong > 0]).max())) if (wrong > 0).any() else None


def summarize_runs(analyses: Sequence[Analysis]) -> dict[str, int]:
    """Count runs, runs with slingshots, runs that grokked, and runs with both."""
    slingshots = [analysis.verdict == "slingshots" for analysis in analyses]
    grokked = [analysis.grokking_step is not None for analysis in analyses]
    return {
        "runs": len(analyses),
        "with_slingshots": sum(slingshots),
        "grokked": sum(grokked),
        "both": sum(a and b for a, b in zip(slingshots, grokked, strict=True)),
    }


def finite(value: Any) -> Any:
    """Return plain Python values with None in place of every float that is not finite.

    Examples
    --------
    >>> finite({"a": (1.5, float("inf"))})
    {'a': [1.5, None]}
    """
    if isinstance(value, dict):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
