"""The result of an analysis."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slingshot_analysis.analysis._tables import EVENTS, events_table, step_of
from slingshot_analysis.analysis.signals import NORMS
from slingshot_analysis.association import Association, EventOrder, GainAssociation, SignalLead
from slingshot_analysis.configuration import Plain
from slingshot_analysis.diagnosis import Diagnosis
from slingshot_analysis.drawing import drawer
from slingshot_analysis.errors import unknown_name
from slingshot_analysis.events import (
    CERTAIN,
    AccuracyClimb,
    AccuracyJump,
    LogGrowth,
    LossSpike,
    NotFinite,
    Peak,
    Phase,
    Slingshot,
)
from slingshot_analysis.markup import block, table, words_of
from slingshot_analysis.optional import needed
from slingshot_analysis.safe_text import few_lines
from slingshot_analysis.slingshots import Verdict

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slingshot_analysis.trace import Trace

LISTED = 5
"""Steps and causes that are listed of a run in its short form."""

SHOWN = ("transition", "confidence", "tier", "shape", "growth_start", "plateau_end", "norm_before", "norm_after")
"""Fields of a `Slingshot` that a notebook shows for an analysis."""

NUMBERS = (
    "terminal_phase_start",
    "grokking_step",
    "best_val_accuracy_before",
    "best_val_accuracy_after",
    "final_val_accuracy",
    "spike_score",
)
"""Numbers of an `Analysis` that its short form has."""


@dataclass(frozen=True)
class Skipped:
    """A result that an analysis lacks, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Analysis:
    """What was found in one run. Steps are optimizer updates; numbers are not rounded.

    Parameters
    ----------
    path, name : str
        The file and the name of the run; both empty if the signals came from no file.
    steps : (int, int), updates
        First and last step of all signals.
    signals : dict of str to str
        The name in the log of each signal used, by canonical name.
    config : dict of str to bool, int, float or str
        The recorded configuration by dotted names: see `configuration`.
    verdict : {"slingshots", "spikes", "none", "diverged", "unstable", "undecided"}
        "slingshots" if there is one of confidence 0.5 or more that a loss or misclassified samples show. "spikes" if
        there are loss spikes of any kind and no slingshot. "diverged" if the loss is not finite to the end, or rises
        for good. "unstable" if it never rests. "undecided" if no loss and no norm was logged, or only a norm shows
        events.
    terminal_phase_start : int or None, updates
        First step from which the training set stays fitted (perfectly classified) for a while.
    grokking_step : int or None, updates
        First step from which the validation accuracy stays above 0.95, long after the training set was fitted.
    phases : tuple of Phase
        Phases of the norm.
    loss_spikes : tuple of LossSpike
        Spikes of the training loss, at any level, each with its outcome.
    gradient_spikes : tuple of LossSpike
        The same of the gradient norm, with heights in its unit.
    not_finite : tuple of NotFinite
        Where losses and the gradient norm are NaN or infinite, in order of their first steps.
    diagnosis : Diagnosis
        Candidate causes of what happened to the loss.
    leads : tuple of SignalLead
        What every other signal of the log did before the loss spikes.
    spike_score : float or None, fraction in [0, 1]
        Share of rows whose loss or gradient norm is more than six standard deviations above the mean of the 128 before,
        as OLMo-core counts it; see `spike_score`. None for shorter logs.
    spike_score_1000, gradient_spike_score_1000 : float or None, fraction in [0, 1]
        Share of losses, and of gradient norms, at least seven standard deviations away from the mean of the 1,000
        before, as in the OLMo 2 report; see `series_spike_score`. None for shorter logs.
    accuracy_jumps : tuple of AccuracyJump
        Jumps of the validation accuracy.
    accuracy_climbs : tuple of AccuracyClimb
        Climbs of the validation accuracy, over one or several evaluations.
    best_val_accuracy_before, best_val_accuracy_after : float or None, fraction in [0, 1]
        The best accuracy before the first transition, and from there on. A run without slingshots lies wholly before.
    final_val_accuracy : float or None, fraction in [0, 1]
        The accuracy of the last evaluation.
    feature_bursts, curvature_peaks : tuple of Peak
        Peaks of the change of the last layer's features, and of the top Hessian eigenvalue or the sharpness along the
        update.
    norm_growth : tuple of LogGrowth
        A fit of the norm against the logarithm of time for each growth phase.
    grokking_sensitivity : dict of str to int or None, updates
        The grokking step under other definitions.
    slingshots : tuple of Slingshot
        By time. Those with a confidence of 0.5 or more, `certain`, count wherever transitions are counted or compared.
    spikes_without_norm_growth : tuple of Slingshot
        Events at which the norm could have shown growth and shows none. They are never counted as slingshots.
    order : tuple of EventOrder
        The order of events around each slingshot, as far as they were recorded.
    association : Association
        Test of whether jumps in the terminal phase come with transitions.
    spike_association : Association
        The same test with the loss spikes without norm growth of confidence 0.5 or more in place of transitions.
    gain_association : GainAssociation or None
        Gain of validation accuracy in the terminal phase against transitions; None with fewer than two evaluations.
    gain_by_phase : dict of str to float, fraction in [0, 1]
        Gain of validation accuracy in the terminal phase by kind of phase of the norm.
    skipped : tuple of Skipped
        Results that the analysis lacks, and why.
    notes : tuple of str
        Which norm was used and why, what was corrected in reading, and which labels by hand were applied.
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
    gradient_spikes: tuple[LossSpike, ...]
    not_finite: tuple[NotFinite, ...]
    diagnosis: Diagnosis
    leads: tuple[SignalLead, ...]
    spike_score: float | None
    spike_score_1000: float | None
    gradient_spike_score_1000: float | None
    accuracy_jumps: tuple[AccuracyJump, ...]
    accuracy_climbs: tuple[AccuracyClimb, ...]
    best_val_accuracy_before: float | None
    best_val_accuracy_after: float | None
    final_val_accuracy: float | None
    feature_bursts: tuple[Peak, ...]
    curvature_peaks: tuple[Peak, ...]
    norm_growth: tuple[LogGrowth, ...]
    grokking_sensitivity: dict[str, int | None]
    slingshots: tuple[Slingshot, ...]
    spikes_without_norm_growth: tuple[Slingshot, ...]
    order: tuple[EventOrder, ...]
    association: Association
    spike_association: Association
    gain_association: GainAssociation | None
    gain_by_phase: dict[str, float]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]

    @property
    def certain(self) -> tuple[Slingshot, ...]:
        """The slingshots with a confidence of 0.5 or more: only these are counted."""
        return _certain(self.slingshots)

    @property
    def certain_spikes(self) -> tuple[Slingshot, ...]:
        """The loss spikes without norm growth with a confidence of 0.5 or more."""
        return _certain(self.spikes_without_norm_growth)

    @property
    def norm_signal(self) -> str | None:
        """Name of the norm that was segmented."""
        return next((name for name in NORMS if name in self.signals), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the analysis as plain Python values for JSON, with None for numbers that are not finite."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain["leads"] = [dataclasses.replace(lead, movements=()) for lead in self.leads]
        found: dict[str, Any] = finite({name: _plain(value) for name, value in plain.items()})
        for lead in found["leads"]:
            del lead["movements"]
        return found

    def to_json(self) -> str:
        """Return the analysis as JSON text: one entry of the document that ``slingshot analyze`` writes."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def summary(self) -> pd.DataFrame:
        """Return one row for each slingshot, with the fields of `Slingshot` as columns."""
        import pandas as pd

        columns = [field.name for field in dataclasses.fields(Slingshot)]
        return pd.DataFrame([dataclasses.asdict(s) for s in self.slingshots], columns=columns)

    def to_dataframe(self, event: str | None = None) -> pd.DataFrame:
        """Return the events as a table indexed by step.

        Parameters
        ----------
        event : str, optional
            Only these events, such as ``"loss_spikes"``: the name of a field of the analysis that holds events. Without
            it all events are joined, by step. The column ``event`` says which each is, and what it does not have is
            missing.

        Returns
        -------
        pandas.DataFrame
            One row for each event. Its step is that of a transition, of the start of a spike, phase or peak, of a jump,
            or of the onset of a climb. A pair of numbers has two columns, such as ``interval_start``.

        Raises
        ------
        InputError
            If there is no such field.
        """
        import pandas as pd

        if event is not None and event not in EVENTS:
            raise unknown_name("event", event, EVENTS)
        if event is not None:
            return events_table(event, getattr(self, event))
        tables = {name: events_table(name, getattr(self, name)) for name in EVENTS if getattr(self, name)}
        if not tables:
            return pd.DataFrame({"event": []}, dtype=object).rename_axis("step")
        return pd.concat(tables, names=["event", "step"]).reset_index("event").sort_index(kind="stable")

    def to_xarray(self) -> xr.DataTree:
        """Return the events as a tree with one dataset for each kind of event, along the coordinate ``step``.

        Returns
        -------
        xarray.DataTree
            The verdict and the other numbers of the run are attributes of the tree.

        Raises
        ------
        SlingshotError
            If xarray is not installed.
        """
        xarray = needed("xarray", "xarray")
        tree = {event: xarray.Dataset.from_dataframe(self.to_dataframe(event)) for event in EVENTS}
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        attributes = {name: value for name, value in plain.items() if isinstance(value, str | int | float)}
        attributes |= {"first_step": self.steps[0], "last_step": self.steps[1], "config": json.dumps(self.config)}
        found: xr.DataTree = xarray.DataTree.from_dict({"/": xarray.Dataset(attrs=attributes), **tree})
        return found

    def plot(
        self,
        run: Trace | Mapping[str, Any] | None = None,
        panels: Sequence[str] = (),
        *,
        axes: Axes | Sequence[Axes] | None = None,
    ) -> Figure:
        """Draw the run with its phases and events, as ``slingshot analyze --plot`` does.

        Parameters
        ----------
        run : Trace or mapping of str to Signal or (step, value), optional
            The signals, as `analyze` takes them. By default they are read again from `path`.
        panels : sequence of str, optional
            What to draw, from top to bottom: "norm", "loss", "gradient", "accuracy", "features", "curvature", or the
            name of any signal. By default all of the former that there are.
        axes : matplotlib.axes.Axes or sequence of them, optional
            Axes to draw into, one for each panel. By default a new figure is made.

        Returns
        -------
        matplotlib.figure.Figure
            A notebook shows it; ``savefig`` writes it.

        Raises
        ------
        InputError
            If `run` is not given, and the file can't be read or does not hold a run of this name; if there is no such
            panel, or the number of axes is another.
        """
        return drawer("plot_analysis")(self, run, panels, axes)

    def __repr__(self) -> str:
        return few_lines([f"Analysis of {self._title}", *(f"  {name}: {words}" for name, words in self._facts())])

    def _repr_html_(self) -> str:
        columns = [
            "transition",
            "confidence",
            "tier",
            "shape",
            "growth_start",
            "plateau_end",
            "norm_before",
            "norm_after",
        ]
        rows = [[getattr(slingshot, name) for name in columns] for slingshot in self.slingshots]
        slingshots = table(rows, columns) if rows else ""
        return block("Analysis", f"of {self._title}", table(self._facts()), slingshots)

    @property
    def _title(self) -> str:
        return f"{self.name or 'a run'}: verdict {self.verdict}, steps {words_of(self.steps)}"

    def _facts(self) -> Iterator[tuple[str, str]]:
        """Yield what was found in a few words each, by the name of the field that has it all."""
        for event in EVENTS:
            if found := getattr(self, event):
                steps = [words_of(step_of(one)) for one in found[:LISTED]]
                yield event, f"{len(found):,}, at {'; '.join(steps)}{'; ...' if len(found) > LISTED else ''}"
        for name in NUMBERS:
            if getattr(self, name) is not None:
                yield name, words_of(getattr(self, name))
        test = self.association
        if test.jumps:
            near = f"{test.jumps_near_transitions} of {test.jumps} jumps near a transition"
            yield "association", near if test.p_value is None else f"{near}, p = {test.p_value:.2g}"
        if self.diagnosis.causes:
            yield "diagnosis", "; ".join(f"{cause.title} ({cause.grade})" for cause in self.diagnosis.causes[:LISTED])
        for name in ("skipped", "notes"):
            if getattr(self, name):
                yield name, f"{len(getattr(self, name)):,}"


def _plain(value: Any) -> Any:
    """Return dataclasses as dicts; a `Diagnosis` with its grades."""
    if isinstance(value, Diagnosis):
        return value.to_dict()
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def _certain(events: Sequence[Slingshot]) -> tuple[Slingshot, ...]:
    return tuple(event for event in events if event.confidence >= CERTAIN)


def finite(value: Any) -> Any:
    """Return plain Python values, with None in place of every float that is not finite.

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
