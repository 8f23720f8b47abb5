"""The figure of a run: norm, losses, accuracies, features and curvature, with phases and events marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.analysis.signals import Signals, chosen_curvature, chosen_features, chosen_norm
from slingshot_analysis.errors import unknown_name
from slingshot_analysis.events import LogGrowth, LossSpike, Peak
from slingshot_analysis.readers import Log
from slingshot_analysis.report._words import count_of
from slingshot_analysis.report.folder import picture_folder, writing_pictures
from slingshot_analysis.report.picture import DPI, Given, panels_of
from slingshot_analysis.signal import Signal

Array = npt.NDArray[np.float64]

COLUMNS = 1500
"""Columns of the picture; the lowest and the highest value of each are drawn, so that no spike is lost."""

GAP_SHARE = 0.01
"""Smallest gap, as a share of the run, at which a curve is broken: values of 0 can't be drawn on a log axis."""

PHASE_COLORS = {"growth": "#f5c26b", "plateau": "#e8e8e8", "decay": "#9ecae1"}
TRAIN, VALIDATION, BATCH, TRANSITION, UNSURE = "#1f4e79", "#c44e52", "#9db4c0", "#2b2b2b", "#a0a0a0"
FIT, PEAK, SPIKE = "#c44e52", "#e0a030", "#7b5ea7"

NUMBER_SHARE, NUMBER_ROWS, NUMBER_HEIGHT = 0.02, 3, 13
"""Width of a number as a share of the run, rows of numbers, and points from one row to the next."""

LOSSES = {
    "batch_loss_float64": ("batch loss (float64)", BATCH, 0.6),
    "batch_loss": ("batch loss", BATCH, 0.6),
    "train_loss": ("training loss", TRAIN, 1.2),
    "val_loss": ("validation loss", VALIDATION, 1.2),
}
GRADIENTS = {"gradient_norm": ("gradient norm", TRAIN), "update_norm": ("update norm", BATCH)}
OUTCOMES = {
    "recovered": ("v", PEAK),
    "lingering": ("D", PEAK),
    "diverged": ("^", VALIDATION),
    "not finite": ("X", VALIDATION),
}
"""Marker and colour of a loss spike by its outcome."""
MOST_LINES, WIDE = 6, 100.0
"""Lines of a signal with an axis, and the ratio of its values from which on it has a logarithmic scale."""
PANELS = ("norm", "loss", "gradient", "accuracy", "features", "curvature")
ACCURACIES = {"train_accuracy": ("training", TRAIN), "val_accuracy": ("validation", VALIDATION)}


