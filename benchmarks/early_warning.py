"""How early and how reliably each signal announces a slingshot, and the order of the events.

Run it from the project's root on traces of runs with and without slingshots, recorded with the standard probes and a
flight recorder::

    slingshot record --setup parity_3_50 --seed 0 --flight-recorder --out runs/warned
    python benchmarks/early_warning.py runs/warned

A rule warns when a signal, averaged over 100 rows, exceeds a threshold. The warning lasts until a transition comes or
the signal falls below half of the threshold. It is right if a transition ends it. The lead is the time from the warning
to the transition. `precision` is the fraction of warnings that are right, `recall` the fraction of transitions with a
warning.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from slingshot_analysis import Analysis, Trace, analyze, open_trace

FloatArray = npt.NDArray[np.float64]
MEAN_ROWS = 100
EVENT_UPDATES, BEFORE = 64, 10


def share(name: str) -> Callable[[Trace], tuple[FloatArray, FloatArray]]:
    """Return a signal, averaged over the last rows."""

    def read(trace: Trace) -> tuple[FloatArray, FloatArray]:
        value = np.nan_to_num(trace[name].value.astype(float), nan=1.0)  # 0/0: no gradient is left at all
        sums = np.concatenate([[0.0], np.cumsum(value)])
        rows = np.arange(1, len(value) + 1)
        first = np.maximum(rows - MEAN_ROWS, 0)
        return trace[name].step.astype(float), (sums[rows] - sums[first]) / (rows - first)

    return read


def growth(updates: int) -> Callable[[Trace], tuple[FloatArray, FloatArray]]:
    """Return the growth of the log norm of the last layer over this number of updates."""

    def read(trace: Trace) -> tuple[FloatArray, FloatArray]:
        norm = trace["last_layer_norm"]
        logs = np.log(norm.value)
        grown = np.zeros(len(logs))
        grown[updates:] = logs[updates:] - logs[:-updates]
        return norm.step.astype(float), grown

    return read


def collapsed_growth(updates: int) -> Callable[[Trace], tuple[FloatArray, FloatArray]]:
    """Return the growth of the norm times the fraction of collapsed softmaxes."""

    def read(trace: Trace) -> tuple[FloatArray, FloatArray]:
        step, collapse = share("softmax_collapse")(trace)
        return step, collapse * growth(updates)(trace)[1]

    return read


def acceleration(updates: int) -> Callable[[Trace], tuple[FloatArray, FloatArray]]:
    """Return the growth of the norm over this number of updates, less that over as many updates before, in percent."""

    def read(trace: Trace) -> tuple[FloatArray, FloatArray]:
        step, grown = growth(updates)(trace)
        earlier = np.zeros(len(grown))
        earlier[updates:] = grown[:-updates]
        excess = 100 * (grown - earlier)
        excess[: 3 * updates] = 0
        return step, excess

    return read


RULES = {
    "softmax_collapse": (share("softmax_collapse"), (0.5, 0.9, 0.99)),
    "zero_loss_fraction": (share("zero_loss_fraction"), (0.5, 0.9, 0.99)),
    "zero_gradient_fraction": (share("zero_gradient_fraction"), (0.5, 0.9, 0.99)),
    "zero_sum_violation": (share("zero_sum_violation"), (0.1, 0.5, 0.9)),
    "collapse x growth in 500": (collapsed_growth(500), (0.005, 0.01, 0.02)),
    "collapse x growth in 1000": (collapsed_growth(1000), (0.01, 0.02, 0.04)),
    "collapse x growth in 2000": (collapsed_growth(2000), (0.01, 0.02, 0.03, 0.05, 0.1)),
    "norm growth in 500": (growth(500), (0.005, 0.01, 0.02, 0.05)),
    "norm acceleration over 500": (acceleration(500), (0.1, 0.3, 1.0, 3.0)),
    "norm acceleration over 1000": (acceleration(1000), (0.1, 0.3, 1.0, 3.0)),
}


def warnings(
    step: FloatArray, value: FloatArray, threshold: float, transitions: list[int], fitted: float
) -> list[float | None]:
    """Return the lead of each warning; None for a false one.

    A warning begins above the threshold and is false if the signal falls below half of it before a transition.
    """
    leads: list[float | None] = []
    for start, end in pairwise([fitted, *transitions, np.inf]):
        inside = (step > start) & (step < end)
        steps, high, low = step[inside], value[inside] > threshold, value[inside] < threshold / 2
        i = 0
        while (rises := np.flatnonzero(high[i:])).size:
            i += int(rises[0])
            falls = np.flatnonzero(low[i:])
            leads.append(float(end - steps[i]) if not falls.size and np.isfinite(end) else None)
            if not falls.size:
                break
            i += int(falls[0])
    return leads


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    traces = [open_trace(path) for path in sorted(folder.glob("*.h5"))]
    traces = [trace for trace in traces if trace.finished and "softmax_collapse" in trace]
    analyses: list[tuple[Trace, Analysis]] = [(trace, analyze(trace)) for trace in traces]
    true = [[s.transition for s in analysis.certain] for _, analysis in analyses]
    count = sum(map(len, true))
    click.echo(f"{len(traces)} runs, {sum(map(bool, true))} with slingshots, {count} transitions\n")
    click.echo(
        f"{'signal':<30}{'threshold':>10}{'recall':>8}{'precision':>11}{'F1':>7}{'median lead':>13}{'quartiles':>18}"
    )
    for name, (read, thresholds) in RULES.items():
        signals = [read(trace) for trace in traces]
        for threshold in thresholds:
            given: list[float | None] = []
            for (_, analysis), signal, transitions in zip(analyses, signals, true, strict=True):
                given += warnings(*signal, threshold, transitions, float(analysis.terminal_phase_start or 0))
            leads = [lead for lead in given if lead is not None]
            recall, precision = len(leads) / max(count, 1), len(leads) / max(len(given), 1)
            f1 = 2 * recall * precision / max(recall + precision, 1e-9)
            low, middle, high = np.quantile(leads, [0.25, 0.5, 0.75]) if leads else [np.nan] * 3
            click.echo(
                f"{name:<30}{threshold:>10g}{recall:>8.2f}{precision:>11.2f}{f1:>7.2f}{middle:>13,.0f}"
                f"{f'{low:,.0f} to {high:,.0f}':>18}"
            )
    _print_order(analyses)
    _print_curvature(analyses)


def _print_order(analyses: list[tuple[Trace, Analysis]]) -> None:
    lags: dict[str, list[int]] = {}
    orders = [order for _, analysis in analyses for order in analysis.order if analysis.verdict == "slingshots"]
    for order in orders:
        for name, lag in order.lags.items():
            lags.setdefault(name, []).append(lag)
    click.echo(f"\norder of events around {len(orders)} transitions, in updates")
    click.echo(f"{'event':<30}{'seen':>6}{'median':>9}{'range':>20}")
    for name, found in sorted(lags.items(), key=lambda item: np.median(item[1])):
        span = f"{min(found):+,} to {max(found):+,}"
        click.echo(f"{name:<30}{len(found):>6}{np.median(found):>+9,.0f}{span:>20}")


def _print_curvature(analyses: list[tuple[Trace, Analysis]]) -> None:
    """Print when quantiles of the effective step pass 2/L, and how far the sharpness along the update rises."""
    passed: dict[str, list[float]] = {}
    rises = []
    for trace, analysis in analyses:
        if "event_update_sharpness" not in trace:
            continue
        effective, stable = trace["event_effective_step"], trace["event_max_stable_step"]
        sharpness = trace["event_update_sharpness"]
        for event in analysis.slingshots:
            lag = sharpness.step - event.transition
            around = (lag >= -EVENT_UPDATES) & (lag < EVENT_UPDATES)
            if around.sum() < EVENT_UPDATES:
                continue
            before = np.median(sharpness.value[around & (lag < -BEFORE)])
            rises.append(float(sharpness.value[around].max() / before))
            for i, label in enumerate(effective.axes[0].labels):
                above = lag[around][effective.value[around][:, i] > stable.value[around]]
                if len(above):
                    passed.setdefault(label, []).append(float(above[0]))
    if not rises:
        return
    click.echo(f"\nsharpness along the update, peak over the median before: {min(rises):.1e} to {max(rises):.1e}")
    click.echo("quantile of the effective step above 2/L: first update relative to the transition (-64: or earlier)")
    for label, found in passed.items():
        click.echo(
            f"{label:<30}{len(found):>6}{np.median(found):>+9,.0f}{f'{min(found):+,.0f} to {max(found):+,.0f}':>20}"
        )


if __name__ == "__main__":
    main()
