"""Dozens of small spikes after a transition, as single samples make them, take away no slingshot."""

import dataclasses

import numpy as np
import pytest

from slingshot_analysis import analyze
from slingshot_analysis.synthetic import slingshot_run


def with_aftershocks(run, seed, count=100):
    """Return signals of a run whose loss rises 60- to 300-fold in single rows, irregularly, after its last event."""
    random = np.random.default_rng(seed)
    last = run.transitions[-1]
    signals = dict(run.signals)
    loss = signals["batch_loss"]
    rows = np.flatnonzero(loss.step > last + 0.2 * (loss.step[-1] - last))
    gaps = np.cumsum(random.exponential(size=count))
    at = rows[(gaps / gaps[-1] * (len(rows) - 1)).astype(int)]
    value = loss.value.copy()
    value[at] *= 10 ** np.linspace(2.5, 1.8, count)
    signals["batch_loss"] = dataclasses.replace(loss, value=value)
    return signals


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("given", [("last_layer_norm", "batch_errors"), ("batch_errors",), ()])
def test_aftershocks_take_away_no_slingshot(seed, given):
    run = slingshot_run(seed, steps=80_000, cycles=(20_000, 25_000))
    before, after = (
        analyze({name: signals[name] for name in ("batch_loss", *given)})
        for signals in (run.signals, with_aftershocks(run, seed))
    )
    assert after.verdict == before.verdict == "slingshots"
    assert len(after.certain) == len(before.certain)
