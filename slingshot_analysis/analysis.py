"""From the signals of a run to everything that was found in it."""

from __future__ import annotations

import dataclasses
import html
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slingshot_analysis.association import Association, association_test, near_window
from slingshot_analysis.configuration import Plain, configuration
from slingshot_analysis.detectors import (
    EventOrder,
    detect_accuracy_jumps,
    detect_curvature_peaks,
    detect_feature_bursts,
    detect_loss_spikes,
    fit_log_growth,
    grokking_sensitivity,
    grokking_step,
    order_events,
    segment_norm,
)
from slingshot_analysis.detectors.options import DEFAULT, Options
from slingshot_analysis.detectors.slingshots import Verdict, assemble
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import AccuracyJump, LogGrowth, LossSpike, Peak, Phase, Slingshot
from slingshot_analysis.labels import Labels, read_labels
from slingshot_analysis.readers import Log, read_log
from slingshot_analysis.signal import Signal
from slingshot_analysis.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Analysis", "Skipped", "analyze", "finite", "summarize_runs"]

NORMS = {
    "last_layer_norm": "that of the last layer, which the paper plots",
    "representation_norm": "no norm of the last layer is logged; that of the hidden layers stands in for it",
    "total_norm": "no norm of the last layer is logged; that of all parameters stands in for it",
    "parameter_norm": "no norm of the last layer is named; that of the last weight logged stands in for it",
}
"""Norms to segment, the first that there is, and why it was taken."""

BATCH_LOSSES = ("batch_loss_float64", "batch_loss")
"""The float64 loss goes on where the float32 one is exactly 0."""


