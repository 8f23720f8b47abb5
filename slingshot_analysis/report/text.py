"""Analyses as text for a terminal: results of each run and over all runs, then the signals that are missing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.report._diagnosis_text import describe_unchecked
from slingshot_analysis.report._run_text import describe
from slingshot_analysis.report._runs_text import describe_runs
from slingshot_analysis.report._words import indented

DESCRIBED = 20
"""Maximum number of runs that are described one by one."""


def print_analyses(analyses: Sequence[Analysis], console: Console, *, full: bool = False) -> None:
    """Print what was found in each of up to 20 runs and, for more than one, tables and tests over all runs.

    Parameters
    ----------
    analyses : sequence of Analysis
        One for each run.
    console : Console
        Where to print.
    full : bool, optional
        Whether the tables of each run have all of their rows.
    """
    counts = Counter(note for analysis in analyses for note in set(analysis.notes))
    shared = {note: runs for note, runs in counts.items() if runs > 1}
    if len(analyses) <= DESCRIBED:
        for analysis in analyses:
            notes = [note for note in analysis.notes if note not in shared]
            console.print(describe(analysis, notes, full=full))
            console.print()
    if len(analyses) > 1:
        console.print(describe_runs(analyses))
    unchecked = describe_unchecked([analysis.diagnosis for analysis in analyses])
    for line in (*_shared(shared, len(analyses)), *unchecked, *_left_out(analyses)):
        console.print(indented(line, style="dim"))


def _shared(notes: Mapping[str, int], runs: int) -> Iterator[str]:
    """Yield the notes that several runs have in common, each with their number."""
    if notes:
        yield "notes on several runs:"
    for note, having in notes.items():
        yield f"  in {having} of {runs}: {note}" if having < runs else f"  in all: {note}"


def _left_out(analyses: Sequence[Analysis]) -> Iterator[str]:
    """Say what is missing and why, once for all runs."""
    runs: defaultdict[str, defaultdict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for number, analysis in enumerate(analyses):
        for skipped in analysis.skipped:
            runs[skipped.why][number].append(skipped.what)
    for why, by_run in runs.items():
        what = ", ".join(dict.fromkeys(name for names in by_run.values() for name in names))
        where = f" (in {len(by_run)} of {len(analyses)} runs)" if len(by_run) < len(analyses) else ""
        yield f"{what}{where}: {why}"
