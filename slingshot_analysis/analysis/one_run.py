"""Analyze one run: choose signals, run the detectors, and test whether jumps come with slingshots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from slingshot_analysis.analysis._causes import collect_evidence, find_leads, other_signals
from slingshot_analysis.analysis._generalisation import find_generalisation
from slingshot_analysis.analysis._labelled import label_climbs, label_notes, label_spikes, struck_out
from slingshot_analysis.analysis._spikes import find_spikes, revealed
from slingshot_analysis.analysis.result import Analysis, Skipped
from slingshot_analysis.analysis.signals import (
    BATCH_LOSSES,
    LOSSES,
    NORMS,
    Signals,
    as_signals,
    choose_signals,
    chosen_curvature,
    chosen_features,
    chosen_norm,
    first_of,
    ordered_signals,
)
from slingshot_analysis.association import Association, association_test, near_window, order_events
from slingshot_analysis.canonical import as_step, canonical
from slingshot_analysis.configuration import Plain, configuration
from slingshot_analysis.detectors import (
    detect_curvature_peaks,
    detect_feature_bursts,
    fit_log_growth,
)
from slingshot_analysis.diagnosis import diagnose
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import CERTAIN, LABEL_SHARE, Phase, Slingshot
from slingshot_analysis.labels import Labels, read_labels
from slingshot_analysis.readers import Log, read_log
from slingshot_analysis.signal import Signal
from slingshot_analysis.slingshots import DEFAULT, Options, assemble
from slingshot_analysis.trace import Trace

if TYPE_CHECKING:
    import pandas as pd


@np.errstate(over="ignore")  # a log may hold numbers at the edge of float64
def analyze(
    run: Signals | Mapping[str, Any] | str | Path | IO[Any] | pd.DataFrame,
    *,
    labels: Labels | None = None,
    options: Options = DEFAULT,
) -> Analysis:
    """Find phases, spikes, jumps and slingshots in a run, and test whether jumps come with slingshots.

    Parameters
    ----------
    run : Trace, mapping of str to Signal or (step, value), or what `read_log` reads
        The signals by canonical name, such as ``last_layer_norm``, ``train_loss``, ``batch_errors``, ``val_accuracy``.
        Each has its own steps, and any may be missing. Or a log of one run: a path, an open file, a DataFrame, a
        mapping of names to Series or arrays.
    labels : Labels, optional
        Corrections by hand; by default those in the labels file beside the run, if there is one.
    options : Options, optional
        Settings of the detectors; the defaults need no tuning.

    Returns
    -------
    Analysis
        Its `skipped` says what could not be found out.

    Raises
    ------
    InputError
        If a file can't be read or holds several runs, or a run has fewer than two steps.

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
    trace = _as_run(run)
    path, name = (str(trace.path), trace.name) if isinstance(trace, Trace) else ("", "")
    if labels is None:
        labels = read_labels(trace) if isinstance(trace, Trace) else Labels()
    chosen = choose_signals(trace)
    used, hidden = revealed(chosen)
    first, last = _steps(used, path or "run", getattr(trace, "notes", ()))
    norm, batch_loss = chosen_norm(used), used.get(first_of(BATCH_LOSSES, used) or "")
    assembled = partial(
        assemble,
        norm=norm,
        train_loss=used.get("train_loss"),
        batch_loss=batch_loss,
        train_errors=used.get("train_errors"),
        batch_errors=used.get("batch_errors"),
        train_accuracy=used.get("train_accuracy"),
        added=labels.added,
        options=options,
    )
    assembly = assembled(removed=labels.removed)
    others, loss = other_signals(trace, chosen), used.get(first_of(LOSSES, used) or "")
    near = LABEL_SHARE * (last - first)
    spikes = find_spikes(used)
    events = (*assembly.slingshots, *assembly.spikes_without_norm_growth)
    if struck := struck_out(events, spikes.loss_spikes, labels, near):
        assembly = assembled(removed=(*labels.removed, *struck))
    spikes = replace(spikes, loss_spikes=label_spikes(spikes.loss_spikes, labels, loss, near))
    phases = _with_norms(assembly.phases, norm)
    general = find_generalisation(used, (first, last), assembly.terminal_phase_start, phases, assembly.slingshots)
    window = near_window(general.stride, general.span, last - first)
    config, unreadable = _configuration(trace)
    leads = find_leads(spikes, others, loss)
    evidence = collect_evidence(trace, used, others, spikes, assembly, leads, config, (first, last))

    def association(events: Sequence[Slingshot]) -> Association:
        transitions = [event.transition for event in events if event.confidence >= CERTAIN]
        late = [at for at in transitions if general.span[0] <= at <= general.span[1]]
        return association_test(general.late_jumps, late, window, general.span)

    return Analysis(
        path=path,
        name=name,
        steps=(as_step(first), as_step(last)),
        signals=_sources(used, norm),
        config=config,
        verdict=spikes.verdict(assembly.verdict),
        terminal_phase_start=assembly.terminal_phase_start,
        grokking_step=general.grokking_step,
        phases=phases,
        loss_spikes=spikes.loss_spikes,
        gradient_spikes=spikes.gradient_spikes,
        not_finite=spikes.not_finite,
        diagnosis=diagnose(evidence),
        leads=tuple(leads),
        spike_score=spikes.spike_score,
        spike_score_1000=spikes.spike_score_1000,
        gradient_spike_score_1000=spikes.gradient_spike_score_1000,
        accuracy_jumps=general.jumps,
        accuracy_climbs=label_climbs(general.climbs, labels, used.get("val_accuracy"), near),
        best_val_accuracy_before=general.best_before,
        best_val_accuracy_after=general.best_after,
        final_val_accuracy=general.final,
        feature_bursts=_found(detect_feature_bursts, chosen_features(used)),
        curvature_peaks=_found(detect_curvature_peaks, chosen_curvature(trace)),
        norm_growth=_found(fit_log_growth, norm, phases=assembly.phases),
        grokking_sensitivity=general.sensitivity,
        slingshots=assembly.slingshots,
        spikes_without_norm_growth=assembly.spikes_without_norm_growth,
        order=tuple(order_events(assembly.slingshots, ordered_signals(trace, batch_loss), general.late_jumps, window)),
        association=association(assembly.slingshots),
        spike_association=association(assembly.spikes_without_norm_growth),
        gain_association=general.gain,
        gain_by_phase=general.gain_by_phase,
        skipped=(*(Skipped(*both) for both in assembly.skipped), *unreadable, *general.skipped),
        notes=(*spikes.notes(), *_notes(trace, norm, labels), *hidden),
    )


