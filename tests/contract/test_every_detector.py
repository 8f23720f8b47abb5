"""What must hold for every detector: a clear result or an InputError for any input, in any order and form."""

import doctest
import importlib.util
import inspect
import pkgutil
import sys
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slingshot_analysis import detectors, slingshots
from slingshot_analysis.errors import InputError

TEMPLATE = Path(__file__).parents[2] / "docs" / "templates" / "detector.py"
SIGNALS = {"train_accuracy", "batch_errors", "train_loss", "batch_loss"}
"""Names of keyword arguments that are signals. A detector that takes another one needs its name here."""
ARGUMENTS = {"terminal_phase_start": 1}
"""Values of required arguments that are no signals. A detector that needs another one needs its value here."""


def variants(function):
    """Return one function of step and value for each signal that a detector takes."""
    step, _signal, *others = inspect.signature(function).parameters.values()
    assert step.name == "step", f"{function.__name__}: the first argument of a detector is `step`"
    required = [p.name for p in others if p.default is inspect.Parameter.empty]
    unknown = set(required) - set(ARGUMENTS)
    assert not unknown, f"{function.__name__} requires {unknown}: add a value by name to ARGUMENTS in {__file__}"
    given = {name: ARGUMENTS[name] for name in required}
    found = {function.__name__: lambda steps, values: function(steps, values, **given)}
    for name in sorted(SIGNALS & {p.name for p in others}):
        alone = partial(lambda signal, steps, values: function(steps, **{signal: values}, **given), name)
        found[f"{function.__name__}({name})"] = alone
    return found


def from_template():
    spec = importlib.util.spec_from_file_location("template_of_a_detector", TEMPLATE)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return functions_defined_in(module)


def functions_defined_in(module):
    own = [function for _, function in inspect.getmembers(module, inspect.isfunction)]
    return [f for f in own if f.__module__ == module.__name__ and not f.__name__.startswith("_")]


def first_step(event):
    names = [name for name in ("transition", "start", "step", "onset") if hasattr(event, name)]
    assert names, f"{type(event).__name__} does not say when it happens: call its first step `step` or `start`"
    return getattr(event, names[0])


def functions_of(package):
    return [getattr(package, name) for name in package.__all__ if inspect.isfunction(getattr(package, name))]


SINGLE = {
    name: call for function in [*functions_of(detectors), *from_template()] for name, call in variants(function).items()
}
COMPOSITE = variants(slingshots.detect_slingshots)
DETECTORS = SINGLE | COMPOSITE
every_detector = pytest.mark.parametrize("name", DETECTORS)

ON_CONSTANT_INPUT = {
    "segment_norm": lambda found: [phase.kind for phase in found] in ([], ["plateau"]),
    "terminal_phase_start": lambda found: found in (None, 0),
    "detect_divergence": lambda found: found in (None, 0),
    "detect_misclassification": lambda found: len(found) <= 1,
    "grokking_sensitivity": lambda found: set(found.values()) == {None},
}
"""What detectors may return for constant input; all others return an empty list, None or False."""

anything = st.floats(allow_nan=True, allow_infinity=True)
fraction = st.one_of(st.floats(0, 1), st.just(float("nan")), st.sampled_from([0.0, 1.0]))
rows = st.one_of(
    st.lists(st.tuples(st.integers(-5, 40), anything), max_size=40),
    st.lists(st.tuples(st.floats(0, 1e6), fraction), max_size=60),
    st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([0.0, 1e-9, 1.0, 7.0])), max_size=60),
)


def test_every_module_is_named_in_the_package():
    for module in pkgutil.iter_modules(detectors.__path__):
        if not module.name.startswith("_"):
            functions = functions_defined_in(importlib.import_module(f"{detectors.__name__}.{module.name}"))
            assert {function.__name__ for function in functions} & set(detectors.__all__), (
                f"detectors/{module.name}.py is not used: import its detector in detectors/__init__.py and add it to "
                "__all__ there, or begin the name of the module with an underscore"
            )


def test_the_examples_of_the_template_are_right():
    from_template()
    assert doctest.testmod(sys.modules["template_of_a_detector"]) == (0, 1)


@every_detector
@settings(max_examples=60, deadline=None)
@given(rows=rows)
def test_any_input_gives_a_result_or_an_input_error(name, rows):
    step, value = [row[0] for row in rows], [row[1] for row in rows]
    try:
        first = DETECTORS[name](step, value)
    except InputError:
        return
    if len(set(step)) == len(step):
        assert DETECTORS[name](step[::-1], value[::-1]) == first
    if isinstance(first, list):
        assert all(is_dataclass(event) and type(event).__dataclass_params__.frozen for event in first)
        assert [first_step(event) for event in first] == sorted(first_step(event) for event in first)


@every_detector
@pytest.mark.parametrize("value", [[], [0.5], [0.5, 0.5], [0.5] * 50, [0.0] * 50, [float("nan")] * 5])
def test_little_or_constant_input_gives_nothing(name, value):
    found = DETECTORS[name](range(len(value)), value)
    allowed = ON_CONSTANT_INPUT.get(name.partition("(")[0], lambda found: not found)
    assert allowed(found), (
        f"{name} found {found}; a detector should find nothing here. If this is right, add an entry to "
        f"ON_CONSTANT_INPUT in {__file__}, such as '{name}': lambda found: len(found) <= 1"
    )


@every_detector
def test_inputs_are_left_as_they_were_and_their_form_does_not_matter(name):
    step = np.arange(0, 2000, 20)
    value = np.where((step == 0) | (step == 1500), 1.0, 0.01)
    for array in (step, value):
        array.flags.writeable = False
    found = DETECTORS[name](step, value)
    assert DETECTORS[name](step.tolist(), value.tolist()) == found
    assert DETECTORS[name](pd.Series(step), pd.Series(value)) == found


@every_detector
@pytest.mark.parametrize(
    ("step", "value"),
    [
        ([1, 2], [1.0]),
        ([[1, 2]], [[1.0, 2.0]]),
        ([1, 2], ["a", "b"]),
        ([1, 2], [1j, 2j]),
        ([1, float("inf")], [1.0, 2.0]),
        ([1, 2], [object(), 1.0]),
        (["1", "2"], [1.0, 2.0]),
    ],
)
def test_input_that_fits_no_detector_is_an_input_error(name, step, value):
    with pytest.raises(InputError):
        DETECTORS[name](step, value)
