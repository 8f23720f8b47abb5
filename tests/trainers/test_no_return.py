"""The point of no return is bisected: a change helps up to some step, which the search has to find."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from slingshot_analysis import InputError
from trainers.branch import no_return
from trainers.setups import find_setup

GROWTH, TRANSITION, AFTER = 10_000, 12_000, 500
PARENT = SimpleNamespace(setup=find_setup("parity_3_50"), trace=SimpleNamespace(path="run.h5"))


def found(monkeypatch, helps, start=GROWTH, control=TRANSITION):
    """Return what is tried where the change removes the event at the steps for which `helps` is true."""
    made = []

    def branch(parent, step, length, arms, folder, **_):
        assert step + length == TRANSITION + AFTER
        made.append(step)
        return iter([(SimpleNamespace(name="control"), SimpleNamespace(is_equal=True))])

    def read(folder):
        event = None if helps(int(folder.name)) else TRANSITION + 1
        return SimpleNamespace(control=SimpleNamespace(event=control), changed=[SimpleNamespace(event=event)])

    monkeypatch.setattr(no_return, "branch", branch)
    monkeypatch.setattr(no_return, "read_branch", read)
    event = SimpleNamespace(growth_start=start, transition=TRANSITION)
    tried = list(no_return.point_of_no_return(PARENT, event, "optimizer.eps=1e-6", Path("branches"), AFTER))
    assert [one.step for one in tried] == made
    return tried


@pytest.mark.parametrize("last", [10_003, 11_111, 11_990])
def test_it_is_enclosed_within_a_hundredth_of_the_growth(last, monkeypatch):
    tried = found(monkeypatch, lambda step: step <= last)
    helping = max(one.step for one in tried if one.helps)
    hopeless = min(one.step for one in tried if not one.helps)
    assert helping <= last < hopeless
    assert hopeless - helping <= 0.01 * (TRANSITION - GROWTH)
    assert {one.event for one in tried if not one.helps} == {TRANSITION + 1}


@pytest.mark.parametrize("always", [True, False])
def test_where_the_change_helps_always_or_never_the_points_along_the_growth_are_all(always, monkeypatch):
    tried = found(monkeypatch, lambda step: always)
    assert [one.step for one in tried] == sorted(one.step for one in tried)
    assert (tried[0].step, tried[-1].step) == (GROWTH, TRANSITION - 1)
    assert len(tried) == no_return.GRID


def test_what_is_missing_is_said(monkeypatch):
    with pytest.raises(InputError, match=r"run\.h5: no growth of the norm was found before 12,000"):
        found(monkeypatch, bool, start=None)
    with pytest.raises(InputError, match="the control has no event by the horizon; give a larger until="):
        found(monkeypatch, bool, control=None)
