"""Which probes a recorder chooses."""

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


def test_bundles_hold_known_probes_and_all_those_of_smaller_bundles():
    light, standard, full, stability = ({entry.partition(":")[0] for entry in BUNDLES[name]} for name in BUNDLES)
    assert light < standard < full <= set(PROBES)
    assert light < stability <= set(PROBES)


def test_a_bundle_leaves_out_what_does_not_fit():
    assert "evaluation" not in names("standard", data=False)
    assert {"effective_step", "preconditioned"} <= set(names("full"))
    assert not {"effective_step", "preconditioned", "below_epsilon_fraction"} & set(
        names("full", optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    )
    of_moments = {"moments", "moment_lag", "gradient_spikes"}
    assert {*of_moments, "update_ratio", "activation_kurtosis"} <= set(names("stability"))
    assert not {*of_moments, "attention"} & set(names("stability", optimizer=lambda p: torch.optim.SGD(p, lr=0.1)))


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


def test_bundles_measure_the_change_of_features_half_as_often_in_large_networks(monkeypatch):
    assert schedules("standard")["feature_change"] == Every(10)
    monkeypatch.setattr("slingshot_analysis.recording.probes._bundles.LARGE", 11)
    assert schedules("standard")["feature_change"] == Every(20)
    assert schedules("standard")["update_norm"] == Every(10)
    assert schedules("standard,feature_change")["feature_change"] == Every(10)
    monkeypatch.setattr("slingshot_analysis.recording.probes._bundles.LARGE", 12)
    assert schedules("standard")["feature_change"] == Every(10)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("hesian", "did you mean 'hessian'"), ("standart", "'standard'"), ([], "empty"), ("hessian:x", "number of upd")],
)
def test_wrong_names(wanted, message):
    with pytest.raises(InputError, match=message):
        choose_probes(wanted, subject())


def test_the_catalogue_holds_every_probe_and_those_of_bundles_first():
    names = [entry.name for entry in catalogue()]
    assert set(names) == set(PROBES)
    assert names[:3] == ["batch", "norms", "evaluation"]
    are_in_bundles = [bool(entry.bundles) for entry in catalogue()]
    assert are_in_bundles == sorted(are_in_bundles, reverse=True)
