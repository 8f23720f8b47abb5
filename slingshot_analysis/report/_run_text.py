"""One run as text: what happened, how sure that is, and tables of slingshots and phases."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.analysis.signals import LOSSES
from slingshot_analysis.events import LogGrowth, LossSpike, NotFinite, Peak, Phase, Slingshot
from slingshot_analysis.report._diagnosis_text import describe_diagnosis
from slingshot_analysis.report._words import count_of, early_words, indented, lag_words, p_words, step_words

ROWS, PHASE_ROWS, SPIKE_ROWS = 10, 6, 8
"""Maximum number of rows of a table of slingshots, of one of phases, and of one of the highest loss spikes, unless more
are asked for."""
MANY_DEVIATIONS = 1000
"""Deviations from which on their number means nothing more."""
LISTED = 5
"""Maximum number of peaks, jumps and orders of events that are listed."""
HUGE = 1000
"""Ratio from which on only its order of magnitude means anything: the norm hardly grew before."""
PHASE_KINDS = ("growth", "plateau", "decay")
OUTCOMES = ("recovered", "lingering", "diverged", "not finite")


def describe(analysis: Analysis, notes: Sequence[str], *, full: bool) -> RenderableType:
    """Return what was found in one run, the answer first, and some of its notes at the end.

    Parameters
    ----------
    analysis : Analysis
        Of one run.
    notes : sequence of str
        Those of its notes that are printed.
    full : bool
        Whether tables have all of their rows.
    """
    rows = sys.maxsize if full else ROWS
    lines: list[RenderableType] = [_head(analysis), *(indented(f"  {line}") for line in _answer(analysis))]
    if analysis.loss_spikes:
        lines.append(_spike_table(analysis.loss_spikes, sys.maxsize if full else SPIKE_ROWS))
    if analysis.slingshots:
        lines.append(Text("  slingshots:"))
        lines.append(_slingshot_table(analysis.slingshots, rows))
    if analysis.spikes_without_norm_growth:
        lines.append(Text("  loss spikes without norm growth:"))
        lines.append(_slingshot_table(analysis.spikes_without_norm_growth, rows))
    if analysis.phases:
        most = len(analysis.phases) if full else PHASE_ROWS
        lines.append(Text(f"  {_phases(analysis, most)}"))
        if analysis.slingshots:
            lines.append(_phase_table(analysis.phases[:most], analysis.norm_growth))
    lines += [indented(f"  {line}") for line in (*_peaks(analysis), *_orders(analysis))]
    lines += [indented(f"  {note}", style="dim") for note in notes]
    return Group(*lines)


def _head(analysis: Analysis) -> Text:
    first, last = map(step_words, analysis.steps)
    return Text.assemble((analysis.name, "bold"), f"  steps {first} to {last}  verdict: ", (analysis.verdict, "bold"))


def _answer(analysis: Analysis) -> Iterator[str]:
    """Say what happened, and how sure that is."""
    yield what_happened(analysis)
    yield from describe_diagnosis(analysis.diagnosis, happened=is_eventful(analysis))
    yield from other_facts(analysis)


def other_facts(analysis: Analysis) -> Iterator[str]:
    """Say what else was found: values that are not finite, milestones, and when validation accuracy was gained."""
    if analysis.not_finite:
        shown = [_not_finite(part) for part in analysis.not_finite]
        yield f"not finite: {_listed(shown)}"
    yield "; ".join(_milestones(analysis))
    yield from _jumps(analysis)
    yield from _gain(analysis)


def _milestones(analysis: Analysis) -> Iterator[str]:
    """Say from when on the training set is fitted, and when the network groks, if its accuracy was logged."""
    fitted, grokked = analysis.terminal_phase_start, analysis.grokking_step
    yield "training set not fitted" if fitted is None else f"training set fitted from step {step_words(fitted)}"
    if grokked is not None:
        yield f"grokking at step {step_words(grokked)}"
    elif "val_accuracy" in analysis.signals:
        yield "no grokking"


def is_eventful(analysis: Analysis) -> bool:
    """Return whether there is anything to explain."""
    events = (*analysis.loss_spikes, *analysis.not_finite, *analysis.certain, *analysis.certain_spikes)
    return bool(events) or analysis.verdict in ("diverged", "unstable")


def what_happened(analysis: Analysis) -> str:
    """Say in one line how many slingshots and loss spikes there are, and whether the loss is lost."""
    if analysis.verdict == "none" and not (is_eventful(analysis) or analysis.slingshots or analysis.diagnosis.causes):
        return "no slingshot and no loss spike: there is nothing to explain"
    words = [_slingshots(analysis), _spikes(analysis)]
    if analysis.not_finite:
        first = analysis.not_finite[0]
        words.append(f"{first.signal} is not finite from {step_words(first.start)} {_until(first)}")
    lost = any(spike.outcome in ("diverged", "not finite") for spike in analysis.loss_spikes) or analysis.not_finite
    if analysis.verdict == "diverged" and not lost:
        words.append("the loss rises for good")
    if analysis.verdict == "unstable":
        words.append("the loss never rests")
    return "; ".join(words)


def _spikes(analysis: Analysis) -> str:
    """Say how many loss spikes there are and what became of them."""
    spikes, apart = analysis.loss_spikes, len(analysis.certain_spikes)
    if not spikes and apart:
        return f"{count_of(apart, 'loss spike')} without norm growth"
    if not spikes:
        return "no loss spike" if set(LOSSES) & set(analysis.signals) else "no loss was logged, so spikes are not seen"
    outcomes = [spike.outcome for spike in spikes]
    count = f"{len(spikes):,} loss spikes" + (" in all" if analysis.certain else "")
    if len(spikes) == 1:
        words = f"1 loss spike, at {step_words(spikes[0].start)}: {outcomes[0]}"
    elif len(set(outcomes)) == 1:
        words = f"{count}, {'both' if len(spikes) == 2 else 'every one'} {outcomes[0]}"
    else:
        words = f"{count}: " + ", ".join(f"{outcomes.count(one)} {one}" for one in OUTCOMES if one in outcomes)
    before = "it" if len(spikes) == 1 else f"{apart} of them"
    return words + (f"; the norm does not grow before {before}" if apart else "")


def _not_finite(part: NotFinite) -> str:
    return f"{part.signal} from {step_words(part.start)} {_until(part)} ({count_of(part.values, 'value')})"


def _until(part: NotFinite) -> str:
    return "to the end" if part.end is None else f"up to {step_words(part.end)}"


def _slingshots(analysis: Analysis) -> str:
    certain = analysis.certain
    doubtful = len(analysis.slingshots) - len(certain)
    words = count_of(len(certain), "slingshot") if certain else "no slingshot"
    if certain:
        sure = [slingshot.confidence for slingshot in certain]
        low, high = f"{min(sure):.2f}", f"{max(sure):.2f}"
        words += f" with confidence {low if low == high else f'{low} to {high}'}"
    words += f" and {doubtful} doubtful (confidence below 0.5)" if doubtful else ""
    return words + ("; no norm was logged, so growth is not seen" if certain and analysis.norm_signal is None else "")


def _jumps(analysis: Analysis) -> Iterator[str]:
    """Say where the validation accuracy jumps, and whether the jumps come with transitions."""
    jumps, association = analysis.accuracy_jumps, analysis.association
    if not jumps:
        return
    shown = [f"{step_words(jump.step)} ({jump.before:.3f} → {jump.after:.3f})" for jump in jumps]
    words = f"validation accuracy jumps at {_listed(shown)}"
    if association.p_value is not None:
        low, high = map(lag_words, association.window)
        words += (
            f"; {association.jumps_near_transitions} of {association.jumps} within [{low}, {high}] of a transition, "
            f"p = {p_words(association.p_value)}"
        )
    apart = analysis.spike_association
    if apart.p_value is not None:
        words += f"; {apart.jumps_near_transitions} near a spike without norm growth, p = {p_words(apart.p_value)}"
    yield words


def _gain(analysis: Analysis) -> Iterator[str]:
    """Say when validation accuracy was gained: its climbs, its share in first halves of cycles, and its phases."""
    climbs = analysis.accuracy_climbs
    if climbs:
        shown = [
            f"{step_words(climb.onset)} to {step_words(climb.end)} ({climb.before:.3f} → {climb.after:.3f})"
            for climb in climbs
        ]
        yield f"validation accuracy climbs from {_listed(shown)}"
    found = analysis.gain_association
    if found is None or not found.gain:
        return
    since = "" if analysis.terminal_phase_start is None else " since the training set was fitted"
    words = f"validation accuracy gained{since}: {found.gain:.3f}"
    if found.cycles:
        words += f", {early_words(found)}"
    phases = ", ".join(f"{kind} {gain:.3f}" for kind, gain in analysis.gain_by_phase.items() if gain)
    yield words + (f"; by phase of the norm: {phases}" if phases and analysis.phases else "")


def _spike_table(spikes: Sequence[LossSpike], most: int) -> RenderableType:
    """Return start, height and outcome of the highest loss spikes."""
    numbers = ("loss spike from", "peak", "height", "deviations", "recovery", "remains")
    table = _table((*numbers, "outcome"), left=("outcome",))
    highest = sorted(spikes, key=lambda spike: -spike.height)[:most]
    for spike in sorted(highest, key=lambda spike: spike.start):
        table.add_row(
            step_words(spike.start),
            step_words(spike.peak),
            _number(spike.height),
            _deviations(spike.deviations),
            step_words(spike.recovery_steps),
            "-" if spike.residual is None else f"{spike.residual:+.2g}",
            spike.outcome,
        )
    return _with_hidden(table, len(spikes) - most, "lower")


def _with_hidden(table: Table, hidden: int, what: str) -> RenderableType:
    """Return a table, and below it the number of rows that it leaves out."""
    return Group(table, Text(f"  and {hidden} {what}: full=True shows all", style="dim")) if hidden > 0 else table


def _deviations(value: float) -> str:
    return f"> {MANY_DEVIATIONS:,}" if MANY_DEVIATIONS < value < np.inf else _number(value)


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "-"


def _slingshot_table(slingshots: Sequence[Slingshot], most: int) -> RenderableType:
    numbers = ("growth from", "transition", "transition between", "plateau ends", "norm")
    table = _table((*numbers, "tier", "shape", "confidence"), left=("tier", "shape"))
    for s in slingshots[:most]:
        table.add_row(
            step_words(s.growth_start),
            step_words(s.transition),
            f"{step_words(s.interval[0])} and {step_words(s.interval[1])}",
            step_words(s.plateau_end),
            _norms(s.norm_before, s.norm_after),
            s.tier,
            s.shape or "-",
            f"{s.confidence:.2f}",
        )
    return _with_hidden(table, len(slingshots) - most, "more")


def _phases(analysis: Analysis, most: int) -> str:
    """Count the phases of the norm. They stand in a table where there are slingshots, which are made of them."""
    kinds = [phase.kind for phase in analysis.phases]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in PHASE_KINDS if kind in kinds)
    cut = bool(analysis.slingshots) and len(kinds) > most
    return f"phases of the norm: {counts}" + (f"; the first {most}:" if cut else "")


def _phase_table(phases: Sequence[Phase], growths: Sequence[LogGrowth]) -> RenderableType:
    """Return a table of phases. Growth is compared with that of c log t, fitted to the plateaus before it."""
    table = _table(("phase", "start", "end", "norm", "rate per step", "growth / c·log t"), left=("phase",))
    excess = {growth.start: growth.excess for growth in growths}
    for phase in phases:
        times = excess.get(phase.start) if phase.kind == "growth" else None
        table.add_row(
            phase.kind,
            step_words(phase.start),
            step_words(phase.end),
            _norms(*(phase.norm or (None, None))),
            f"{phase.rate:+.1e}",
            "-" if times is None else f"{times:.3g}" if times < HUGE else f"> {HUGE:,}",
        )
    return table


def _peaks(analysis: Analysis) -> Iterator[str]:
    """Say where features change fast and where the curvature peaks."""
    for what, peaks in (("feature burst", analysis.feature_bursts), ("curvature peak", analysis.curvature_peaks)):
        if peaks:
            yield f"{count_of(len(peaks), what)}, peak and height: {_listed([_peak(peak) for peak in peaks])}"


def _peak(peak: Peak) -> str:
    return f"{step_words(peak.peak)} ({peak.ratio:.3g} times)"


def _orders(analysis: Analysis) -> Iterator[str]:
    """Say in which order things happened around each transition, where several were recorded."""
    telling = [order for order in analysis.order if len(order.lags) > 2]
    for order in telling[:LISTED]:
        yield f"around {step_words(order.transition)}: {_lags(order.lags)}"
    if len(telling) > LISTED:
        yield f"and around {count_of(len(telling) - LISTED, 'more transition')}"


def _lags(lags: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {lag_words(lag)}" for name, lag in lags.items())


def _norms(before: float | None, after: float | None) -> str:
    return "-" if before is None or after is None else f"{before:.3g} → {after:.3g}"


def _listed(words: Sequence[str]) -> str:
    """Join words with commas; beyond a few, say how many more there are."""
    more = f" and {len(words) - LISTED} more" if len(words) > LISTED else ""
    return ", ".join(words[:LISTED]) + more


def _table(headings: Sequence[str], left: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 0, 0, 2))
    for heading in headings:
        table.add_column(heading, justify="left" if heading in left else "right", no_wrap=True)
    return table
