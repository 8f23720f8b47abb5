import pytest
from hypothesis import given
from hypothesis import strategies as st

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import Every, LogSpaced, Within

SCHEDULES = st.one_of(
    st.builds(Every, st.integers(1, 60)),
    st.builds(LogSpaced, st.integers(1, 40)),
    st.builds(lambda start, length, every: Within(start, start + length, every), *[st.integers(1, 90)] * 3),
)


def due_steps(schedule, stop):
    steps, step = [], schedule.next(0)
    while step is not None and step < stop:
        steps.append(step)
        step = schedule.next(step + 1)
    return steps


def test_every():
    assert due_steps(Every(25), 101) == [0, 25, 50, 75, 100]


def test_within():
    assert due_steps(Within(7, 20, 5), 1000) == [7, 12, 17]


def test_log_spaced_covers_each_decade_evenly():
    steps = due_steps(LogSpaced(10), 100_001)
    assert steps[0] == 0
    assert steps[-1] == 100_000
    assert len([s for s in steps if 1000 <= s < 10_000]) == 10
    ratios = [b / a for a, b in zip(steps[-20:], steps[-19:], strict=False)]
    assert max(ratios) / min(ratios) < 1.01


@given(SCHEDULES, SCHEDULES)
def test_union_is_due_when_either_is(first, second):
    both = set(due_steps(first, 500)) | set(due_steps(second, 500))
    assert due_steps(first | second, 500) == sorted(both)


@given(SCHEDULES, st.integers(0, 400))
def test_next_is_the_first_due_step_not_before(schedule, step):
    after = [s for s in due_steps(schedule, 10_000) if s >= step]
    assert schedule.next(step) == (after[0] if after else None)


@given(SCHEDULES)
def test_slug_names_a_group(schedule):
    assert schedule.slug.replace("_", "").isalnum()
    assert schedule.slug == schedule.slug.lower()


@pytest.mark.parametrize(
    "make", [lambda: Every(0), lambda: LogSpaced(0), lambda: Within(5, 5), lambda: Within(0, 9, 0)]
)
def test_impossible_schedules_are_refused(make):
    with pytest.raises(InputError):
        make()
