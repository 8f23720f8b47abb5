"""The evidence that a diagnosis needs, collected from a run and from what was found in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from slingshot_analysis.analysis._spikes import Spikes
from slingshot_analysis.analysis.signals import LOSSES, Signals, first_of, read_signals
from slingshot_analysis.association import SignalLead, signals_before
from slingshot_analysis.canonical import Samples, canonical
from slingshot_analysis.configuration import Plain
from slingshot_analysis.diagnosis import Evidence
from slingshot_analysis.events import CERTAIN
from slingshot_analysis.readers import Log
from slingshot_analysis.signal import Axis, Signal
from slingshot_analysis.slingshots import Assembly
from slingshot_analysis.trace import Trace

THE_LOSS_ITSELF = re.compile(
    r"loss(?!.*(scale|fraction))|perplexity|ppl|accuracy|(^|_)acc(_|$)|errors?($|_)|nll|cross_entropy"
)
"""Names of signals that say the same as the loss."""
AROUND_EVENTS = "event_"
"""Prefix of signals that the flight recorder measures around events only, so that random times have no values."""
COUNTERS = re.compile(
    r"(^|_)(epochs?|time|tokens?|samples?|throughput|flops|memory|mfu|eta|elapsed)(_|$)"
    r"|^((global|train|optimizer|current|consumed|total)_)?(steps?|iterations?)$"
)
"""Names of columns that count, or tell of the machine."""
LARGEST = 1e100
"""Largest value of a signal: beyond it, ratios and squares overflow."""
MAXIMUM_SIGNALS = 60
"""Maximum number of signals that are looked at. More take longer, and make every test weaker."""
MAXIMUM_LABELS = 16
"""Maximum number of components of a signal that are looked at one by one."""


def other_signals(run: Signals, chosen: Mapping[str, Signal]) -> dict[str, Signal]:
    """Return all scalars of a run beside the loss, known by name or not, each component of a short vector by itself.

    Those that were chosen for the detectors are not read again.
    """
    wanted = [
        name for name in run if not _is_left_out(name) and (not isinstance(run, Trace) or _is_short(run.axes(name)))
    ]
    wanted = wanted[:MAXIMUM_SIGNALS]
    read = {**read_signals(run, [name for name in wanted if name not in chosen]), **chosen}
    found = {name: read[name] for name in wanted}
    if isinstance(run, Log):
        found |= {name: signal for name, signal in run.others.items() if not _is_left_out(name)}
    parts = {name: part for given, signal in found.items() for name, part in _parts(given, signal)}
    return dict(list(parts.items())[:MAXIMUM_SIGNALS])


def find_leads(spikes: Spikes, others: Mapping[str, Signal], loss: Signal | None) -> list[SignalLead]:
    """Return what moved before the loss spikes."""
    always = {name: signal for name, signal in others.items() if not name.startswith(AROUND_EVENTS)}
    return signals_before(spikes.loss_spikes, always, loss=loss) if spikes.loss_spikes and always else []


def collect_evidence(
    run: Signals,
    used: Mapping[str, Signal],
    others: Mapping[str, Signal],
    spikes: Spikes,
    assembly: Assembly,
    leads: Sequence[SignalLead],
    config: Mapping[str, Plain],
    span: tuple[float, float],
) -> Evidence:
    """Return what the causes of spikes are judged by."""
    name = first_of(LOSSES, used)
    return Evidence(
        loss=None if name is None else _samples(used[name], keep_nan=True),
        signals={name: _finite(_samples(signal)) for name, signal in others.items()},
        config=config,
        spikes=spikes.loss_spikes,
        not_finite=spikes.not_finite,
        slingshots=[event for event in assembly.slingshots if event.confidence >= CERTAIN],
        without_growth=[event for event in assembly.spikes_without_norm_growth if event.confidence >= CERTAIN],
        leads={lead.name: lead for lead in leads},
        restarts=run.restarts if isinstance(run, Log) else (),
        span=span,
    )


def _is_left_out(name: str) -> bool:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower())
    return bool(THE_LOSS_ITSELF.search(plain) or COUNTERS.search(plain))


def _parts(name: str, signal: Signal) -> Iterator[tuple[str, Signal]]:
    """Yield a scalar as it is, and a vector by its components; text and larger arrays are left out."""
    if np.asarray(signal.value).dtype.kind not in "fiub" or not len(signal):
        return
    if not signal.axes:
        yield name, signal
    elif _is_short(signal.axes):
        axis = signal.axes[0]
        yield from ((f"{name}[{label}]", signal.select(**{axis.name: label})) for label in axis.labels)


def _is_short(axes: Sequence[Axis]) -> bool:
    """Return whether a signal is a scalar or a short vector."""
    return not axes or (len(axes) == 1 and len(axes[0].labels) <= MAXIMUM_LABELS)


def _finite(samples: Samples) -> Samples:
    """Return the values that are finite; larger ones than any detector needs are cut."""
    finite = np.isfinite(samples.value)
    return Samples(samples.step[finite], np.clip(samples.value[finite], -LARGEST, LARGEST))


def _samples(signal: Signal, *, keep_nan: bool = False) -> Samples:
    return canonical(signal.step, signal.value, signal.name, keep_nan=keep_nan)
