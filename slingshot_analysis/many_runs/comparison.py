"""Compare several runs: do validation jumps and grokking come with slingshots, and which keys do these depend on?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slingshot_analysis.analysis import Analysis, Skipped, finite
from slingshot_analysis.association import (
    Association,
    Contingency,
    GainAssociation,
    LagSummary,
    LogTimeShift,
    RunEvents,
    RunSwap,
    contingency,
    lag_summary,
    log_time_shift_test,
    pool_associations,
    pool_gain_associations,
    pool_shifts,
    run_swap_test,
)
from slingshot_analysis.drawing import drawer
from slingshot_analysis.errors import InputError
from slingshot_analysis.many_runs.keys import KeyTest, key_tests
from slingshot_analysis.many_runs.table import runs_table
from slingshot_analysis.markup import block, table
from slingshot_analysis.optional import needed
from slingshot_analysis.safe_text import few_lines

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

LISTED = 3
"""Keys of one test that its short form names."""

SHOWN = ("name", "verdict", "slingshots", "loss_spikes", "first_transition", "grokking_step", "best_val_accuracy")
"""Columns of the table of runs that a notebook shows."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The pooled tests of several runs.

    Parameters
    ----------
    runs : DataFrame
        One row for each run, with its configuration: see `runs_table`.
    association : Association
        The association tests of all runs, pooled.
    gain_association : GainAssociation or None
        The tests of gain of all runs, pooled; None where no run has two evaluations.
    shift : LogTimeShift
        The check of the association by shifts in log time, pooled.
    swap : RunSwap or None
        The check of the association by swapping runs; None where runs can't be swapped.
    lags : LagSummary
        Lags from transitions to jumps, and hit rates.
    contingency : Contingency
        Numbers of runs with and without slingshots and grokking. Runs that diverged or were unstable count as runs
        without slingshots.
    keys : tuple of KeyTest
        For each key of the configuration that differs between the runs, whether slingshots depend on it.
    undecided : int
        Number of runs with the verdict "undecided"; `contingency` does not count them.
    skipped : tuple of Skipped
        What could not be computed, and why.
    """

    runs: pd.DataFrame
    association: Association
    gain_association: GainAssociation | None
    shift: LogTimeShift
    swap: RunSwap | None
    lags: LagSummary
    contingency: Contingency
    keys: tuple[KeyTest, ...]
    undecided: int
    skipped: tuple[Skipped, ...]

    def summary(self) -> pd.DataFrame:
        """Return one row for each estimate and p-value, with the number of runs that it is based on."""
        import pandas as pd

        p_values = {
            "association": (self.association.p_value, len(self.runs)),
            "gain_association": (self.gain_association.p_value if self.gain_association else None, len(self.runs)),
            "log_time_shift": (self.shift.p_value, len(self.runs)),
            "run_swap": (self.swap.p_value if self.swap else None, self.swap.runs if self.swap else 0),
            "run_swap_smallest": (self.swap.smallest_p if self.swap else None, self.swap.runs if self.swap else 0),
        }
        rows = [{"quantity": f"{name}_p", "value": p, "runs": runs} for name, (p, runs) in p_values.items()]
        rows += [
            {"quantity": f"{', '.join(test.keys)}_p", "value": test.p_value, "runs": sum(v.runs for v in test.values)}
            for test in self.keys
        ]
        tests = pd.DataFrame(rows, columns=["quantity", "value", "low", "high", "runs"])
        parts = [tests, self.lags.summary(), self.contingency.summary()]
        records = [record for part in parts for record in part.astype(object).to_dict("records")]
        columns = {"value": float, "low": float, "high": float, "runs": int, "reason": str}
        table = pd.DataFrame(records, columns=["quantity", *columns])
        table["reason"] = table["reason"].where(table["reason"].notna(), "")
        return table.astype(columns)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain Python values for JSON; what is not finite or not known is None."""
        asdict = dataclasses.asdict
        plain: dict[str, Any] = finite(
            {
                "runs": self.runs.astype(object).where(self.runs.notna(), None).to_dict("records"),
                "association": asdict(self.association),
                "gain_association": asdict(self.gain_association) if self.gain_association else None,
                "shift": asdict(self.shift),
                "swap": asdict(self.swap) if self.swap else None,
                "lags": asdict(self.lags),
                "contingency": asdict(self.contingency),
                "keys": [asdict(test) | {"p_value": test.p_value, "smallest_p": test.smallest_p} for test in self.keys],
                "undecided": self.undecided,
                "skipped": [asdict(one) for one in self.skipped],
            }
        )
        return plain

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row for each run, with its configuration: a copy of `runs`. `summary` has the tests."""
        return self.runs.copy()

    def to_xarray(self) -> xr.DataTree:
        """Return a tree of two datasets: ``runs`` along the coordinate ``run``, and ``summary`` along ``quantity``.

        Returns
        -------
        xarray.DataTree
            What a run does not have is NaN, or an empty text.

        Raises
        ------
        SlingshotError
            If xarray is not installed.
        """
        xarray = needed("xarray", "xarray")
        runs = _plain_columns(self.runs.rename_axis("run"))
        summary = _plain_columns(self.summary().set_index("quantity"))
        tables = {"runs": xarray.Dataset.from_dataframe(runs), "summary": xarray.Dataset.from_dataframe(summary)}
        found: xr.DataTree = xarray.DataTree.from_dict(tables)
        return found

    def plot(self, against: str = "") -> Figure:
        """Draw the runs together.

        Parameters
        ----------
        against : str, optional
            A number of the configuration, such as ``"optimizer.eps"``, for a dose response, or two with a comma between
            them, for a heatmap. By default the figure shows slingshots against grokking.

        Returns
        -------
        matplotlib.figure.Figure
            A notebook shows it; ``savefig`` writes it.

        Raises
        ------
        InputError
            If a name of `against` is no number that varies between the runs.
        """
        return drawer("plot_comparison")(self, against)

    def __repr__(self) -> str:
        return few_lines([f"Comparison of {self._title}", *(f"  {name}: {words}" for name, words in self._facts())])

    def _repr_html_(self) -> str:
        columns = [name for name in SHOWN if self.runs[name].notna().any()]
        rows = self.runs[columns].astype(object).where(self.runs[columns].notna(), None)
        parts = [table(rows.itertuples(index=False), columns), table(self._facts())]
        return block("Comparison", f"of {self._title}", *parts)

    @property
    def _title(self) -> str:
        return f"{len(self.runs):,} runs, {self.undecided:,} undecided"

    def _facts(self) -> Iterator[tuple[str, str]]:
        """Yield what was found in a few words each, by the name of the field that has it all."""
        cells = ("both", "slingshot_only", "grokked_only", "neither")
        yield "contingency", ", ".join(f"{name} {getattr(self.contingency, name):,}" for name in cells)
        found = self.association
        near = (
            f"{found.jumps_near_transitions:,} of {found.jumps:,} jumps near one of {found.transitions:,} transitions"
        )
        yield "association", _with_p(near, found.p_value)
        if self.gain_association is not None:
            yield "gain_association", _with_p(f"{self.gain_association.cycles:,} cycles", self.gain_association.p_value)
        yield "shift", _with_p("shifts in log time", self.shift.p_value)
        if self.swap is not None:
            yield "swap", _with_p(f"{self.swap.runs:,} runs", self.swap.p_value)
        for test in self.keys:
            more = f" and {len(test.keys) - LISTED} more" if len(test.keys) > LISTED else ""
            yield "keys", _with_p(", ".join(test.keys[:LISTED]) + more, test.p_value)
        for one in self.skipped:
            yield "skipped", f"{one.what}: {one.why}"


def _with_p(words: str, p_value: float | None) -> str:
    return words if p_value is None else f"{words}, p = {p_value:.2g}"


def _plain_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with columns of numbers, with NaN for what is missing, and of texts, empty for what is missing."""
    import pandas as pd

    return pd.DataFrame(
        {
            name: column.astype(float)
            if pd.api.types.is_numeric_dtype(column) and column.isna().any()
            else column.to_numpy()
            if pd.api.types.is_numeric_dtype(column)
            else column.astype(object).where(column.notna(), "")
            for name, column in table.items()
        },
        index=table.index,
    )


