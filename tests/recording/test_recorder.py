"""The recorder as a user meets it; the values of the probes are checked in test_probes.py."""

import json
import random

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from slingshot_analysis import InputError, Recorder, open_trace
from slingshot_analysis.recording import PROBES, Every, Norms, Within


def weights_after(loop, model, updates, path, record, **options):
    training = loop(model)
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    if not record:
        return training.run(updates), training.model, torch.rand(3), random.random(), np.random.rand()
    options = {name: make(training) for name, make in options.items()}
    with Recorder(path, training.model, training.optimizer, **options) as recorder:
        weights = training.run(updates, recorder)
    return weights, training.model, torch.rand(3), random.random(), np.random.rand()


class Augmented(TensorDataset):
    """A data set whose samples draw from every random state there is."""

    def __getitem__(self, index):
        noise = random.random() + np.random.rand() + torch.rand(()).item()
        inputs, targets = super().__getitem__(index)
        return inputs + 1e-3 * noise, targets


DATA = {
    "tensors": {"train_data": lambda t: t.data, "val_data": lambda t: t.data},
    "loaders": {
        "train_data": lambda t: DataLoader(Augmented(*t.data), batch_size=16, shuffle=True),
        "val_data": lambda t: DataLoader(Augmented(*t.data), batch_size=16),
    },
}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kind", ["plain", "disturbable"])
def test_recording_never_changes_training(tmp_path, loop, disturbable, kind, data):
    model = disturbable if kind == "disturbable" else None
    bare = weights_after(loop, model, 200, tmp_path / "a.h5", record=False)
    probes = {"probes": lambda t: [probe(every=Every(3)) for probe in PROBES.values()]}
    recorded = weights_after(loop, model, 200, tmp_path / "b.h5", record=True, **DATA[data], **probes)
    for a, b in zip(bare[0], recorded[0], strict=True):
        assert torch.equal(a, b)
    for a, b in zip(bare[1].buffers(), recorded[1].buffers(), strict=True):
        assert torch.equal(a, b)
    assert [m.training for m in bare[1].modules()] == [m.training for m in recorded[1].modules()]
    assert torch.equal(bare[2], recorded[2])
    assert bare[3:] == recorded[3:]


def test_default_cadences(tmp_path, loop):
    training = loop()
    with Recorder(tmp_path / "run.h5", training.model, training.optimizer, train_data=training.data) as recorder:
        training.run(1203, recorder)
    trace = open_trace(tmp_path / "run.h5")
    assert trace["batch_loss"].step.tolist() == list(range(1203))
    assert trace["update_norm"].step.tolist() == list(range(0, 1203, 10))
    assert trace["cosine_distance_classifier"].step.tolist() == [*range(0, 1203, 100), 1203]
    assert trace["train_accuracy"].step.tolist() == [0, 500, 1000, 1203]
    assert trace.finished
    assert np.isfinite(trace.to_dataframe("every_1").to_numpy()).all()


def test_the_moment_of_a_flush_makes_no_difference(tmp_path, loop, monkeypatch):
    def frames(name):
        training = loop(batch_sizes=(8, 5))
        probes = [probe(every=Every(3)) for probe in PROBES.values()]
        data = {"train_data": training.data, "val_data": training.data}
        with Recorder(tmp_path / name, training.model, training.optimizer, probes=probes, **data) as recorder:
            training.run(100, recorder)
        return open_trace(tmp_path / name).to_dataframe()

    once = frames("once.h5")
    monkeypatch.setattr("slingshot_analysis.recording.recorder.FLUSH_SECONDS", -1.0)
    pd.testing.assert_frame_equal(frames("always.h5"), once, check_exact=True)


def test_schedules_are_values(tmp_path, loop):
    training = loop()
    probes = [Norms(every=Every(50) | Within(20, 24)), "batch"]
    with Recorder(tmp_path / "run.h5", training.model, training.optimizer, probes=probes) as recorder:
        training.run(120, recorder)
    trace = open_trace(tmp_path / "run.h5")
    assert trace["last_layer_norm"].step.tolist() == [0, 20, 21, 22, 23, 50, 100]
    assert len(trace["batch_loss"]) == 120
    assert len(trace.groups) == 2


def test_attributes_say_what_ran(tmp_path, loop):
    training = loop()
    config = {"note": "by hand", "layers": [16, 16]}
    path = tmp_path / "run.h5"
    with Recorder(path, training.model, training.optimizer, setup="mine", config=config, seed=7):
        pass
    trace = open_trace(path)
    attributes = trace.attributes
    assert (attributes["setup"], attributes["seed"], attributes["last_layer"]) == ("mine", 7, "4")
    assert (attributes["dtype"], attributes["loss_dtype"], attributes["device"]) == ("float32", "float32", "cpu")
    assert attributes["threads"] == torch.get_num_threads()
    assert attributes["cpu_kernels"] == torch.backends.cpu.get_cpu_capability()
    assert json.loads(attributes["libraries"])["torch"] == torch.__version__
    assert trace.config["note"] == "by hand"
    assert trace.config["optimizer"]["class"] == "AdamW"
    assert trace.config["optimizer"]["weight_decay"] == 0.1


