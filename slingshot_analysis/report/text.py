"""Analyses as text for a terminal: what was found in each run, and tables over all runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.association import GainAssociation
from slingshot_analysis.many_runs import (
    Comparison,
    by_configuration,
    compare_runs,
    short_names,
    shown_value,
    summarize_runs,
    varying_keys,
)

__all__ = ["print_analyses"]


DESCRIBED = 20
"""Largest number of runs that are described one by one."""
LISTED = 200
"""Largest number of runs, or of configurations, that have a row each."""
KEYS_SHOWN = 5
"""Largest number of columns of the configuration in the table of runs."""
DIGITS = 6
"""Significant digits of a fractional step."""
WHOLE_FROM = 1000
"""Smallest median of steps that is rounded to a whole number."""


def print_analyses(analyses: Sequence[Analysis], console: Console) -> None:
    """Print what was found in each of up to 20 runs and, for more than one, tables over all runs."""
    if len(analyses) <= DESCRIBED:
        for analysis in analyses:
            console.print(describe(analysis))
            console.print()
    if len(analyses) > 1:
        console.print(across_runs(analyses))


def describe(analysis: Analysis) -> RenderableType:
    """Return what was found in one run."""
    head = Text.assemble(
        (analysis.name, "bold"),
        f"  steps {_step(analysis.steps[0])} to {_step(analysis.steps[1])}  verdict: ",
        (analysis.verdict, "bold"),
    )
    lines: list[RenderableType] = [head, Text("  " + _facts(analysis))]
    if analysis.slingshots:
        lines.append(_slingshot_table(analysis))
    lines += [
        Text(f"  around {_step(order.transition)}: {_lags(order.lags)}")
        for order in analysis.order
        if len(order.lags) > 2
    ]
    if analysis.accuracy_jumps:
        lines.append(Text("  " + _association(analysis)))
    lines += [Text("  " + words) for words in _gain(analysis)]
    for note in analysis.notes:
        lines.append(Text(f"  {note}", style="dim"))
    for skipped in analysis.skipped:
        lines.append(Text(f"  without {skipped.what}: {skipped.why}", style="dim"))
    return Group(*lines)


def _facts(analysis: Analysis) -> str:
    kinds = [phase.kind for phase in analysis.phases]
    phases = ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("growth", "plateau", "decay") if kind in kinds)
    spikes = len(analysis.loss_spikes)
    facts = [
        _fitted(analysis.terminal_phase_start),
        "no grokking" if analysis.grokking_step is None else f"grokking at step {_step(analysis.grokking_step)}",
        f"norm phases: {phases or 'none'}",
        f"{spikes} loss spike{'' if spikes == 1 else 's'}",
    ]
    return "; ".join(facts)


def _fitted(start: float | None) -> str:
    return "training set not fitted" if start is None else f"training set fitted from step {_step(start)}"


def _slingshot_table(analysis: Analysis) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 0, 0, 2))
    headings = (
        "growth from",
        "transition",
        "transition between",
        "plateau ends",
        "norm",
        "tier",
        "shape",
        "confidence",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("tier", "shape") else "right", no_wrap=True)
    for s in analysis.slingshots:
        norm = "-" if s.norm_before is None or s.norm_after is None else f"{s.norm_before:.3g} → {s.norm_after:.3g}"
        table.add_row(
            _step(s.growth_start),
            _step(s.transition),
            f"{_step(s.interval[0])} and {_step(s.interval[1])}",
            _step(s.plateau_end),
            norm,
            s.tier,
            s.shape or "-",
            f"{s.confidence:.2f}",
        )
    return table


def _lags(lags: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {_lag(lag)}" for name, lag in lags.items())


def _association(analysis: Analysis) -> str:
    association = analysis.association
    shown = [f"{_step(jump.step)} ({jump.before:.3f} → {jump.after:.3f})" for jump in analysis.accuracy_jumps]
    words = f"validation accuracy jumps at {', '.join(shown)}"
    if association.transitions:
        low, high = association.window
        words += (
            f"; {association.jumps_near_transitions} of {association.jumps} within [{_lag(low)}, {_lag(high)}] "
            f"of a transition, p = {association.p_value:.2g}"
            if association.p_value is not None
            else ""
        )
    return words


def _gain(analysis: Analysis) -> Iterator[str]:
    """Say when validation accuracy was gained: its climbs, its share in first halves of cycles, and its phases."""
    if analysis.accuracy_climbs:
        shown = [
            f"{_step(climb.onset)} to {_step(climb.end)} ({climb.before:.3f} → {climb.after:.3f})"
            for climb in analysis.accuracy_climbs
        ]
        yield f"validation accuracy climbs from {', '.join(shown)}"
    found = analysis.gain_association
    if found is None or not found.gain:
        return
    words = f"validation gain in the terminal phase: {found.gain:.3f}"
    if found.cycles:
        words += f", {_early(found)}"
    phases = ", ".join(f"{kind} {gain:.3f}" for kind, gain in analysis.gain_by_phase.items() if gain)
    yield words + (f"; by phase: {phases}" if phases else "")


def _early(found: GainAssociation) -> str:
    """Return the share of the gain in first halves of cycles, with the p-value if there is one."""
    cycles = f"{found.cycles} cycles" if found.cycles > 1 else "1 cycle"
    words = f"{found.early_share:.0%} in first halves of {cycles} ({found.expected_share:.0%} by chance)"
    return words + (f", p = {found.p_value:.2g}" if found.p_value is not None else "")


def across_runs(analyses: Sequence[Analysis]) -> RenderableType:
    """Return a table of runs, a table of configurations if runs share any, and the pooled tests."""
    found = compare_runs(analyses)
    counts = summarize_runs(analyses)
    words = (
        f"{counts['runs']} runs: {counts['with_slingshots']} with slingshots, {counts['grokked']} grokked, "
        f"{counts['both']} both"
    )
    groups = by_configuration(found.runs)
    shared = [Text(), _configuration_table(groups), Text()] if 1 < len(groups) < len(analyses) else []
    return Group(_run_table(analyses, found.runs), *shared, Text(words), Text(_comparison(found)))


def _run_table(analyses: Sequence[Analysis], runs: pd.DataFrame) -> RenderableType:
    if len(analyses) > LISTED:
        return Text(f"{len(analyses)} runs are too many to list here: see the table of runs", style="dim")
    keys = varying_keys(runs)
    shown = short_names(keys[:KEYS_SHOWN])
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    found = ("verdict", "slingshots", "first transition", "jumps", "jumps near", "p", "grokking")
    for heading in ("run", *shown.values(), *found):
        left = heading in ("run", "verdict")
        table.add_column(heading, justify="left" if left else "right", overflow="fold", no_wrap=heading != "run")
    for analysis, values in zip(analyses, runs[list(shown)].astype(object).to_numpy().tolist(), strict=True):
        association = analysis.association
        table.add_row(
            analysis.name,
            *map(shown_value, values),
            analysis.verdict,
            str(len(analysis.certain)),
            _step(analysis.certain[0].transition if analysis.certain else None),
            str(association.jumps),
            str(association.jumps_near_transitions),
            "-" if association.p_value is None else f"{association.p_value:.2g}",
            _step(analysis.grokking_step),
        )
    hidden = keys[KEYS_SHOWN:]
    left_out = [Text(f"runs also differ in {', '.join(hidden)}: see the table of runs", style="dim")] if hidden else []
    return Group(table, *left_out)


def _configuration_table(groups: pd.DataFrame) -> RenderableType:
    """Return one row for each configuration; steps and accuracies are medians over its runs."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    found = ("with slingshots", "grokked", "both", "first transition", "accuracy before → after")
    for heading in ("configuration", "runs", *found):
        left = heading == "configuration"
        table.add_column(heading, justify="left" if left else "right", overflow="fold", no_wrap=not left)
    for _, row in groups.head(LISTED).iterrows():
        interval = "" if pd.isna(row["share"]) else f" ({row['share_low']:.2f} to {row['share_high']:.2f})"
        accuracies = [row["best_val_accuracy_before"], row["best_val_accuracy_after"]]
        table.add_row(
            row["configuration"],
            str(row["runs"]),
            f"{row['both'] + row['slingshot_only']}{interval}",
            str(row["both"] + row["grokked_only"]),
            str(row["both"]),
            _median_step(row["first_transition"]),
            " → ".join("-" if pd.isna(accuracy) else f"{accuracy:.2f}" for accuracy in accuracies),
        )
    hidden = len(groups) - LISTED
    return Group(table, *([Text(f"and {hidden} more configurations", style="dim")] if hidden > 0 else []))


