"""Analyses as text for a terminal: results of each run and over all runs, then the signals that are missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.report._diagnosis_text import describe_unchecked
from slingshot_analysis.report._run_text import describe
from slingshot_analysis.report._runs_text import describe_runs

DESCRIBED = 20
"""Maximum number of runs that are described one by one."""


def print_analyses(analyses: Sequence[Analysis], console: Console) -> None:
    """Print what was found in each of up to 20 runs and, for more than one, tables and tests over all runs."""
    if len(analyses) <= DESCRIBED:
        for analysis in analyses:
            console.print(describe(analysis))
            console.print()
    if len(analyses) > 1:
        console.print(describe_runs(analyses))
    for line in (*describe_unchecked([analysis.diagnosis for analysis in analyses]), *_left_out(analyses)):
        console.print(Text(line, style="dim"))


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