CURVATURES = ("hessian_top_eigenvalues", "hessian_top_eigenvalue", "update_sharpness")
"""Curvatures in which peaks are looked for, the first that there is."""


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
    config : dict of str to bool, int, float or str
        The configuration by dotted names, as far as it was recorded: see `configuration`.
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
    best_val_accuracy_before, best_val_accuracy_after : float or None, fraction in [0, 1]
        The best before the first transition, and from there on. A run without slingshots lies wholly before.
    final_val_accuracy : float or None, fraction in [0, 1]
        Of the last evaluation.
    feature_bursts, curvature_peaks : tuple of Peak
        Of the features of the last layer logged, of the top Hessian eigenvalue or the sharpness along the update.
    norm_growth : tuple of LogGrowth
        Each growth phase against the logarithm of time.
    grokking_sensitivity : dict of str to int or None, updates
        The grokking step under other definitions.
    slingshots : tuple of Slingshot
        In order.
    order : tuple of EventOrder
        What happened when around each of them, as far as it was recorded.
    association : Association
        Jumps in the terminal phase against transitions.
    skipped : tuple of Skipped
        What could not be found out, and why.
    notes : tuple of str
        Which norm was used and why, what was handled in reading, and what people's labels have changed.
    """

    path: str
    name: str
    steps: tuple[int, int]
    signals: dict[str, str]
    config: dict[str, Plain]
    verdict: Verdict
    terminal_phase_start: int | None
    grokking_step: int | None
    phases: tuple[Phase, ...]
    loss_spikes: tuple[LossSpike, ...]
    accuracy_jumps: tuple[AccuracyJump, ...]
    best_val_accuracy_before: float | None
    best_val_accuracy_after: float | None
    final_val_accuracy: float | None
    feature_bursts: tuple[Peak, ...]
    curvature_peaks: tuple[Peak, ...]
    norm_growth: tuple[LogGrowth, ...]
    grokking_sensitivity: dict[str, int | None]
    slingshots: tuple[Slingshot, ...]
    order: tuple[EventOrder, ...]
    association: Association
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]

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


def analyze(
    run: Trace | Mapping[str, Signal] | str | Path, *, labels: Labels | None = None, options: Options = DEFAULT
) -> Analysis:
    """Find phases, spikes, jumps and slingshots in a run, and test whether jumps come with slingshots.

    Parameters
    ----------
    run : Trace, path of a log of one run, or mapping of str to Signal
        Signals by canonical name, such as ``last_layer_norm``, ``train_loss``, ``batch_errors``, ``val_accuracy``.
        Each has its own steps; any may be missing.
    labels : Labels, optional
        What somebody who looked at the run says; by default the labels file beside the run, if there is one.
    options : Options, optional
        Choices of the detectors; the defaults need no tuning.

    Returns
    -------
    Analysis
        With a note of whatever had to be skipped.

    Raises
    ------
    InputError
        If a file can't be read, holds several runs, or no rows.

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
    trace = _single_run(run) if isinstance(run, str | Path) else run
    path, name = (str(trace.path), trace.name) if isinstance(trace, Trace) else ("", "")
    used = {name: trace[name] for name in _wanted(trace)}
    if not any(len(signal) for signal in used.values()):
        raise InputError(
            f"{path or 'run'}: holds no rows of any signal that can be analyzed; a trace was killed too early, and how "
            "the columns of a log were understood is shown by `slingshot inspect`"
        )
    if labels is None:
        labels = read_labels(trace) if isinstance(trace, Trace) else Labels()

    norm_name = next((name for name in NORMS if name in used), None)
    norm = used[norm_name] if norm_name else None
    if norm is not None and norm.axes:
        norm = used["parameter_norm"] = norm.select(parameter=_last_weight(norm))
    batch_loss = next((used[name] for name in BATCH_LOSSES if name in used), None)
    assembly = assemble(
        norm=norm,
        train_loss=used.get("train_loss"),
        batch_loss=batch_loss,
        train_errors=used.get("train_errors"),
        batch_errors=used.get("batch_errors"),
        train_accuracy=used.get("train_accuracy"),
        added=labels.added,
        removed=labels.removed,
        options=options,
    )
    skipped = [Skipped(what, why) for what, why in assembly.skipped]

    config: dict[str, Plain] = {}
    try:
        config = configuration(trace) if isinstance(trace, Trace) else {}
    except InputError as error:
        skipped.append(Skipped("configuration", str(error)))

    loss = batch_loss if batch_loss is not None else used.get("train_loss")
    spikes = detect_loss_spikes(loss.step, loss.value) if loss is not None else []
    features, curvature = _last_label(used.get("feature_change")), _curvature(used)

    first = min(float(np.nanmin(signal.step)) for signal in used.values() if len(signal))
    last = max(float(np.nanmax(signal.step)) for signal in used.values() if len(signal))
    jumps: list[AccuracyJump] = []
    grokking, sensitivity = None, {}
    stride, span, terminal = 1.0, (first, last), assembly.terminal_phase
    accuracy = used.get("val_accuracy")
    if accuracy is None or len(accuracy) < 2:
        skipped.append(Skipped("accuracy jumps, grokking step", "no val_accuracy"))
    else:
        jumps = detect_accuracy_jumps(accuracy.step, accuracy.value, samples=_samples(used))
        grokking = grokking_step(accuracy.step, accuracy.value, terminal)
        sensitivity = grokking_sensitivity(accuracy.step, accuracy.value, terminal)
        span = float(accuracy.step.min()), float(accuracy.step.max())
        evaluations = np.asarray(accuracy.step, dtype=np.float64)
        asked = evaluations[evaluations >= (span[0] if terminal is None else float(terminal))]
        if len(np.unique(asked)) < 2:
            skipped.append(Skipped("association", "fewer than two evaluations since the terminal phase began"))
        else:
            span = float(asked.min()), span[1]
        stride = float(np.median(np.diff(np.unique(accuracy.step))))
    transitions = [s.transition for s in assembly.slingshots if span[0] <= s.transition <= span[1]]
    late_jumps = [jump for jump in jumps if span[0] < jump.step]
    window = near_window(stride, span)
    before, after, final = _accuracies(accuracy, min((s.transition for s in assembly.slingshots), default=None))
    return Analysis(
        path=path,
        name=name,
        steps=(int(first), int(last)),
        signals={name: signal.name or name for name, signal in used.items()},
        config=config,
        verdict=assembly.verdict,
        terminal_phase_start=assembly.terminal_phase,
        grokking_step=grokking,
        phases=tuple(segment_norm(norm.step, norm.value, options=options)) if norm is not None else (),
        loss_spikes=tuple(spikes),
        accuracy_jumps=tuple(jumps),
        best_val_accuracy_before=before,
        best_val_accuracy_after=after,
        final_val_accuracy=final,
        feature_bursts=tuple(detect_feature_bursts(features.step, features.value)) if features is not None else (),
        curvature_peaks=tuple(detect_curvature_peaks(curvature.step, curvature.value)) if curvature is not None else (),
        norm_growth=tuple(fit_log_growth(norm.step, norm.value)) if norm is not None else (),
        grokking_sensitivity=sensitivity,
        slingshots=assembly.slingshots,
        order=tuple(order_events(assembly.slingshots, _ordered(trace, batch_loss), late_jumps, window)),
        association=association_test(late_jumps, transitions, window, span),
        skipped=tuple(skipped),
        notes=tuple(_notes(trace, norm_name, norm, labels)),
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
    "feature_change",
    *CURVATURES,
)