def compare_runs(analyses: Sequence[Analysis], *, resamples: int = 2000, seed: int = 0) -> Comparison:
    """Test over several runs whether jumps and grokking come with slingshots, and on which keys slingshots depend.

    Parameters
    ----------
    analyses : sequence of Analysis
        One for each run.
    resamples : int, optional
        Number of random shifts, of permutations (of more than 7 runs), and of bootstrap samples of runs.
    seed : int, optional
        Seed of all of them.

    Returns
    -------
    Comparison
        Pooled tests, lags, and the table of slingshots against grokking.

    Raises
    ------
    InputError
        If there is no run.

    Examples
    --------
    >>> import numpy as np
    >>> from slingshot_analysis import Signal, analyze
    >>> step = np.arange(0, 10_000, 10)
    >>> run = analyze({"train_loss": Signal(step, np.exp(-step / 300)), "val_accuracy": Signal(step, step / 1e4)})
    >>> found = compare_runs([run, run])
    >>> found.contingency.neither, found.association.transitions, found.skipped[0].why
    (2, 0, 'no test, no odds ratio: no run with slingshots')
    """
    if not len(analyses):
        raise InputError("analyses: got none; give the analysis of each run")
    events = [run_events(analysis) for analysis in analyses]
    shifts = [
        log_time_shift_test(run.jumps, run.transitions, run.window, run.run_span, resamples=resamples, seed=seed)
        for run in events
    ]
    gains = [analysis.gain_association for analysis in analyses if analysis.gain_association is not None]
    decided = [analysis for analysis in analyses if analysis.verdict != "undecided"]
    table = contingency(
        [analysis.verdict == "slingshots" for analysis in decided],
        [analysis.grokking_step is not None for analysis in decided],
    )
    skipped = [Skipped("contingency", note) for note in table.notes]
    swap = None
    try:
        swap = run_swap_test(_over_whole_runs(analyses, events), resamples=resamples, seed=seed)
    except InputError as error:
        skipped.insert(0, Skipped("swap of runs", str(error)))
    runs = runs_table(analyses)
    return Comparison(
        runs,
        pool_associations(analysis.association for analysis in analyses),
        pool_gain_associations(gains) if gains else None,
        pool_shifts(shifts),
        swap,
        lag_summary([analysis.association for analysis in analyses], resamples=resamples, seed=seed),
        table,
        tuple(key_tests(runs)),
        len(analyses) - len(decided),
        tuple(skipped),
    )


