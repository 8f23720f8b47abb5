import pytest
from hypothesis import given
from hypothesis import strategies as st

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import Budget, Every
from slingshot_analysis.recording.schedule import SET_UP_SECONDS


def test_every():
    due = [step for step in range(101) if Every(25).next(step) == step]
    assert due == [0, 25, 50, 75, 100]


@given(st.integers(1, 60), st.integers(0, 400))
def test_next_is_the_first_due_step_not_before(n, step):
    assert Every(n).next(step) == min(due for due in range(0, step + n + 1, n) if due >= step)


@pytest.mark.parametrize("schedule", [Every(3), Budget(0.125)])
def test_slug_names_a_group(schedule):
    assert schedule.slug.replace("_", "").isalnum()
    assert schedule.slug == schedule.slug.lower()


def test_every_needs_a_positive_number():
    with pytest.raises(InputError, match="at least 1"):
        Every(0)


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_a_budget_is_a_share(share):
    with pytest.raises(InputError, match="between 0 and 1"):
        Budget(share)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_a_budget_is_kept(share):
    budget, now, spent, part, bare = Budget(share), 0.0, 0.0, 0.025, 0.001
    for step in range(20_000):
        if budget.next(step) == step:
            now, spent = now + part, spent + part
            budget.charge(step, now, part)
            now, spent = now + bare + part, spent + part  # what compares the states before and after the update
            budget.charge(step, now, part)
            # the first measurement is made before it is paid for; its first part is free, and foretells nothing
            assert step <= 1 or spent - 2 * part <= share * now + bare
        else:
            now += bare
    assert spent / now == pytest.approx(share, rel=0.05)


def test_runs_that_train_together_keep_to_the_share_together():
    runs, now, spent, cost, bare = 4, 0.0, 0.0, 0.05, 0.001
    budgets = [Budget(0.1) for _ in range(runs)]
    for budget in budgets:
        budget.runs = runs
    for step in range(20_000):
        for budget in budgets:
            if budget.next(step) == step:
                now, spent = now + cost, spent + cost
                budget.charge(step, now, cost)
            now += bare
    assert spent / now == pytest.approx(1 / 9, rel=0.03)  # each takes the others' measurements for training
    for budget in budgets:
        assert -cost < budget.debt(now) < 10 * cost


@pytest.mark.parametrize(("share", "due"), [(0.5, 20), (0.25, 60), (0.75, 7)])
def test_a_measurement_is_paid_for_before_it_is_made(share, due):
    budget = Budget(share)
    budget.charge(0, 0.0, SET_UP_SECONDS)  # free
    assert budget.next(1) == 1
    budget.charge(1, 11.0, 10.0)  # one update of 1 s, and 10 s; share / (1 - share) of the training time pay for twice
    assert budget.next(2) == due


def test_a_long_first_measurement_is_paid_for():
    budget = Budget(0.5)
    budget.charge(0, 100.0, 20.0 + SET_UP_SECONDS)
    budget.charge(0, 102.0, 1.0)  # one update of 1 s
    assert budget.next(1) == 42


def test_a_budget_pays_for_what_else_is_spent():
    budget = Budget(0.5)
    for step, now in enumerate((0.0, 1.0, 2.0)):
        budget.charge(step, now, 0.1)
    before = budget.next(3)
    budget.spend(100.0)
    budget.charge(3, 103.0, 0.1)
    assert budget.next(4) > before + 30