@pytest.mark.parametrize("flush", [True, False])
def test_flush_denormal_is_detected(tmp_path, loop, flush):
    training = loop()
    try:
        torch.set_flush_denormal(flush)
        with Recorder(tmp_path / "run.h5", training.model, training.optimizer):
            pass
    finally:
        torch.set_flush_denormal(False)
    assert bool(open_trace(tmp_path / "run.h5").attributes["flush_denormal"]) is flush


def test_an_exception_keeps_the_rows_and_leaves_the_trace_unfinished(tmp_path, loop):
    training = loop()

    def fail(step, *_):
        if step == 37:
            raise RuntimeError("out of luck")

    with (
        pytest.raises(RuntimeError, match="out of luck"),
        Recorder(tmp_path / "run.h5", training.model, training.optimizer, train_data=training.data) as recorder,
    ):
        training.run(100, recorder, watch=fail)
    trace = open_trace(tmp_path / "run.h5")
    assert not trace.finished
    assert trace["batch_loss"].step.tolist() == list(range(37))
    assert trace["update_norm"].step.tolist() == [0, 10, 20, 30]


def test_latest_values_reach_the_host(tmp_path, loop):
    training = loop()
    with Recorder(tmp_path / "run.h5", training.model, training.optimizer, train_data=training.data) as recorder:
        training.run(600, recorder)
        assert set(recorder.latest) >= {"batch_loss", "last_layer_norm"}


def test_float64_models_are_recorded_in_float64(tmp_path, loop):
    training = loop()
    training.model.double()
    training.inputs = training.inputs.double()
    with Recorder(tmp_path / "run.h5", training.model, training.optimizer) as recorder:
        training.run(5, recorder)
    trace = open_trace(tmp_path / "run.h5")
    assert trace["parameter_norm"].value.dtype == np.float64
    assert trace.attributes["dtype"] == "float64"


def test_a_frozen_and_an_unused_parameter(tmp_path, loop):
    class Partial(nn.Module):
        def __init__(self):
            super().__init__()
            self.frozen = nn.Linear(6, 6).requires_grad_(False)
            self.unused = nn.Parameter(torch.ones(4))
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            return self.head(self.frozen(x))

    training = loop(Partial)
    with Recorder(tmp_path / "run.h5", training.model, training.optimizer) as recorder:
        training.run(5, recorder)
    norms = open_trace(tmp_path / "run.h5")["parameter_norm"]
    assert norms.axes[0].labels == ("unused", "head.weight", "head.bias")
    assert norms.value[0, 0] == 2.0


def error(tmp_path, loop, update=None, **options):
    training = loop()
    with (
        pytest.raises(InputError) as caught,
        Recorder(tmp_path / "run.h5", training.model, training.optimizer, **options) as recorder,
    ):
        (update or (lambda r, t: None))(recorder, training)
    return str(caught.value)


def test_errors_say_what_to_do(tmp_path, loop):
    loss = torch.tensor(1.0)
    assert "between loss.backward() and optimizer.step()" in error(
        tmp_path, loop, lambda r, t: r.update(loss, torch.zeros(2, 3), torch.zeros(2, dtype=torch.long))
    )
    assert "recorder.update(loss, logits, targets)" in error(tmp_path / "b", loop, lambda r, t: r.update(loss))
    assert "did you mean 'norms'" in error(tmp_path / "c", loop, probes=["norm"])
    assert "unknown last_layer '5'" in error(tmp_path / "d", loop, last_layer="5")
    assert "unknown feature layer 'x'" in error(
        tmp_path / "e", loop, feature_layers=["x"], probe_inputs=torch.zeros(2, 6)
    )
    assert "train_data= or val_data=" in error(tmp_path / "f", loop, probes=["evaluation"])
    assert "probes is empty" in error(tmp_path / "g", loop, probes=[])
    assert "read many times" in error(tmp_path / "h", loop, train_data=iter([]))
    with pytest.raises(InputError, match="no trainable parameter"):
        Recorder(tmp_path / "i", nn.ReLU(), None)


def test_a_refused_recorder_leaves_an_existing_file_alone(tmp_path, loop):
    path = tmp_path / "run.h5"
    path.write_bytes(b"precious")
    assert "exists" in error(tmp_path, loop)
    assert path.read_bytes() == b"precious"
