"""How soon `slingshot watch` tells of a transition and of a slingshot, and how often it is wrong.

Run it from the project's root on recorded runs::

    for seed in 0 1 2 3 4; do slingshot record --setup parity_3_50 --seed $seed --steps 40000 --out runs/watched; done
    python benchmarks/watching.py runs/watched/*.h5 examples/data/*.h5

The analysis of the whole run is the truth. "Transitions" come from the online rule, which sees each row of the loss
once it is written. One is false if no slingshot, loss spike or spike without norm growth of the whole run is near, that
is, within 1% of the run. "Slingshots" come from analyses of the rows so far, here one at each 1% of the run. Delays are
in updates and do not include the two seconds for which a recorder may keep rows before it writes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np

from slingshot_analysis import Analysis, InputError, Signal, Trace, analyze, open_trace
from slingshot_analysis.analysis.signals import LOSSES, first_of
from slingshot_analysis.online_rules import TransitionTrigger

PARTS = 100
NEAR = 0.01


def online_transitions(trace: Trace) -> list[int]:
    """Return the steps at which the online rule fires."""
    name = first_of(LOSSES, trace)
    assert name is not None
    loss, trigger = trace[name], TransitionTrigger()
    rows = zip(loss.step.tolist(), loss.value.astype(float).tolist(), strict=True)
    return [step for step, value in rows if trigger.update(value)]


def analyses_so_far(trace: Trace, whole: Analysis) -> Iterable[tuple[int, list[int]]]:
    """Yield each part's last step, and the transitions of the slingshots in the rows up to there."""
    signals = {name: trace[name] for name in trace}
    for end in np.linspace(*whole.steps, PARTS + 1)[1:].astype(int).tolist():
        part = {name: _until(signal, end) for name, signal in signals.items()}
        try:
            found = analyze({name: signal for name, signal in part.items() if len(signal)})
        except InputError:
            continue
        yield end, [event.transition for event in found.certain]


def _until(signal: Signal, end: int) -> Signal:
    rows = signal.step <= end
    return Signal(signal.step[rows], signal.value[rows], signal.name, signal.unit, signal.description, signal.axes)


def _words(delays: list[int]) -> str:
    if not delays:
        return "-"
    return f"{np.median(delays):,.0f} ({min(delays):,} to {max(delays):,})"


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def main(files: tuple[Path, ...]) -> None:
    click.echo(f"{'run':<32}{'slingshots':>11}{'seen':>6}{'false':>7}  {'delay':<24}{'told':>5}{'false':>7}  delay")
    totals = np.zeros(5, dtype=int)
    all_seen: list[int] = []
    all_told: list[int] = []
    for file in files:
        trace = open_trace(file)
        whole = analyze(trace)
        near = NEAR * (whole.steps[1] - whole.steps[0])
        true = [event.transition for event in whole.certain]
        events = [event.transition for event in (*whole.slingshots, *whole.spikes_without_norm_growth)]
        events += [step for spike in whole.loss_spikes for step in (spike.start, spike.peak)]
        fired = online_transitions(trace)
        seen = [next((step - at for step in fired if abs(step - at) <= near), None) for at in true]
        false = [step for step in fired if all(abs(step - at) > near for at in events)]
        told: dict[int, int] = {}
        wrong: list[int] = []
        for end, found in analyses_so_far(trace, whole):
            for step in found:
                match = next((at for at in true if abs(step - at) <= near), None)
                if match is not None:
                    told.setdefault(match, end - match)
                elif all(abs(step - other) > near for other in wrong):
                    wrong.append(step)
        delays = [delay for delay in seen if delay is not None]
        click.echo(
            f"{trace.name:<32}{len(true):>11}{len(delays):>6}{len(false):>7}  {_words(delays):<24}"
            f"{len(told):>5}{len(wrong):>7}  {_words(list(told.values()))}"
        )
        totals += [len(true), len(delays), len(false), len(told), len(wrong)]
        all_seen += delays
        all_told += told.values()
    count, seen_all, false_all, told_all, wrong_all = totals.tolist()
    click.echo(
        f"{'all':<32}{count:>11}{seen_all:>6}{false_all:>7}  {_words(all_seen):<24}{told_all:>5}{wrong_all:>7}  "
        f"{_words(all_told)}"
    )


if __name__ == "__main__":
    main()
