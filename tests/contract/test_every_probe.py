"""What must hold for every probe, for all of them in one recorder, and for the template in docs/templates."""

import importlib.util
import io
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset
from training_loops import Attends, Disturbable, Loop, perceptron

from slingshot_analysis import InputError, Recorder, open_trace, recording
from slingshot_analysis.recording import PROBES, Every, Subject
from slingshot_analysis.recording.probes._catalogue import catalogue
from slingshot_analysis.recording.subject.losses import cross_entropy

DOCS = Path(__file__).parents[2] / "docs"
FORMAT = DOCS / "trace-format.md"


def template():
    spec = importlib.util.spec_from_file_location("template_of_a_probe", DOCS / "templates" / "probe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MaxNorm


KINDS = PROBES | {"template": template()}
one_probe = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
probes_of_a_recorder = pytest.mark.parametrize(
    "kinds",
    [*([kind] for kind in KINDS.values()), pytest.param(list(KINDS.values()), marks=pytest.mark.slow)],
    ids=[*KINDS, "all"],
)


def model_for(kinds, model):
    """A function that makes a model which all of these probes fit; only one of them needs attention."""
    return (lambda: nn.Sequential(Attends(), model())) if PROBES["attention"] in kinds else model


@one_probe
def test_it_says_what_it_is(kind):
    assert re.fullmatch("[a-z][a-z0-9_]*", kind.name)
    assert kind.cost
    assert re.search(r"arXiv \S+|doi:10\.\S+", kind.source), (
        "source names no paper: give the arXiv id or DOI of the one that defines the quantity, or else uses it"
    )
    assert "References\n" in kind.__doc__, "the docstring has no section References"


@pytest.mark.parametrize("name", PROBES)
def test_it_can_be_imported_from_recording(name):
    kind = PROBES[name]
    assert kind.__module__.endswith(f".{name}"), f"the module of the probe {name!r} must be probes/{name}.py"
    line = f"from {kind.__module__} import {kind.__name__} as {kind.__name__}"
    assert getattr(recording, kind.__name__, None) is kind, f"slingshot_analysis/recording/__init__.py lacks: {line}"


def listed_quantities():
    table = FORMAT.read_text(encoding="utf-8").split("## Names of quantities")[1]
    return {
        name: (axes, unit.split(";")[0])
        for names, axes, unit in re.findall(r"^\| (.*`.*) \| (.*?) ?\| (.*?) ?\|$", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: entry.name)
def test_the_format_lists_what_it_writes(entry):
    listed = listed_quantities()
    for quantity in entry.quantities:
        axes = ", ".join(axis.name for axis in quantity.axes)
        row = " ".join(f"| `{quantity.name}` | {axes} | {quantity.unit} |".split())
        place = "the table under 'Names of quantities' in docs/trace-format.md"
        assert quantity.name in listed, f"{place} lacks the row: {row}"
        assert listed[quantity.name] == (axes, quantity.unit), f"{place} has another row than: {row}"


@one_probe
def test_it_attaches_to_a_run_without_data_or_says_what_to_give(kind):
    """A run of a recorder without data, feature layers and second moments."""
    model = Loop().model
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    parameters = dict(model.named_parameters())
    poor = Subject(model, parameters, "4", [], lambda logits, targets: logits.sum(), None, None, None, sgd)
    if kind.fits(poor):
        try:
            kind().attach(poor)
        except Exception as error:
            pytest.fail(
                f"attach fails with {error!r} in a run without data, feature layers and second moments: let fits() "
                "return False there, and attach raise an InputError that says what to give, or to leave the probe out"
            )
    else:
        with pytest.raises(InputError, match="leave"):
            kind().attach(poor)


def test_no_two_probes_write_the_same_quantity():
    written = [quantity.name for entry in catalogue() for quantity in entry.quantities]
    assert len(written) == len(set(written))


@one_probe
def test_it_writes_what_it_declares(kind, tmp_path):
    declared = []

    class Watched(kind):
        def attach(self, subject):
            buffers, quantities = super().attach(subject)
            declared.extend(quantities)
            return buffers, quantities

    record(tmp_path / "run.h5", [Watched], Loop(model_for([kind], perceptron)), 7, flight_recorder=False)
    trace = open_trace(tmp_path / "run.h5")
    assert sorted(trace.names) == sorted(quantity.name for quantity in declared)
    belongs_to_updates = kind.needs_batch or kind.spans_update
    for quantity in declared:
        signal = trace[quantity.name]
        assert signal.step.tolist() == [0, 2, 4, 6] + [7] * (not belongs_to_updates)
        assert signal.value.shape[1:] == quantity.shape
        assert signal.value.dtype == quantity.dtype
        assert np.isfinite(signal.value[-1]).any()
        assert quantity.description
        assert signal.unit == quantity.unit


class Augmented(TensorDataset):
    """A data set whose samples draw from every random state there is."""

    def __getitem__(self, index):
        noise = random.random() + np.random.rand() + torch.rand(()).item()
        inputs, targets = super().__getitem__(index)
        return inputs + 1e-3 * noise, targets


@pytest.mark.parametrize("loader", [False, True], ids=["tensors", "loader"])
@probes_of_a_recorder
def test_it_leaves_training_as_it_was(kinds, loader, tmp_path):
    def train(recorded):
        training = Loop(model_for(kinds, Disturbable))
        if loader:
            training.data = DataLoader(Augmented(*training.data), batch_size=16, shuffle=True)
        torch.manual_seed(1), random.seed(1), np.random.seed(1)
        if recorded:
            record(tmp_path / "run.h5", kinds, training, 12)
        else:
            training.run(12)
        model = training.model
        tensors = [*model.state_dict().values(), *(p.grad for p in model.parameters()), torch.rand(3)]
        modes = [module.training for module in model.modules()]
        return tensors, (modes, random.random(), np.random.rand())

    (tensors, others), (as_recorded, others_as_recorded) = train(False), train(True)
    assert all(map(torch.equal, tensors, as_recorded))
    assert others == others_as_recorded


@probes_of_a_recorder
def test_it_goes_on_from_its_state(kinds, tmp_path):
    """Its rows depend neither on the moments at which they leave the device nor on a restart."""
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    model = model_for(kinds, perceptron)
    record(whole, kinds, Loop(model, batch_sizes=(8, 5)), 18)
    training = Loop(model, batch_sizes=(8, 5))
    state = record(parts, kinds, training, 10, finished=False, flushed=(1, 4, 7))
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    record(parts, kinds, training, 8, resume=torch.load(file, weights_only=True), flushed=(3, 5))
    whole, parts = open_trace(whole).held(), open_trace(parts).held()
    assert whole.names == parts.names
    for name in whole.names:
        np.testing.assert_array_equal(whole[name].step, parts[name].step, err_msg=name)
        np.testing.assert_array_equal(whole[name].value, parts[name].value, err_msg=name)


def record(path, kinds, training, updates, finished=True, flushed=(), **options):
    """Record every second update and return the recorder's last state; rows leave the device at the steps `flushed`."""

    def watch(step, *_):
        if step in flushed:
            recorder.state_dict()

    probes = [kind(every=Every(2)) for kind in kinds]
    data = {"train_data": training.data, "val_data": training.data, "scaler": torch.amp.GradScaler("cpu")}
    recorder = Recorder(path, training.model, training.optimizer, probes=probes, **data, **options)
    training.run(updates, recorder, watch)
    state = recorder.state_dict()
    recorder.close(finished=finished)
    return state


# No GPU is needed to show that nothing in an update waits for the device: every operation that PyTorch dispatches is
# seen, and on the meta device, whose tensors hold no data, reading a value or copying it to the host is an error.
READS = ("aten._local_scalar_dense", "aten.nonzero", "aten.is_nonzero", "aten.equal", "aten.masked_select", "aten.item")


class Watch(TorchDispatchMode):
    """Count operations that read a value on the host, or copy from the device to it."""

    def __init__(self):
        super().__init__()
        self.operations, self.waits = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.operations += 1
        devices = {t.device.type for t in args if isinstance(t, torch.Tensor)}
        copies = isinstance(result, torch.Tensor) and result.device.type == "cpu" and devices - {"cpu"}
        if str(func).startswith(READS) or copies:
            self.waits.append(str(func))
        return result


class AdamOnDevice(torch.optim.Optimizer):
    """Adam without a first moment, with learning rate and state on the device as in fused and capturable ones."""

    def __init__(self, parameters, device):
        super().__init__(parameters, {"lr": torch.full((), 0.1, device=device), "betas": (0.0, 0.9), "eps": 1e-8})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state |= {"step": torch.zeros((), device=p.device), "exp_avg_sq": torch.zeros_like(p)}
                state["step"] += 1
                state["exp_avg_sq"].lerp_(p.grad.square(), 0.1)
                p -= group["lr"] * p.grad / (state["exp_avg_sq"] / (1 - 0.9 ** state["step"])).sqrt().add(1e-8)


@pytest.fixture
def watch_updates(tmp_path, monkeypatch):
    """A block leaves the device when it is full, not because a busy machine took two seconds over a few updates."""
    monkeypatch.setattr("slingshot_analysis.recording._rows.FLUSH_SECONDS", 1e9)

    def run(probes, device="cpu", updates=8, targets=None, loss_function=cross_entropy):
        torch.manual_seed(0)
        first = model_for([type(probe) for probe in probes], lambda: nn.Linear(6, 16))()
        model = nn.Sequential(first, nn.ReLU(), nn.Linear(16, 3)).to(device)
        optimizer = AdamOnDevice(model.parameters(), device)
        inputs = torch.randn(40, 6, device=device)
        indices = torch.arange(40, device=device)
        targets = torch.zeros(40, dtype=torch.long, device=device) if targets is None else targets
        data = {"train_data": (inputs, targets), "val_data": (inputs, targets)}
        layers = {"last_layer": "2", "feature_layers": ["1"], "loss_function": loss_function}
        layers["scaler"] = torch.amp.GradScaler("cpu")
        recorder = Recorder(tmp_path / "run.h5", model, optimizer, probes=probes, checks=False, **data, **layers)
        watch = Watch()
        for _ in range(updates):
            logits = model(inputs)
            loss = loss_function(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            with watch:
                recorder.update(loss, logits, targets, indices=indices)
            optimizer.step()
        return watch

    return run


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    "kinds",
    [[k] for k in KINDS.values() if not k.waits] + [[k for k in KINDS.values() if not k.waits]],
    ids=[name for name, kind in KINDS.items() if not kind.waits] + ["all"],
)
def test_it_never_waits_for_the_device(kinds, device, watch_updates):
    watch = watch_updates([kind(every=Every(2)) for kind in kinds], device)
    assert watch.operations > 0
    assert watch.waits == [], f"measure() or compare() waits for the device: avoid {watch.waits}, or set waits = True"


@pytest.mark.parametrize(
    ("targets", "loss_function"),
    [
        (torch.eye(3)[torch.zeros(40, dtype=torch.long)], nn.MSELoss()),
        (torch.ones(40, 3), nn.BCEWithLogitsLoss()),
        (torch.full((40, 3), 0.7), nn.MSELoss()),
        (torch.zeros(40, dtype=torch.long), nn.CrossEntropyLoss(weight=torch.ones(3))),
    ],
    ids=["one-hot", "binary", "numbers", "weights"],
)
def test_nor_with_other_targets_and_losses(targets, loss_function, watch_updates):
    probes = [PROBES[name](every=Every(2)) for name in ("batch", "evaluation", "norms")]
    assert watch_updates(probes, targets=targets, loss_function=loss_function).waits == []


def test_a_probe_that_waits_is_seen(watch_updates):
    class Waits(PROBES["norms"]):
        def measure(self, moment, slots):
            super().measure(moment, slots)
            moment.loss.item()

    assert watch_updates([Waits()], updates=3).waits == ["aten._local_scalar_dense.default"] * 3