def _as_run(given: Any) -> Signals:
    if isinstance(given, Trace):
        return given
    if isinstance(given, Mapping) and (not given or any(isinstance(value, Signal | tuple) for value in given.values())):
        return as_signals(given)
    runs = read_log(given)
    if len(runs) > 1:
        names = ", ".join(repr(run.name) for run in runs[:3])
        path = runs[0].path
        raise InputError(f"{path}: holds {len(runs)} runs ({names}, ...); analyze each of read_log({str(path)!r})")
    return runs[0]


def _steps(used: Mapping[str, Signal], where: str, notes: Sequence[str]) -> tuple[float, float]:
    """Return the first and the last step of all signals."""
    spans = [(np.nanmin(signal.step), np.nanmax(signal.step)) for signal in used.values() if len(signal)]
    if not spans:
        noted = f" ({'; '.join(notes)})" if notes else ""
        raise InputError(
            f"{where}: holds no rows of any signal that can be analyzed{noted}; a trace then ended too early; "
            "for a log, `slingshot inspect` shows which signal each column was taken for"
        )
    first, last = float(min(first for first, _ in spans)), float(max(last for _, last in spans))
    if not last > first:
        raise InputError(
            f"{where}: all rows stand at step {first:g}, and an analysis needs two steps or more; "
            "for a log, `slingshot inspect` shows which column was taken for the steps"
        )
    return first, last


def _configuration(trace: Signals) -> tuple[dict[str, Plain], list[Skipped]]:
    try:
        return configuration(trace) if isinstance(trace, Trace) else {}, []
    except InputError as error:
        return {}, [Skipped("configuration", str(error))]


def _sources(used: Mapping[str, Signal], norm: Signal | None) -> dict[str, str]:
    """Return the name in the log of each signal; of the norms of single parameters, the name of the chosen one."""
    named = {name: signal.name or name for name, signal in used.items()}
    return named | ({"parameter_norm": norm.name} if norm is not None and "parameter_norm" in used else {})


def _found(detect: Callable[..., Sequence[Any]], signal: Signal | None, **options: Any) -> tuple[Any, ...]:
    """Return what a detector finds in a signal, or nothing where there is no such signal."""
    return () if signal is None else tuple(detect(signal.step, signal.value, **options))


def _with_norms(phases: Sequence[Phase], norm: Signal | None) -> tuple[Phase, ...]:
    """Return the phases with the norm at the first and the last row of each."""
    if norm is None:
        return tuple(phases)
    step, value = canonical(norm.step, norm.value, "norm")
    first = np.searchsorted(step, [phase.start for phase in phases])
    last = np.searchsorted(step, [phase.end for phase in phases]) - 1
    ends = zip(value[first].tolist(), value[np.maximum(first, last)].tolist(), strict=True)
    return tuple(replace(phase, norm=pair) for phase, pair in zip(phases, ends, strict=True))


def _notes(trace: Signals, norm: Signal | None, labels: Labels) -> Iterator[str]:
    norm_name = first_of(NORMS, trace)
    if norm_name and norm is not None:
        parameter = getattr(trace, "attributes", {}).get("last_layer") if norm_name == "last_layer_norm" else None
        of = f" of {parameter}" if parameter else f" ({norm.name})" if norm.name not in ("", norm_name) else ""
        yield f"norm: {norm_name}{of}: {NORMS[norm_name]}"
    yield from getattr(trace, "notes", ())
    if isinstance(trace, Log):
        yield from (f"{column.column}: {column.remark}" for column in trace.columns if column.signal and column.remark)
    yield from label_notes(labels)