def _comparison(found: Comparison) -> str:
    """Return the pooled tests in words, every number with the number of runs or events behind it."""
    together, cells = found.association, found.contingency
    lines = []
    if together.p_value is not None:
        lines.append(
            f"jumps near transitions: {together.jumps_near_transitions} of {together.jumps}, "
            f"{together.expected:.2g} expected by chance, p = {together.p_value:.2g}; "
            f"shifts in log time: p = {found.shift.p_value:.2g}"
        )
    gain = found.gain_association
    if gain is not None and gain.p_value is not None:
        lines.append(f"validation gain in the terminal phase: {gain.gain:.3f}, {_early(gain)}")
    lines.append(
        f"slingshots and grokking: {cells.both} runs with both, {cells.slingshot_only} with slingshots only, "
        f"{cells.grokked_only} with grokking only, {cells.neither} with neither"
        + (f"; {found.undecided} undecided runs are left out" if found.undecided else "")
    )
    for words, share in (("with", cells.grokked_with_slingshot), ("without", cells.grokked_without_slingshot)):
        if share.value is not None and share.interval is not None:
            low, high = share.interval
            lines.append(
                f"grokked {words} slingshots: {share.count} of {share.runs} runs, 95% interval {low:.2f} to {high:.2f}"
            )
    tests = {
        "Boschloo": (cells.boschloo_greater, cells.smallest_boschloo),
        "Fisher": (cells.fisher_greater, cells.smallest_fisher),
    }
    shown = [
        f"{name} {p:.2g} (the smallest that so few runs can reach is {least:.2g})"
        for name, (p, least) in tests.items()
        if p is not None and least is not None
    ]
    if shown:
        lines.append(f"slingshots and grokking, one-sided p: {', '.join(shown)}")
    return "\n".join(lines)


def _median_step(step: float) -> str:
    """Return a median of steps, rounded to a whole number if it is large."""
    return "-" if pd.isna(step) else _step(round(step) if step >= WHOLE_FROM else step)


def _lag(lag: float) -> str:
    return f"{'-' if lag < 0 else '+'}{_step(abs(lag))}"


def _step(step: float | None) -> str:
    """Return a step or a number of steps; a fractional one, as in a log that counts epochs, has six digits.

    Examples
    --------
    >>> _step(123456789), _step(10_000 / 97), _step(10_000 / 7), _step(2.0)
    ('123,456,789', '103.093', '1,428.57', '2')
    """
    if step is None:
        return "-"
    whole = len(f"{abs(step):.0f}")
    text = f"{step:,.{max(0, DIGITS - whole)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
