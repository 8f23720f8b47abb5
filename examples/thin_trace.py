"""Make a small trace from a large one: dense around its events, thinned elsewhere.

Run it from the project's root::

    python examples/thin_trace.py runs/hypercube-s0.h5 examples/data/hypercube.h5

It keeps all rows of rarely measured groups, every 10th row of the others, and all rows around loss spikes and
slingshots. It leaves out quantities with axes, and with ``--only`` all that are not named. The attribute `thinned`
describes this.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from slingshot_analysis import TraceWriter, analyze, open_trace
from slingshot_analysis.trace import Group, Quantity

FORMAT_ATTRIBUTES = ("format", "version", "finished")


@click.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--every", default=10, show_default=True, help="Keep one row in this many away from events.")
@click.option("--around", default=100, show_default=True, help="Rows kept on either side of an event.")
@click.option("--only", metavar="NAMES", help="Keep these quantities, also those with axes, and no others.")
def main(source: Path, target: Path, every: int, around: int, only: str | None) -> None:
    """Write the thinned trace of SOURCE to TARGET."""
    trace, analysis = open_trace(source), analyze(source)
    events = {spike.start for spike in analysis.loss_spikes} | {event.transition for event in analysis.slingshots}
    wanted = set(trace if only is None else only.split(","))
    groups, rows, frequent = [], {}, len(trace["val_loss"]) if "val_loss" in trace else 0
    for name, names in trace.groups.items():
        signals = [trace[name] for name in names if name in wanted and (only or not trace[name].axes)]
        if not signals:
            continue
        step = signals[0].step
        kept = np.arange(len(step)) % every == 0 if len(step) > frequent else np.ones(len(step), bool)
        kept[[0, -1]] = True
        for at in np.searchsorted(step, sorted(events)):
            kept[max(0, at - around) : at + around + 1] = True
        quantities = [Quantity(s.name, s.unit, s.description, s.axes, str(s.value.dtype)) for s in signals]
        groups.append(Group(name, quantities, "thinned"))
        rows[name] = step[kept], {signal.name: signal.value[kept] for signal in signals}
    attributes = {name: value for name, value in trace.attributes.items() if name not in FORMAT_ATTRIBUTES}
    attributes["thinned"] = f"one row in {every}, and {around} rows on either side of {len(events)} events"
    with TraceWriter(target, groups, attributes, overwrite=True) as writer:
        for name, (step, values) in rows.items():
            writer.append(name, step, **values)
    click.echo(f"{target}: {target.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
