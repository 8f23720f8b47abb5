"""The canonical form of a signal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slingshot_analysis.canonical import canonical
from slingshot_analysis.errors import InputError


def test_rows_are_sorted_and_the_last_of_equal_steps_is_kept():
    step, value = canonical([3, 1, 2, 1, float("nan")], [30, 10, float("nan"), 11, 5])
    assert step.tolist() == [1.0, 3.0]
    assert value.tolist() == [11.0, 30.0]


@given(st.lists(st.tuples(st.integers(-5, 40), st.floats(allow_nan=True, allow_infinity=True)), max_size=40))
def test_the_canonical_form_of_canonical_samples_is_the_same(rows):
    once = canonical([row[0] for row in rows], [row[1] for row in rows])
    twice = canonical(*once)
    assert [part.tolist() for part in once] == [part.tolist() for part in twice]


@pytest.mark.parametrize("step", [[1, float("inf")], [[1, 2]], [1]])
def test_steps_that_do_not_fit_are_named(step):
    with pytest.raises(InputError, match="loss"):
        canonical(step, [1.0, 2.0], "loss")
