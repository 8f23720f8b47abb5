"""What the page shows of many runs together: counts, tests, the table of runs, validation gain by phase."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.association import Contingency, Proportion
from slingshot_analysis.many_runs import Comparison, by_configuration, short_names, shown_value, varying_keys
from slingshot_analysis.report._runs_text import KEYS_SHOWN, answer
from slingshot_analysis.report._words import p_words, sentence, step_words
from slingshot_analysis.report.page.curves import bands_context, dose_contexts
from slingshot_analysis.report.page.lags import lags_context
from slingshot_analysis.signal import Signal

if TYPE_CHECKING:
    import pandas as pd

MOST_CONFIGURATIONS = 60
"""Largest number of configurations that have a row."""

MOST_CAUSES = 3
"""Largest number of causes that are named."""

PHASES = ("growth", "transition", "plateau", "decay", "other")


def across_context(
    analyses: Sequence[Analysis], curves: Sequence[Mapping[str, Signal]], found: Comparison
) -> dict[str, Any]:
    """Return what the template of many runs names.

    Parameters
    ----------
    analyses : sequence of Analysis
        One for each run.
    curves : sequence of mapping of str to Signal
        The thinned curves of each.
    found : Comparison
        Of these runs.
    """
    _, *lines = answer(analyses, found)
    return {
        "lines": [*_causes(analyses), *map(sentence, lines)],
        "contingency": _contingency(found.contingency, found.undecided),
        "configurations": _configurations(found.runs),
        "doses": dose_contexts(found.runs),
        "lags": lags_context(analyses, found),
        "gain": _gain(analyses),
        "bands": bands_context(found.runs, curves),
        "table": _run_table(analyses, found.runs),
    }


def _causes(analyses: Sequence[Analysis]) -> Iterator[str]:
    """Say in how many of the runs each cause is the likely one, or is the first candidate."""
    for decided, words in ((True, "The likely cause"), (False, "The first candidate, undecided,")):
        counts = Counter(
            analysis.diagnosis.causes[0].title
            for analysis in analyses
            if analysis.diagnosis.causes and analysis.diagnosis.decided == decided
        )
        for title, count in counts.most_common(MOST_CAUSES):
            yield f"{words} is in {count} of {len(analyses)} runs: {title}."


def _contingency(cells: Contingency, undecided: int) -> dict[str, Any]:
    tests = [
        ("Boschloo's exact test", cells.boschloo_greater, cells.smallest_boschloo),
        ("Fisher's exact test", cells.fisher_greater, cells.smallest_fisher),
    ]
    shares = [("with slingshots", cells.grokked_with_slingshot), ("without", cells.grokked_without_slingshot)]
    return {
        "both": cells.both,
        "slingshot_only": cells.slingshot_only,
        "grokked_only": cells.grokked_only,
        "neither": cells.neither,
        "undecided": undecided,
        "shares": [f"Grokked {words}: {_share(share)}" for words, share in shares],
        "tests": [
            f"{name}, one-sided: p = {p_words(p)}; the smallest that so few runs can reach is {p_words(least)}"
            for name, p, least in tests
            if p is not None
        ],
        "notes": [sentence(note) for note in cells.notes],
    }


def _share(share: Proportion) -> str:
    if share.interval is None:
        return "no such run"
    low, high = share.interval
    return f"{share.count} of {share.runs} (95% interval {low:.0%} to {high:.0%})"


def _configurations(runs: pd.DataFrame) -> dict[str, Any] | None:
    """Return a row for each configuration: the share of its runs with slingshots, with its interval."""
    groups = by_configuration(runs)
    if len(groups) < 2:
        return None
    rows = []
    for _, row in groups.head(MOST_CONFIGURATIONS).iterrows():
        decided = int(row["runs"] - row["undecided"])
        with_slingshots = int(row["both"] + row["slingshot_only"])
        rows.append(
            {
                "name": row["configuration"],
                "runs": int(row["runs"]),
                "words": f"{with_slingshots} of {decided}" if decided else "undecided",
                "share": _percent(row["share"]),
                "low": _percent(row["share_low"]),
                "high": _percent(row["share_high"]),
                "grokked": int(row["both"] + row["grokked_only"]),
                "both": int(row["both"]),
                "first": _median_step(row["first_transition"]),
            }
        )
    return {"rows": rows, "hidden": len(groups) - len(rows)}


def _percent(share: float | None) -> float | None:
    return None if share is None or math.isnan(share) else round(100 * float(share), 1)


def _median_step(step: float | None) -> str:
    return "" if step is None or math.isnan(step) else step_words(round(step) if step >= 1000 else step)


def _gain(analyses: Sequence[Analysis]) -> dict[str, Any] | None:
    """Return the share of the validation gain in each kind of phase, beside its share of the time."""
    gains, times = Counter[str](), Counter[str]()
    used = 0
    for analysis in analyses:
        if analysis.phases and sum(analysis.gain_by_phase.values()) > 0:
            used += 1
            gains.update(analysis.gain_by_phase)
            times.update(_times(analysis))
    total, span = sum(gains.values()), sum(times.values())
    if not total > 0 or not span > 0:
        return None
    rows = [
        {"name": kind, "gain": round(100 * gains[kind] / total, 1), "time": round(100 * times[kind] / span, 1)}
        for kind in PHASES
        if gains[kind] > 0 or times[kind] > 0
    ]
    return {"rows": rows, "total": f"{total:.2f}", "runs": used}


def _times(analysis: Analysis) -> Counter[str]:
    """Return the steps of each kind of phase from the fit of the training set on.

    A transition takes the time between two evaluations, as its gain does.
    """
    first, last = analysis.terminal_phase_start or analysis.steps[0], analysis.steps[1]
    stride = -analysis.association.window[0] / 2
    at = len([one for one in analysis.slingshots if first <= one.transition <= last]) * stride
    found = Counter({"transition": min(at, last - first)})
    for phase in analysis.phases:
        found[phase.kind] += max(0, min(phase.end, last) - max(phase.start, first))
    found["other"] = max(0, (last - first) - sum(found.values()))
    return found


def _run_table(analyses: Sequence[Analysis], runs: pd.DataFrame) -> dict[str, Any]:
    from pandas.api.types import is_numeric_dtype

    keys = varying_keys(runs)
    shown = short_names(keys[:KEYS_SHOWN])
    values = runs[list(shown)].astype(object).to_numpy().tolist()
    return {
        "keys": [(short, is_numeric_dtype(runs[key])) for key, short in shown.items()],
        "hidden": len(keys) - len(shown),
        "rows": [
            {
                "number": number,
                "name": analysis.name or f"run {number}",
                "keys": [(shown_value(value), "" if shown_value(value) == "-" else str(value)) for value in own],
                "verdict": analysis.verdict,
                "cells": list(_cells(analysis)),
            }
            for number, (analysis, own) in enumerate(zip(analyses, values, strict=True), start=1)
        ],
        "columns": ["Slingshots", "Loss spikes", "First transition", "Grokking", "Best accuracy", "Jumps near", "p"],
    }


def _cells(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """Yield the text of each cell of a run, and what it is sorted by."""
    first = min((s.transition for s in analysis.certain), default=None)
    bests = [best for best in (analysis.best_val_accuracy_before, analysis.best_val_accuracy_after) if best is not None]
    test = analysis.association
    yield str(len(analysis.certain)), str(len(analysis.certain))
    yield str(len(analysis.loss_spikes)), str(len(analysis.loss_spikes))
    for step in (first, analysis.grokking_step):
        yield ("", "") if step is None else (step_words(step), str(step))
    yield (f"{max(bests):.1%}", str(max(bests))) if bests else ("", "")
    yield (
        (f"{test.jumps_near_transitions} of {test.jumps}", str(test.jumps_near_transitions)) if test.jumps else ("", "")
    )
    yield ("", "") if test.p_value is None else (p_words(test.p_value), str(test.p_value))
