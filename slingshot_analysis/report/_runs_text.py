"""Several runs as text: a table of runs, a table of configurations, and the tests over all runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.many_runs import (
    Comparison,
    KeyTest,
    by_configuration,
    compare_runs,
    short_names,
    shown_value,
    summarize_runs,
    varying_keys,
)
from slingshot_analysis.report._words import count_of, early_words, p_words, step_words

if TYPE_CHECKING:
    import pandas as pd

LISTED = 200
"""Maximum number of runs, or of configurations, that have a row each."""
KEYS_SHOWN = 5
"""Maximum number of columns of the configuration in the table of runs, and of keys whose test is printed."""
VALUES_SHOWN = 6
"""Maximum number of values of a key that are printed with its test."""
WHOLE_FROM = 1000
"""Minimum median of steps that is rounded to a whole number."""
SIGNIFICANT = 0.05


def describe_runs(analyses: Sequence[Analysis]) -> RenderableType:
    """Return counts and tests over all runs, a table of runs, and one of configurations if runs share any."""
    found = compare_runs(analyses)
    groups = by_configuration(found.runs)
    shared = [Text(), _configuration_table(groups)] if 1 < len(groups) < len(analyses) else []
    return Group(*map(Text, answer(analyses, found)), Text(), _run_table(analyses, found.runs), *shared)


def _grokked(count: int, both: int) -> str:
    if count in (0, both):
        return f"{count} grokked" + {0: "", 1: ", with slingshots"}.get(count, ", all with slingshots")
    return f"{count} grokked, {both or 'none'} of them with slingshots"


def answer(analyses: Sequence[Analysis], found: Comparison) -> Iterator[str]:
    """Say what the runs show together, every number with the number of runs or events behind it."""
    counts = summarize_runs(analyses)
    others = [
        f"{counts[key]} {words}"
        for key, words in (("spikes", "with other loss spikes"), ("diverged", "diverged"), ("unstable", "unstable"))
        if counts[key]
    ]
    verdicts = ", ".join([f"{counts['with_slingshots']} with slingshots", *others])
    yield f"{counts['runs']} runs: {verdicts}; {_grokked(counts['grokked'], counts['both'])}"
    yield from _key_lines(found)
    yield from _jump_lines(found)
    yield from _grokking_lines(found)


def _key_lines(found: Comparison) -> Iterator[str]:
    """Say for each key that differs between the runs how many runs at each value have slingshots."""
    tests = [test for test in found.keys if test.p_value is not None]
    hits = sum(count.slingshots for count in tests[0].values) if tests else 0
    if tests and hits in (0, sum(count.runs for count in tests[0].values)):
        yield f"no key of the configuration is tested: {'every run has' if hits else 'no run has'} slingshots"
        return
    for test in tests[:KEYS_SHOWN]:
        yield f"slingshots by {_keys(test.keys)}: {_values(test)}; {_p_values(test)}"
    if len(tests) > KEYS_SHOWN:
        yield f"and by {count_of(len(tests) - KEYS_SHOWN, 'more key')}, with larger p"
    if len(tests) > 1:
        yield f"{len(tests)} tests: by Holm's correction the smallest p becomes {p_words(tests[0].p_adjusted)}"


def _keys(keys: Sequence[str]) -> str:
    others = len(keys) - 1
    return keys[0] + (f" (or {count_of(others, 'other key')} that change with it)" if others else "")


def _values(test: KeyTest) -> str:
    shown = [f"{count.value} {count.slingshots} of {count.runs}" for count in test.values[:VALUES_SHOWN]]
    hidden = len(test.values) - len(shown)
    return ", ".join(shown) + (f" and {count_of(hidden, 'more value')}" if hidden else "")


def _p_values(test: KeyTest) -> str:
    """Return the p-values of a key, and in words how small they could be."""
    words = ", ".join(f"p = {p_words(p)} ({name})" for name, (p, _) in test.tests.items())
    least = test.smallest_p
    if least is not None and least > SIGNIFICANT:
        return f"{words}; so few runs can't show it: the smallest possible p is {p_words(least)}"
    return f"{words}; the smallest that so few runs can reach is {p_words(least)}"


def _jump_lines(found: Comparison) -> Iterator[str]:
    together = found.association
    if together.p_value is not None:
        yield (
            f"jumps near transitions: {together.jumps_near_transitions} of {together.jumps}, "
            f"{together.expected:.2g} expected by chance, p = {p_words(together.p_value)}; "
            f"shifts in log time: p = {p_words(found.shift.p_value)}"
        )
    gain = found.gain_association
    if gain is not None and gain.p_value is not None:
        yield f"validation accuracy gained since the training set was fitted: {gain.gain:.3f}, {early_words(gain)}"


def _grokking_lines(found: Comparison) -> Iterator[str]:
    """Say how often runs with and without slingshots grok."""
    cells = found.contingency
    yield (
        f"slingshots and grokking: {cells.both} with both, {cells.slingshot_only} with slingshots only, "
        f"{cells.grokked_only} with grokking only, {cells.neither} with neither"
        + (f"; {count_of(found.undecided, 'undecided run')} left out" if found.undecided else "")
    )
    tests = {
        "Boschloo": (cells.boschloo_greater, cells.smallest_boschloo),
        "Fisher": (cells.fisher_greater, cells.smallest_fisher),
    }
    grokked = cells.both + cells.grokked_only
    if any(p is None for p, _ in tests.values()) or grokked in (0, len(found.runs) - found.undecided):
        return
    for words, share in (("with", cells.grokked_with_slingshot), ("without", cells.grokked_without_slingshot)):
        if share.interval is not None:
            low, high = share.interval
            yield f"grokked {words} slingshots: {share.count} of {share.runs}, 95% interval {low:.2f} to {high:.2f}"
    shown = ", ".join(f"p = {p_words(p)} ({name}, {p_words(least)} at best)" for name, (p, least) in tests.items())
    yield f"grokking more often with slingshots, one-sided: {shown}"


def _run_table(analyses: Sequence[Analysis], runs: pd.DataFrame) -> RenderableType:
    if len(analyses) > LISTED:
        return Text(f"{len(analyses)} runs are too many to list here: see the table of runs", style="dim")
    keys = varying_keys(runs)
    shown = short_names(keys[:KEYS_SHOWN])
    found = ("verdict", "spikes", "score", "slingshots", "first transition", "jumps", "jumps near", "p", "grokking")
    table = _table(("run", *shown.values(), *found), left=("run", "verdict"), folded="run")
    for analysis, values in zip(analyses, runs[list(shown)].astype(object).to_numpy().tolist(), strict=True):
        association = analysis.association
        table.add_row(
            analysis.name,
            *map(shown_value, values),
            analysis.verdict,
            str(len(analysis.loss_spikes)),
            "-" if analysis.spike_score is None else f"{analysis.spike_score:.2g}",
            str(len(analysis.certain)),
            step_words(analysis.certain[0].transition if analysis.certain else None),
            str(association.jumps),
            str(association.jumps_near_transitions),
            p_words(association.p_value),
            step_words(analysis.grokking_step),
        )
    hidden = keys[KEYS_SHOWN:]
    differ = f"runs differ in {count_of(len(hidden), 'more key')}: see the table of runs"
    return Group(table, *([Text(differ, style="dim")] if hidden else []))


def _configuration_table(groups: pd.DataFrame) -> RenderableType:
    """Return one row for each configuration; steps and accuracies are medians over its runs."""
    found = ("with slingshots", "grokked", "both", "first transition", "accuracy before → after")
    table = _table(("configuration", "runs", *found), left=("configuration",), folded="configuration")
    for _, row in groups.head(LISTED).iterrows():
        interval = "" if _is_missing(row["share"]) else f" ({row['share_low']:.2f} to {row['share_high']:.2f})"
        accuracies = [row["best_val_accuracy_before"], row["best_val_accuracy_after"]]
        table.add_row(
            row["configuration"],
            str(row["runs"]),
            f"{row['both'] + row['slingshot_only']}{interval}",
            str(row["both"] + row["grokked_only"]),
            str(row["both"]),
            _median_step(row["first_transition"]),
            " → ".join("-" if _is_missing(accuracy) else f"{accuracy:.2f}" for accuracy in accuracies),
        )
    hidden = len(groups) - LISTED
    return Group(table, *([Text(f"and {hidden} more configurations", style="dim")] if hidden > 0 else []))


def _table(headings: Sequence[str], left: Sequence[str], folded: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        is_left, is_folded = heading in left, heading == folded
        table.add_column(heading, justify="left" if is_left else "right", overflow="fold", no_wrap=not is_folded)
    return table


def _median_step(step: float) -> str:
    """Return a median of steps, rounded to a whole number if it is large."""
    return "-" if _is_missing(step) else step_words(round(step) if step >= WHOLE_FROM else step)


def _is_missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
