"""The arms of a branch as text and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slingshot_analysis.many_runs import ArmOutcome, Branch, PooledArm
from slingshot_analysis.many_runs.branches import CONTROL
from slingshot_analysis.report.picture import DPI
from slingshot_analysis.safe_text import printable

PANELS = {
    "last_layer_norm": "norm of the last layer",
    "batch_loss_float64": "loss of a batch, nat",
    "val_accuracy": "validation accuracy",
}

HEAD: tuple[str, ...] = ("arm", "verdict", "event", "peak loss", "norm", "val accuracy", "leaves the control")


def branch_text(branch: Branch) -> str:
    """Return what became of the arms of a branch, a line for each, and what the verdicts rest on."""
    control, nulls = branch.control, branch.nulls
    length = branch.horizon - branch.step
    name, horizon = printable(branch.parent), branch.horizon
    head = f"{name} branched at {branch.step:,} for {length:,} updates, to the horizon {horizon:,}"
    rows = [HEAD, *map(_row, branch.outcomes)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [head]
    for row in rows:
        first = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        lines.append(
            "  ".join([*first, *(cell.rjust(w) for cell, w in zip(row[2:], widths[2:], strict=True))]).rstrip()
        )
    whys = {one.why for one in branch.changed if one.why}
    lines += [f"  {why}" for why in sorted(whys)]
    if nulls:
        accuracies = [one.val_accuracy for one in (control, *nulls) if one.val_accuracy is not None]
        if accuracies:
            lines.append(
                f"  by chance alone, validation accuracy at the horizon lies between {min(accuracies):.3f} and "
                f"{max(accuracies):.3f}"
            )
    lines.append(
        "  Verdicts hold up to the horizon. A removed event may come later, and an arm may relapse: a short branch can "
        "mislead."
    )
    return "\n".join(lines)


def pooled_text(arms: Sequence[PooledArm], branches: int) -> str:
    """Return what each change does in several branches, a line for each, with its exact tests."""
    lines = [f"{branches} branches together, each arm ranked among the control and the null arms of its branch:"]
    for arm in arms:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in arm.verdicts.items())
        parts = [f"  {printable(arm.change)}: {counts}"]
        if arm.event_p_value is not None:
            parts.append(f"step of the event p = {arm.event_p_value:.2g} (at least {arm.event_smallest:.2g})")
        if arm.val_difference is not None:
            parts.append(
                f"validation accuracy {arm.val_difference:+.3f}, p = {arm.val_p_value:.2g} (at least "
                f"{arm.val_smallest:.2g})"
            )
        lines.append("; ".join(parts))
    return "\n".join(lines)


def _row(one: ArmOutcome) -> tuple[str, ...]:
    is_tested = one.arm != CONTROL and not one.arm.startswith("null-")
    return (
        printable(one.arm),
        one.verdict if is_tested else "",
        "none" if one.event is None else f"{one.event:,}",
        "" if one.peak_loss is None else f"{one.peak_loss:.3g}",
        "" if one.norm is None else f"{one.norm:.4g}",
        "" if one.val_accuracy is None else f"{one.val_accuracy:.3f}",
        "" if one.leaves is None else f"{one.leaves:,}",
    )


def draw_branch(branch: Branch, path: str | Path) -> Path:
    """Draw the arms over the band of the control and the null arms, and write the picture.

    Parameters
    ----------
    branch : Branch
        The branch.
    path : path-like
        The picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), layout="constrained")
    chance = [CONTROL, *(one.arm for one in branch.nulls)]
    names = [name for name in PANELS if all(name in branch.signals[arm] for arm in branch.signals)]
    axes = figure.subplots(max(1, len(names)), 1, sharex=True, squeeze=False)[:, 0]
    for axis, name in zip(axes, names, strict=False):
        band = [branch.signals[arm][name] for arm in chance]
        rows = min(len(each) for each in band)
        values = np.array([each.value[:rows] for each in band], dtype=float)
        axis.fill_between(
            band[0].step[:rows], values.min(0), values.max(0), color="0.75", label="control and null arms", lw=0
        )
        axis.plot(band[0].step, band[0].value, color="0.25", lw=0.8, label=CONTROL)
        for one in branch.changed:
            signal = branch.signals[one.arm][name]
            axis.plot(signal.step, signal.value, lw=1, label=f"{printable(one.arm)}: {one.verdict}")
        axis.set_ylabel(PANELS[name])
        if name == "batch_loss_float64":
            axis.set_yscale("log")
        if branch.control.event is not None:
            axis.axvline(branch.control.event, color="0.5", ls=":", lw=1)
    axes[-1].set_xlabel("optimizer updates")
    axes[0].legend(fontsize="small")
    axes[0].set_title(f"{printable(branch.parent)}, branched at {branch.step:,}")
    figure.savefig(path, dpi=DPI)
    return Path(path)
