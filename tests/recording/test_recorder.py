"""The recorder as a user meets it; the values of the probes are checked in probes/test_values.py."""

import json
import warnings

import numpy as np
import pytest
import torch
from other_loops import PROBES, batches, by_update, mlp, train
from torch import nn

from slingshot_analysis import InputError, Recorder, open_trace
from slingshot_analysis.recording import Every, Norms
from slingshot_analysis.recording.probes._bundles import EARLIER_BUNDLES


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


def test_schedules_are_values(tmp_path, loop):
    training = loop()
    probes = [Norms(every=Every(50)), "batch"]
    with Recorder(tmp_path / "run.h5", training.model, training.optimizer, probes=probes) as recorder:
        training.run(120, recorder)
    trace = open_trace(tmp_path / "run.h5")
    assert trace["last_layer_norm"].step.tolist() == [0, 50, 100]
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
    assert "did you mean 'norms'" in error(tmp_path / "c", loop, probes=["norm"])
    assert "unknown last_layer '5'" in error(tmp_path / "d", loop, last_layer="5")
    assert "unknown feature layer 'x'" in error(
        tmp_path / "e", loop, feature_layers=["x"], probe_inputs=torch.zeros(2, 6)
    )
    assert "train_data= or val_data=" in error(tmp_path / "f", loop, probes=["evaluation"])
    assert "probes= is empty" in error(tmp_path / "g", loop, probes=[])
    assert "read many times" in error(tmp_path / "h", loop, train_data=iter([]))
    with pytest.raises(InputError, match="no trainable parameter"):
        Recorder(tmp_path / "i", nn.ReLU(), None)


def test_a_refused_recorder_leaves_an_existing_file_alone(tmp_path, loop):
    path = tmp_path / "run.h5"
    path.write_bytes(b"precious")
    assert "exists" in error(tmp_path, loop)
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("bundle", ["light", "standard", "full"])
@pytest.mark.parametrize("named", [[], ["effective_step:7", "hessian:9"]])
def test_a_run_of_an_earlier_version_goes_on_with_the_bundle_of_then(tmp_path, loop, bundle, named):
    training, path = loop(), tmp_path / "run.h5"
    earlier = [*EARLIER_BUNDLES[bundle], *named]
    options = {"train_data": training.data, "flight_recorder": bundle == "full"}
    begun = Recorder(path, training.model, training.optimizer, probes=earlier, curvature_budget=0.12, **options)
    training.run(20, begun)
    state = begun.state_dict()
    begun.close(finished=False)
    groups = open_trace(path).groups
    del state["groups"]  # checkpoints of then had none
    again = {"train_data": training.data, "probes": [bundle, *named], "resume": state}
    with Recorder(path, training.model, training.optimizer, **again) as recorder:
        training.run(20, recorder)
    trace = open_trace(path)
    assert trace.finished
    assert trace.groups == groups
    assert trace["last_layer_norm"].step.tolist() == list(range(0, 40, 10 if bundle == "light" else 1))


@pytest.mark.parametrize("share", [0.05, 0.125])
def test_a_resumed_run_keeps_its_share_of_time_for_curvature(tmp_path, loop, share):
    training, path = loop(), tmp_path / "run.h5"
    begun = Recorder(path, training.model, training.optimizer, train_data=training.data, curvature_budget=share)
    training.run(20, begun)
    state = begun.state_dict()
    begun.close(finished=False)
    with Recorder(path, training.model, training.optimizer, train_data=training.data, resume=state) as recorder:
        training.run(20, recorder)
    percent = f"{share * 100:g}".replace(".", "_")
    assert f"within_{percent}_percent_of_the_time" in open_trace(path).groups


def test_the_last_layer_that_was_chosen_is_printed_once(tmp_path, loop, capsys):
    training = loop()
    with Recorder(tmp_path / "run.h5", training.model, training.optimizer) as recorder:
        training.run(3, recorder)
        state = recorder.state_dict()
    assert capsys.readouterr().err == f"{recorder.path}: the last layer is '4'; last_layer= names another\n"
    for options in ({"resume": state}, {"last_layer": "2", "overwrite": True}, {"checks": False, "overwrite": True}):
        Recorder(tmp_path / "run.h5", training.model, training.optimizer, **options).close()
    assert capsys.readouterr().err == ""


def test_a_frozen_last_layer_is_said(tmp_path):
    model = mlp()
    model[2].requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad])
    with pytest.warns(UserWarning, match="'2' computes the model's outputs but is frozen"):
        recorder = Recorder(tmp_path / "a.h5", model, optimizer, probes=PROBES, probe_inputs=torch.zeros(2, 6))
    assert recorder.last_layer == "0"
    assert "last layer '0'" in repr(recorder)
    recorder.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Recorder(tmp_path / "b.h5", model, optimizer, probes=PROBES, last_layer="0").close()


def test_a_loop_that_stopped_early_goes_on_although_its_trace_is_finished(tmp_path):
    whole, _ = train(tmp_path / "whole.h5", batches(20), by_update)
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    made, path, state = iter(batches(20)), tmp_path / "run.h5", None
    for updates in (8, 12):
        with Recorder(path, model, optimizer, probes=PROBES, resume=state) as recorder:
            for inputs, targets in [next(made) for _ in range(updates)]:
                optimizer.zero_grad()
                logits = model(inputs)
                by_update(recorder, optimizer, nn.functional.cross_entropy(logits, targets), logits, targets)
            state = recorder.state_dict()
    trace = open_trace(path)
    assert trace.finished
    for name in whole.names:
        np.testing.assert_array_equal(trace[name].value, whole[name].value)
