"""Run ``python docs/draw_concepts.py``: draw the pictures of docs/concepts.md from recorded runs, into docs/concepts/.

The runs are the one that ``slingshot demo`` shows and ``examples/data/modular_division.h5``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from slingshot_analysis import Trace, analyze, open_trace

DOCS = Path(__file__).parent
FOLDER = DOCS / "concepts"
PARITY = DOCS.parent / "cli" / "demo_files" / "parity_3_50.h5"
DIVISION = DOCS.parent / "examples" / "data" / "modular_division.h5"
INK, ACCENT, SECOND, SHADE = "#333333", "#b8400f", "#2b6cb0", "#f3d9c6"
STYLE = {
    "figure.figsize": (7, 2.6),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#999999",
    "lines.linewidth": 1.3,
}


def curve(axes: Axes, run: Trace, name: str, colour: str, window: tuple[int, int]) -> None:
    """Draw the rows of one signal within a window of steps; rows of 0 on a logarithmic axis are left out."""
    signal = run[name]
    inside = (signal.step >= window[0]) & (signal.step <= window[1])
    axes.plot(signal.step[inside], signal.value[inside], color=colour)
    axes.set(xlim=window, xlabel="optimizer updates")
    axes.xaxis.set_major_formatter("{x:,.0f}")


def say(axes: Axes, text: str, at: tuple[float, float], colour: str = INK) -> None:
    """Write a label at a fraction of the axes' width and height."""
    axes.text(*at, text, color=colour, transform=axes.transAxes, va="center")


def norm_growth(run: Trace) -> None:
    """Draw the norm of the last layer with its growth phases shaded."""
    _, axes = plt.subplots()
    window = (0, 12_000)
    curve(axes, run, "last_layer_norm", INK, window)
    for phase in analyze(run).phases:
        if phase.kind == "growth" and phase.start < window[1]:
            axes.axvspan(phase.start, phase.end, color=SHADE, linewidth=0)
    axes.set(ylabel="norm of the last layer", ylim=(0, None))
    say(axes, "shaded: growth", (0.4, 0.9), ACCENT)
    say(axes, "white: plateau", (0.4, 0.78))


def transition(run: Trace) -> None:
    """Draw the loss of each batch around the transition."""
    at = analyze(run).slingshots[0].transition
    _, axes = plt.subplots()
    curve(axes, run, "batch_loss_float64", INK, (at - 90, at + 90))
    axes.axvline(at, color=ACCENT, linewidth=1)
    axes.set(yscale="log", ylabel="loss of the batch")
    say(axes, f" transition, at {at:,}", (0.5, 0.06), ACCENT)


def slingshot(run: Trace) -> None:
    """Draw norm and loss over one whole cycle."""
    found = analyze(run).slingshots[0]
    _, (upper, lower) = plt.subplots(2, sharex=True, figsize=(7, 3.8))
    window = (12_000, 28_000)
    curve(upper, run, "last_layer_norm", INK, window)
    curve(lower, run, "batch_loss_float64", INK, window)
    upper.set(ylabel="norm of the last layer", xlabel="")
    lower.set(yscale="log", ylabel="loss of the batch")
    for axes in (upper, lower):
        axes.axvspan(found.growth_start, found.transition, color=SHADE, linewidth=0)
        axes.axvline(found.transition, color=ACCENT, linewidth=1)
    say(upper, "1 growth", (0.3, 0.8), ACCENT)
    say(upper, "2 transition", (0.455, 0.15), ACCENT)
    say(upper, "3 plateau", (0.66, 0.8), ACCENT)


def jump(run: Trace) -> None:
    """Draw the validation accuracy with the transition marked."""
    _, axes = plt.subplots()
    curve(axes, run, "train_accuracy", "#999999", (0, 40_000))
    curve(axes, run, "val_accuracy", SECOND, (0, 40_000))
    axes.axvline(analyze(run).slingshots[0].transition, color=ACCENT, linewidth=1)
    axes.set(ylabel="accuracy", ylim=(0.4, 1.03))
    say(axes, "training", (0.02, 0.86), "#777777")
    say(axes, "validation", (0.3, 0.28), SECOND)
    say(axes, "transition", (0.36, 0.06), ACCENT)
    say(axes, "jump", (0.505, 0.55), SECOND)


def terminal_phase(run: Trace) -> None:
    """Draw the share of misclassified training samples until the training set is fitted, and after."""
    start = analyze(run).terminal_phase_start
    _, axes = plt.subplots()
    curve(axes, run, "batch_errors", INK, (0, 1000))
    axes.axvspan(start, 1000, color=SHADE, linewidth=0)
    axes.set(ylabel="misclassified\nsamples of the batch", ylim=(0, None))
    say(axes, f"terminal phase, from {start:,}", (0.55, 0.7), ACCENT)


def softmax_collapse(run: Trace) -> None:
    """Draw the share of samples without gradient, before and after the transition."""
    _, axes = plt.subplots()
    curve(axes, run, "zero_gradient_fraction", SECOND, (0, 40_000))
    axes.axvline(analyze(run).slingshots[0].transition, color=ACCENT, linewidth=1)
    axes.set(ylabel="share of the batch\nwithout gradient", ylim=(0, 1.03))
    say(axes, "transition", (0.485, 0.9), ACCENT)


def effective_step(run: Trace) -> None:
    """Draw 2/L over the run, below the largest step that the optimizer can make."""
    _, axes = plt.subplots()
    curve(axes, run, "max_stable_step", SECOND, (0, 40_000))
    optimizer = run.config["optimizer"]
    largest = optimizer["lr"] / optimizer["eps"]
    axes.axhline(largest, color=INK, linestyle="--", linewidth=1)
    axes.axvline(analyze(run).slingshots[0].transition, color=ACCENT, linewidth=1)
    axes.set(yscale="log", ylabel="learning rate", ylim=(1e-3, 1e7))
    say(axes, f"η/ε = {largest:,.0f}, the largest effective step", (0.02, 0.93))
    say(axes, "2/L", (0.2, 0.5), SECOND)
    say(axes, "transition", (0.485, 0.08), ACCENT)


def main() -> None:
    """Draw every picture."""
    FOLDER.mkdir(exist_ok=True)
    parity, division = open_trace(PARITY), open_trace(DIVISION)
    drawings = {norm_growth: division, transition: parity, slingshot: parity, jump: parity}
    drawings |= {terminal_phase: division, softmax_collapse: parity, effective_step: parity}
    with plt.rc_context(STYLE):
        for draw, run in drawings.items():
            draw(run)
            plt.savefig(FOLDER / f"{draw.__name__}.png")
            plt.close()


if __name__ == "__main__":
    main()
