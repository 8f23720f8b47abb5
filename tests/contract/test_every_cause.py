"""What must hold for every cause: a judgement or None of any evidence, a name of its own, remedies with sources."""

import importlib.util
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slingshot_analysis.canonical import Samples
from slingshot_analysis.diagnosis import Cause, Evidence, causes
from slingshot_analysis.diagnosis.diagnose import judges
from slingshot_analysis.diagnosis.evidence import ROLES
from slingshot_analysis.events import LossSpike, NotFinite

TEMPLATE = Path(__file__).parents[2] / "docs" / "templates" / "cause.py"
SOURCE = re.compile(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\S+")
SIGNALS = [
    "lr", "loss_scale", "gradient_norm", "update_norm", "first_moment_norm", "second_moment_norm",
    "zero_gradient_fraction", "zero_loss_fraction", "softmax_collapse", "preconditioned_ratio",
    "max_attention_logit", "batch_length",
]  # fmt: skip
"""A signal of each kind that causes look at."""


def from_template():
    spec = importlib.util.spec_from_file_location("template_of_a_cause", TEMPLATE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODULES = {
    module.name: import_module(f"{causes.__name__}.{module.name}") for module in pkgutil.iter_modules(causes.__path__)
} | {"template": from_template()}
every_cause = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)

values = st.lists(st.one_of(st.floats(0, 10), st.sampled_from([0.0, float("nan"), float("inf")])), max_size=12)
steps = st.integers(0, 30)
outcomes = st.sampled_from(["recovered", "lingering", "diverged", "not finite"])


def samples(drawn):
    return Samples(np.arange(len(drawn), dtype=np.float64), np.array(drawn, dtype=np.float64))


def spike(start, length, outcome, height):
    end = start + 2 * length
    recovery = 2 * length if outcome == "recovered" else None
    return LossSpike(start, start + length, end, height, height, height, recovery, None, outcome)


spikes = st.lists(st.builds(spike, steps, st.integers(0, 5), outcomes, st.floats(0, 1e300)), max_size=3)
lost = st.lists(
    st.builds(NotFinite, st.just("train_loss"), steps, st.one_of(st.none(), steps), st.integers(1, 9)), max_size=2
)
settings_of_a_run = st.dictionaries(
    st.sampled_from(["optimizer.eps", "optimizer.beta2", "warmup", "dtype", "loss_dtype", "fp16", "lr"]),
    st.one_of(st.floats(0, 1), st.integers(0, 9), st.booleans(), st.sampled_from(["float16", "bf16", "none", ""])),
)


def check(cause, module):
    assert cause is None or isinstance(cause, Cause)
    if cause is None:
        return
    assert (cause.name, cause.title) == (module.NAME, module.TITLE)
    assert np.isfinite(cause.score)
    assert all(sign.text and sign.weight for sign in cause.signs)
    assert all(check.signal and check.tells for check in cause.unchecked)
    for remedy in cause.remedies:
        assert remedy.what.endswith(".")
        assert remedy.evidence.endswith(".")
        assert SOURCE.fullmatch(remedy.source), f"{remedy.what} {remedy.source}: give an arXiv id or a DOI"


def test_there_is_a_signal_of_each_kind():
    evidence = Evidence(None, {name: samples([1.0]) for name in SIGNALS})
    missing = {role for role in ROLES if not evidence.names(role)}
    assert not missing, f"no signal of {missing}: add a name for each to SIGNALS in {__file__}"


def test_names_and_titles_are_unique():
    for word in ("NAME", "TITLE"):
        found = [getattr(module, word) for module in MODULES.values()]
        assert all(found)
        assert len(found) == len(set(found))
    assert len(list(judges())) == len(MODULES) - 1


@every_cause
def test_without_any_evidence_nothing_speaks_for_it(module):
    for evidence in (Evidence(None, {}), Evidence(samples([]), {}), Evidence(samples([2.5]), {})):
        cause = module.judge(evidence)
        check(cause, module)
        assert cause is None or not cause.speaks_for


@every_cause
def test_a_spike_in_a_log_of_the_loss_alone_decides_nothing(module):
    loss = samples([2.5] * 900)
    cause = module.judge(Evidence(loss, {}, spikes=[spike(500, 5, "recovered", 2.0)], span=(0.0, 899.0)))
    check(cause, module)
    assert cause is None or cause.grade != "likely"


@every_cause
@settings(max_examples=150, deadline=None)
@given(
    loss=st.one_of(st.none(), values),
    signals=st.dictionaries(st.sampled_from(SIGNALS), values),
    spikes=spikes,
    lost=lost,
    config=settings_of_a_run,
    restarts=st.lists(steps, max_size=2),
)
def test_short_signals_and_values_that_are_not_finite_do_no_harm(module, loss, signals, spikes, lost, config, restarts):
    evidence = Evidence(
        None if loss is None else samples(loss),
        {name: samples(drawn) for name, drawn in signals.items()},
        config,
        spikes=sorted(spikes, key=lambda one: one.start),
        not_finite=lost,
        restarts=restarts,
        span=(0.0, 30.0),
    )
    check(module.judge(evidence), module)
