"""Which probes a recorder chooses."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from slingshot_analysis import InputError
from slingshot_analysis.recording import PROBES, Every, Norms
from slingshot_analysis.recording.probes._base import Subject
from slingshot_analysis.recording.probes._bundles import BUNDLES, choose_probes
from slingshot_analysis.recording.probes._catalogue import catalogue
from slingshot_analysis.recording.schedule import Budget
from slingshot_analysis.recording.subject.losses import cross_entropy


def subject(optimizer=torch.optim.Adam, data=True):
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    batches = [(torch.zeros(2, 2), torch.zeros(2, dtype=torch.long))] if data else None
    inputs = batches[0][0] if data else None
    layers = ["1"] if data else []
    parameters = dict(model.named_parameters())
    return Subject(model, parameters, "2", layers, cross_entropy, inputs, batches, None, optimizer(model.parameters()))


def names(wanted, **options):
    return [probe.name for probe in choose_probes(wanted, subject(**options))]


def schedules(wanted, budget=None):
    return {probe.name: probe.every for probe in choose_probes(wanted, subject(), budget)}


def test_bundles_hold_known_probes_and_each_one_all_of_the_one_before():
    light, standard, full = ({entry.partition(":")[0] for entry in BUNDLES[name]} for name in BUNDLES)
    assert light < standard < full <= set(PROBES)


def test_a_bundle_leaves_out_what_does_not_fit():
    assert "evaluation" not in names("standard", data=False)
    assert {"effective_step", "preconditioned"} <= set(names("full"))
    assert not {"effective_step", "preconditioned", "below_epsilon_fraction"} & set(
        names("full", optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    )


def test_cadences():
    assert schedules("light")["evaluation"] == Every(1000)
    assert schedules(["standard", "norms:7"])["norms"] == Every(7)
    assert schedules(["hessian"])["hessian"] == Every(100)
    assert schedules(["hessian:25"], 0.1)["hessian"] == Every(25)
    full = schedules("full")
    assert isinstance(full["hessian"], Budget)
    assert full["hessian"] is full["update_sharpness"]
    assert full["hessian"].share == 0.12
    assert schedules(["hessian"], 0.1)["hessian"].share == 0.1
    probes = choose_probes([Norms(every=Every(3)), "batch"], subject())
    assert [(probe.name, probe.every) for probe in probes] == [("norms", Every(3)), ("batch", Every(1))]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("hesian", "did you mean 'hessian'"), ("standart", "'standard'"), ([], "empty"), ("hessian:x", "number of upd")],
)
def test_wrong_names(wanted, message):
    with pytest.raises(InputError, match=message):
        choose_probes(wanted, subject())


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_a_budget_is_kept(share):
    budget, now, step, spent, cost, bare = Budget(share), 0.0, 0, 0.0, 0.05, 0.001
    for step in range(20_000):
        if budget.next(step) == step:
            now, spent = now + cost, spent + cost
            budget.charge(step, now, cost)
        now += bare
    # the first measurement is free, and the last one may just have been made
    assert (spent - 2 * cost) / now <= share <= (spent + 2 * cost) / now
    assert spent / now == pytest.approx(share, rel=0.05)


def test_a_budget_pays_for_what_else_is_spent():
    budget = Budget(0.5)
    for step, now in enumerate((0.0, 1.0, 2.0)):
        budget.charge(step, now, 0.1)
    before = budget.next(3)
    budget.spend(100.0)
    budget.charge(3, 103.0, 0.1)
    assert budget.next(4) > before + 30


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_a_budget_is_a_share(share):
    with pytest.raises(InputError, match="between 0 and 1"):
        Budget(share)


def test_the_catalogue_holds_every_probe_with_its_quantities():
    entries = {entry.name: entry for entry in catalogue()}
    assert set(entries) == set(PROBES)
    assert all(entry.cost and entry.source and entry.quantities for entry in entries.values())
    written = [quantity.name for entry in entries.values() for quantity in entry.quantities]
    assert len(written) == len(set(written))


def test_the_format_lists_every_quantity_with_its_axes_and_unit():
    page = (Path(__file__).parents[2] / "docs/trace-format.md").read_text(encoding="utf-8")
    table = page.split("## Names of quantities")[1]
    listed = {
        name: (axes, unit.split(";")[0])
        for names, axes, unit in re.findall(r"^\| (.*`.*) \| (.*?) ?\| (.*?) ?\|$", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    for entry in catalogue():
        for quantity in entry.quantities:
            assert listed[quantity.name] == (", ".join(axis.name for axis in quantity.axes), quantity.unit)