def draw(
    analysis: Analysis,
    signals: Signals,
    path: str | Path,
    *,
    panels: Sequence[str] = (),
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> Path:
    """Draw a run and its analysis into a file.

    Parameters
    ----------
    analysis : Analysis
        What was found in the run.
    signals : Trace or mapping of str to Signal
        The signals by canonical name.
    path : path-like
        File to write; its suffix decides the format.
    panels, size, title
        See `run_figure`.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If the file can't be written, or there is no such panel.
    """
    figure, path = run_figure(analysis, signals, panels=panels, size=size, title=title), Path(path)
    with writing_pictures(picture_folder(path.parent)):
        figure.savefig(path, dpi=DPI)
    return path


def run_figure(
    analysis: Analysis,
    signals: Signals,
    *,
    panels: Sequence[str] = (),
    axes: Given = None,
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Return the figure of a run and its analysis.

    Parameters
    ----------
    analysis : Analysis
        What was found in the run.
    signals : Trace or mapping of str to Signal
        The signals by canonical name.
    panels : sequence of str, optional
        What to draw, from top to bottom: names of `PANELS`, or of any signal of the run. By default the panels for
        which there is a signal.
    axes : Axes or sequence of Axes, optional
        Axes of Matplotlib to draw into, one for each panel. By default a new figure is made.
    size : (float, float), optional, inches
        Width and height of a new figure.
    title : str, optional
        What to call the run in the title of a new figure; by default its name.

    Raises
    ------
    InputError
        If there is no such panel or signal, or the number of axes is another.
    """
    known = _panels(analysis, signals)
    chosen = list(panels) or [name for name, (is_there, _, _) in known.items() if is_there] or ["gradient"]
    for name in chosen:
        if name not in signals and not known.get(name, (False,))[0] and name != "gradient":
            there = [name for name, (is_there, _, _) in known.items() if is_there]
            raise unknown_name("panel", name, [*there, *signals], "panels=")
    heights = [known[name][1] if name in known else 0.7 for name in chosen]
    size = size or (11, 1 + 2.2 * sum(heights))
    grid = {"nrows": len(chosen), "ncols": 1, "sharex": True, "height_ratios": heights}
    figure, places, is_new = panels_of(axes, len(chosen), size, **grid)
    for name, place in zip(chosen, places, strict=True):
        if name in known:
            known[name][2](place)
        else:
            _draw_signal(place, signals[name])
        _draw_transitions(place, analysis)
        place.spines[["top", "right"]].set_visible(False)
        place.margins(x=0.01)
    _number_transitions(places[0], analysis)
    if is_new:
        figure.suptitle(_title(analysis, title or analysis.name), fontsize=11)
    places[-1].set_xlabel(_step_words(signals))
    return figure


def _panels(analysis: Analysis, signals: Signals) -> dict[str, tuple[bool, float, Callable[[Axes], None]]]:
    """Return the panels by name: whether there is something to draw, its height, and what draws it."""
    has_loss, has_accuracy, has_gradient = (
        any(_holds(signals, name) for name in names) for names in (LOSSES, ACCURACIES, GRADIENTS)
    )
    features, curvature = chosen_features(signals), chosen_curvature(signals)
    bursts, peaks = analysis.feature_bursts, analysis.curvature_peaks
    return {
        "norm": (analysis.norm_signal is not None, 1.1, lambda at: _draw_norm(at, analysis, signals)),
        "loss": (has_loss, 1.2, lambda at: _draw_losses(at, analysis, signals)),
        "gradient": (has_gradient, 0.7, lambda at: _draw_gradient(at, analysis, signals)),
        "accuracy": (has_accuracy, 1.0, lambda at: _draw_accuracies(at, analysis, signals)),
        "features": (features is not None, 0.7, lambda at: _draw_peaks(at, features, bursts, "feature change")),
        "curvature": (curvature is not None, 0.7, lambda at: _draw_peaks(at, curvature, peaks, "curvature")),
    }


def _draw_signal(axes: Axes, signal: Signal) -> None:
    """Draw any signal; of one with an axis up to `MOST_LINES` labels, on a logarithmic scale where it spans a lot."""
    value = signal.value.astype(np.float64).reshape(len(signal), -1)
    labels = signal.axes[0].labels if len(signal.axes) == 1 else [str(column) for column in range(value.shape[1])]
    positive = value[value > 0]
    wide = len(positive) > 0 and not (value < 0).any() and positive.max() > WIDE * positive.min()
    for column in range(min(value.shape[1], MOST_LINES)):
        part = Signal(signal.step, value[:, column])
        _line(axes, part, positive=wide, linewidth=0.9, label=labels[column] if value.shape[1] > 1 else None)
    if wide:
        axes.set_yscale("log")
    unit = f" ({signal.unit})" if signal.unit else ""
    axes.set_ylabel(f"{signal.name.replace('_', ' ')}{unit}", fontsize=9)
    if value.shape[1] > 1:
        left = value.shape[1] - MOST_LINES
        _legend_above(axes)
        if left > 0:
            axes.set_title(f"{left:,} more are not drawn", fontsize=8, loc="left")


def _title(analysis: Analysis, name: str) -> str:
    words = f"{name}: verdict {analysis.verdict}, {count_of(len(analysis.certain), 'slingshot')}"
    if analysis.certain_spikes:
        words += f", {count_of(len(analysis.certain_spikes), 'spike')} without norm growth (dotted)"
    association = analysis.association
    if association.jumps:
        words += f"; {association.jumps_near_transitions} of {association.jumps} validation jumps near a transition"
    return words


def _draw_transitions(axes: Axes, analysis: Analysis) -> None:
    """Draw a line at each transition, thin and grey if its confidence is low, and dotted at spikes without growth."""
    for slingshot in analysis.slingshots:
        color, width = (TRANSITION, 0.9) if slingshot in analysis.certain else (UNSURE, 0.6)
        axes.axvline(slingshot.transition, color=color, linestyle=(0, (4, 3)), linewidth=width)
    for spike in analysis.certain_spikes:
        axes.axvline(spike.transition, color=SPIKE, linestyle=(0, (1, 2)), linewidth=0.9)


def _number_transitions(axes: Axes, analysis: Analysis) -> None:
    """Number the transitions that count, in a lower row where the last number leaves no room."""
    room = NUMBER_SHARE * (analysis.steps[1] - analysis.steps[0])
    ends = [-np.inf] * NUMBER_ROWS
    for number, slingshot in enumerate(analysis.certain, start=1):
        at = slingshot.transition
        row = next((row for row, end in enumerate(ends) if at >= end), None)
        if row is not None:
            ends[row] = at + room
            place = (3, -2 - NUMBER_HEIGHT * row)
            axes.annotate(f"{number}", (at, 1), place, ("data", "axes fraction"), "offset points", va="top")


def _step_words(signals: Signals) -> str:
    """Say what the steps count: the name of the column of a log, or else updates."""
    if not isinstance(signals, Log):
        return "step (optimizer updates)"
    return next((column.column for column in signals.columns if column.signal == "step"), "step")


def _draw_norm(axes: Axes, analysis: Analysis, signals: Signals) -> None:
    name, norm = analysis.norm_signal, chosen_norm(signals)
    assert name is not None
    assert norm is not None
    for kind, color in PHASE_COLORS.items():
        for number, phase in enumerate(phase for phase in analysis.phases if phase.kind == kind):
            label = kind if number == 0 else None
            axes.axvspan(phase.start, phase.end, color=color, alpha=0.55, linewidth=0, label=label)
    _line(axes, norm, color=TRAIN, linewidth=1.2)
    limits = axes.get_ylim()
    for number, fit in enumerate(analysis.norm_growth):
        label = "fit of c log t" if number == 0 else None
        axes.plot(*_log_fit(norm, fit), color=FIT, linestyle=(0, (2, 1)), linewidth=1, label=label)
    axes.set_ylim(limits)
    axes.set_ylabel(name.replace("_", " "))
    _legend_above(axes)


def _log_fit(norm: Signal, fit: LogGrowth) -> tuple[Array, Array]:
    """Return the least-squares fit of a + c log t in a growth phase; it passes through the mean of log t and norm."""
    step, value = norm.step.astype(np.float64), norm.value.astype(np.float64)
    inside = (step >= max(fit.start, 1)) & (step < fit.end)
    time = np.log(step[inside])
    return envelope(step[inside], value[inside].mean() + fit.coefficient * (time - time.mean()))


def _draw_peaks(axes: Axes, signal: Signal | None, peaks: Sequence[Peak], name: str) -> None:
    """Draw a positive signal on a logarithmic axis, and mark its peaks."""
    assert signal is not None
    _line(axes, signal, positive=True, color=TRAIN, linewidth=0.8)
    steps = [peak.peak for peak in peaks]
    heights = np.interp(steps, signal.step.astype(np.float64), signal.value.astype(np.float64))
    axes.plot(steps, heights, "v", color=PEAK, markersize=5, label="peak")
    axes.set_yscale("log")
    axes.set_ylabel(name)
    _legend_above(axes)


def _draw_gradient(axes: Axes, analysis: Analysis, signals: Signals) -> None:
    for name, (label, color) in GRADIENTS.items():
        if _holds(signals, name):
            _line(axes, signals[name], positive=True, color=color, linewidth=0.8, label=label)
    spikes = analysis.gradient_spikes
    if spikes:
        axes.plot([spike.peak for spike in spikes], [_top(spike) for spike in spikes], "v", color=PEAK, markersize=4)
    axes.set_ylabel("norm")
    axes.set_yscale("log")
    _legend_above(axes)


def _top(spike: LossSpike) -> float:
    """Return the value at the peak, from its ratio to the level and its height above it."""
    return spike.height * spike.ratio / (spike.ratio - 1) if np.isfinite(spike.height) else np.nan


def _draw_spikes(axes: Axes, spikes: Sequence[LossSpike]) -> None:
    """Mark the peak of each loss spike by its outcome, and where a loss is no longer finite."""
    for outcome, (marker, color) in OUTCOMES.items():
        marked = [spike for spike in spikes if spike.outcome == outcome]
        tops = [(spike.peak, _top(spike)) for spike in marked if np.isfinite(spike.height)]
        if tops:
            axes.plot(*zip(*tops, strict=True), marker, color=color, markersize=5, label=f"spike, {outcome}")
        for number, spike in enumerate(spike for spike in marked if not np.isfinite(spike.height)):
            axes.axvline(spike.start, color=color, linewidth=1.2, label=None if number or tops else outcome)


def _draw_losses(axes: Axes, analysis: Analysis, signals: Signals) -> None:
    precise = _holds(signals, "batch_loss_float64")
    for name, (label, color, width) in LOSSES.items():
        if _holds(signals, name) and not (name == "batch_loss" and precise):
            _line(axes, signals[name], positive=True, color=color, linewidth=width, label=label)
    _draw_spikes(axes, analysis.loss_spikes)
    units = {signals[name].unit for name in LOSSES if _holds(signals, name)}
    axes.set_ylabel(f"loss ({units.pop()})" if len(units) == 1 and "" not in units else "loss")
    axes.set_yscale("log")
    axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-18))
    _legend_above(axes)


def _draw_accuracies(axes: Axes, analysis: Analysis, signals: Signals) -> None:
    for name, (label, color) in ACCURACIES.items():
        if _holds(signals, name):
            _line(axes, signals[name], color=color, linewidth=1.2, label=label)
    jumps = analysis.accuracy_jumps
    if jumps:
        steps, after = [jump.step for jump in jumps], [jump.after for jump in jumps]
        axes.plot(steps, after, "^", color=VALIDATION, markersize=6, label="significant jump")
    for number, climb in enumerate(analysis.accuracy_climbs):
        words = "climb" if number == 0 else None
        axes.axvspan(climb.onset, climb.end, color=VALIDATION, alpha=0.15, linewidth=0, label=words)
    if analysis.grokking_step is not None:
        axes.axvline(analysis.grokking_step, color=VALIDATION, linestyle=":", linewidth=1.2, label="grokking step")
    axes.set_ylabel("accuracy")
    axes.set_ylim(-0.02, 1.04)
    if axes.lines:
        _legend_above(axes)


def _legend_above(axes: Axes) -> None:
    """Put the legend above the panel, where it hides no line."""
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=5, fontsize=8, frameon=False, borderaxespad=0.1)


def _line(axes: Axes, signal: Signal, *, positive: bool = False, **style: object) -> None:
    step, value = signal.step.astype(np.float64), signal.value.astype(np.float64)
    shown = value > 0 if positive else np.ones(len(value), dtype=bool)
    wide = np.diff(step[shown]) > GAP_SHARE * (step[-1] - step[0])
    left_out = np.diff(np.flatnonzero(shown)) > 1
    for part in np.split(np.flatnonzero(shown), np.flatnonzero(wide & left_out) + 1):
        axes.plot(*envelope(step[part], value[part]), **style)  # type: ignore[arg-type]
        style.pop("label", None)


def _holds(signals: Signals, name: str) -> bool:
    return name in signals and len(signals[name]) > 0


def envelope(step: Array, value: Array, columns: int = COLUMNS) -> tuple[Array, Array]:
    """Thin a curve to the lowest and highest value of each column of the picture.

    Parameters
    ----------
    step, value : (n,) float array
        The curve, by increasing step.
    columns : int, optional
        Number of columns.

    Returns
    -------
    step, value : (m,) float array
        At most four points for each column; the curve itself if it has no more than two for each column.

    Examples
    --------
    >>> step = np.arange(1e6)
    >>> spike = np.where(step == 123_456, 1.0, 0.0)
    >>> thin_step, thin_value = envelope(step, spike)
    >>> len(thin_step) < 6000, thin_step[thin_value == 1.0]
    (True, array([123456.]))
    """
    if len(step) <= 2 * columns:
        return step, value
    starts = np.unique(np.searchsorted(step, np.linspace(step[0], step[-1], columns + 1)[:-1]))
    column = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(step))))
    order = np.lexsort((value, column))
    ends = np.append(starts[1:], len(step))
    keep = np.unique(np.concatenate([order[starts], order[ends - 1], starts, ends - 1]))
    return step[keep], value[keep]