def summarize_runs(analyses: Sequence[Analysis]) -> dict[str, int]:
    """Count runs, runs of the verdicts that tell of spikes, runs that grokked, and those with slingshots that did."""
    slingshots = [analysis.verdict == "slingshots" for analysis in analyses]
    grokked = [analysis.grokking_step is not None for analysis in analyses]
    return {
        "runs": len(analyses),
        "with_slingshots": sum(slingshots),
        **{name: sum(analysis.verdict == name for analysis in analyses) for name in ("spikes", "diverged", "unstable")},
        "grokked": sum(grokked),
        "both": sum(a and b for a, b in zip(slingshots, grokked, strict=True)),
    }


def run_events(analysis: Analysis) -> RunEvents:
    """Return the events that the association test of a run counts: those of its terminal phase."""
    first, last = analysis.steps
    if analysis.terminal_phase_start is not None:
        first = min(analysis.terminal_phase_start, last)
    jumps = [jump.step for jump in analysis.accuracy_jumps if first < jump.step <= last]
    transitions = [s.transition for s in analysis.certain if first <= s.transition <= last]
    return RunEvents(
        jumps, transitions, analysis.association.window, (first if first < last else analysis.steps[0], last)
    )


def _over_whole_runs(analyses: Sequence[Analysis], events: Sequence[RunEvents]) -> list[RunEvents]:
    """Return the same events with whole runs as spans, and with windows that end at the same distance.

    A window ends at the larger of 1,000 updates and 1% of the terminal phase, so the ends may differ between runs; the
    largest is taken.
    """
    widest = max(run.window[1] for run in events)
    return [
        RunEvents(run.jumps, run.transitions, (run.window[0], widest), analysis.steps)
        for analysis, run in zip(analyses, events, strict=True)
    ]