ORDERED = (
    "softmax_collapse",
    "zero_loss_fraction",
    "zero_gradient_fraction",
    "zero_sum_violation",
    "event_effective_step",
    "event_max_stable_step",
    "event_preconditioned_ratio",
    "event_update_sharpness",
)


def _single_run(path: str | Path) -> Trace:
    runs = read_log(path)
    if len(runs) > 1:
        names = ", ".join(repr(run.name) for run in runs[:3])
        raise InputError(f"{path}: holds {len(runs)} runs ({names}, ...); analyze each of read_log({str(path)!r})")
    return runs[0]


def _wanted(run: Trace | Mapping[str, Signal]) -> list[str]:
    """Return the signals that the detectors use, once each: no second norm, no second loss of the batch."""
    names = [name for name in USED if name in run]
    for alternatives in (NORMS, BATCH_LOSSES, CURVATURES):
        present = [name for name in alternatives if name in names]
        names = [name for name in names if name not in present[1:]]
    return names


def _ordered(run: Trace | Mapping[str, Signal], batch_loss: Signal | None) -> dict[str, Signal]:
    """Return the signals that tell the order of events."""
    signals = {name: run[name] for name in ORDERED if name in run}
    effective = signals.get("event_effective_step")
    if effective is not None and effective.axes:
        signals["event_effective_step"] = effective.select(**{effective.axes[0].name: "0"})
    return signals | ({} if batch_loss is None else {"batch_loss": batch_loss})


def _last_weight(norm: Signal) -> str:
    """Return the last parameter that is no bias and no normalisation, in the order of the log."""
    labels = norm.axes[0].labels
    weights = [label for label in labels if not any(word in label.lower() for word in ("bias", "norm", "embed"))]
    return (weights or list(labels))[-1]


def _last_label(signal: Signal | None) -> Signal | None:
    """Return a vector signal at the last label of its axis, such as the features that the last layer reads."""
    if signal is None or not signal.axes:
        return signal
    return signal.select(**{signal.axes[0].name: signal.axes[0].labels[-1]})


def _curvature(used: Mapping[str, Signal]) -> Signal | None:
    """Return the largest eigenvalue, or another curvature, if any is logged."""
    signal = next((used[name] for name in CURVATURES if name in used), None)
    if signal is None or not signal.axes:
        return signal
    return signal.select(**{signal.axes[0].name: signal.axes[0].labels[0]})


def _notes(
    trace: Trace | Mapping[str, Signal], norm_name: str | None, norm: Signal | None, labels: Labels
) -> Iterator[str]:
    if norm_name and norm is not None:
        parameter = getattr(trace, "attributes", {}).get("last_layer") if norm_name == "last_layer_norm" else None
        of = f" of {parameter}" if parameter else f" ({norm.name})" if norm.name not in ("", norm_name) else ""
        yield f"norm: {norm_name}{of}: {NORMS[norm_name]}"
    if isinstance(trace, Log):
        yield from trace.notes
        yield from (f"{column.column}: {column.remark}" for column in trace.columns if column.signal and column.remark)
    if labels.added or labels.removed:
        yield f"labels by hand: added {list(labels.added)}, removed {list(labels.removed)}"


def _accuracies(accuracy: Signal | None, transition: int | None) -> tuple[float | None, float | None, float | None]:
    """Return the best accuracy before a transition and since, and the last one, leaving out NaN."""
    if accuracy is None:
        return None, None, None
    step, value = accuracy.step.astype(np.float64), accuracy.value.astype(np.float64)
    known = np.isfinite(value)
    step, value = step[known], value[known]
    early = np.ones(len(step), dtype=bool) if transition is None else step < transition
    before, after, final = (
        float(part.max()) if len(part) else None for part in (value[early], value[~early], value[-1:])
    )
    return before, after, final


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
