"""Clip coefficient, loss scale, and the samples of batches, against what a loop computes in float64."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from slingshot_analysis import InputError, Recorder, open_trace
from slingshot_analysis.online_rules import TransitionTrigger
from slingshot_analysis.recording import Samples


def gradient_norm(model):
    return float(torch.cat([p.grad.flatten().double() for p in model.parameters()]).norm())


def clipped_loop(training, recorder, scaler=None, parts=2, at_update=None, limit=0.3):
    """Train with accumulation and clipping; return the coefficients in float64, and the scales."""
    coefficients, scales = [], []
    for _ in range(6):
        training.optimizer.zero_grad()
        for rows in torch.arange(40).split(40 // parts):
            logits, targets = training.model(training.inputs[rows]), training.targets[rows]
            loss = nn.functional.cross_entropy(logits, targets)
            (loss / parts if scaler is None else scaler.scale(loss / parts)).backward()
            if at_update is None:
                recorder.batch(loss, logits, targets)
        if scaler is not None:
            scales.append(scaler.get_scale())
            scaler.unscale_(training.optimizer)
        before = gradient_norm(training.model)
        if at_update == "before":
            recorder.update(loss, logits, targets)
        nn.utils.clip_grad_norm_(training.model.parameters(), limit)
        coefficients.append(gradient_norm(training.model) / before)
        if at_update == "after":
            recorder.update(loss, logits, targets)
        if scaler is None:
            training.optimizer.step()
        else:
            scaler.step(training.optimizer)
            scaler.update()
    return coefficients, scales


@pytest.fixture
def record(tmp_path, loop):
    def run(probes=("clip_coefficient",), at_update=None, **options):
        training = loop()
        scaler, limit = options.pop("used", options.get("scaler")), options.pop("limit", 0.3)
        recorder = Recorder(tmp_path / "run.h5", training.model, training.optimizer, probes=list(probes), **options)
        with recorder if at_update else recorder.attach():
            measured = clipped_loop(
                training, recorder, scaler, parts=1 if at_update else 2, at_update=at_update, limit=limit
            )
        return open_trace(tmp_path / "run.h5").held(), *measured

    return run


@pytest.mark.parametrize("at_update", [None, "after"])
def test_the_clip_coefficient_of_accumulated_gradients(record, at_update):
    trace, coefficients, _ = record(at_update=at_update)
    assert 0 < min(coefficients) < 1
    np.testing.assert_allclose(trace["clip_coefficient"].value, coefficients, rtol=1e-6)


def test_clipping_after_update_is_told(record):
    with pytest.warns(UserWarning, match="leaves out the clipping after"):
        trace, _, _ = record(at_update="before")
    assert (trace["clip_coefficient"].value == 1).all()


def test_clip_coefficient_and_loss_scale_with_a_gradient_scaler(record):
    scaler = torch.amp.GradScaler("cpu", init_scale=4096.0, growth_interval=2)
    trace, coefficients, scales = record(["clip_coefficient", "loss_scale", "norms"], scaler=scaler)
    assert len(set(scales)) == 3
    np.testing.assert_array_equal(trace["loss_scale"].value, scales)
    np.testing.assert_allclose(trace["clip_coefficient"].value, coefficients, rtol=1e-6)
    assert trace["gradient_norm"].value.max() < 0.3001
    assert trace.attributes["gradients"] == "as the optimizer gets them"


def test_the_scaler_of_a_wrapped_optimizer_is_found(tmp_path, loop):
    training = loop()
    wrapped = SimpleNamespace(optimizer=training.optimizer, scaler=torch.amp.GradScaler("cpu", init_scale=8.0))
    with Recorder(tmp_path / "run.h5", training.model, wrapped, probes=["loss_scale"]) as recorder:
        training.run(2, recorder)
    assert open_trace(tmp_path / "run.h5")["loss_scale"].value.tolist() == [8, 8]


def test_a_scaler_that_was_not_given_is_an_error(record):
    with pytest.raises(InputError, match=r"65,536 times those of the step.*give the recorder scaler="):
        record(used=torch.amp.GradScaler("cpu"), limit=1e9)
    with pytest.warns(UserWarning, match="besides clipping, give the recorder scaler="):
        record(used=torch.amp.GradScaler("cpu"), overwrite=True)
    with pytest.raises(InputError, match="needs scaler="):
        record(["loss_scale"])


def test_the_stability_bundle_has_both_where_they_can_be_measured(record):
    trace, *_ = record(["stability"])
    assert "clip_coefficient" in trace
    assert "loss_scale" not in trace


def test_the_samples_of_each_batch(tmp_path, loop):
    training = loop()
    batches = torch.randint(40, (5, 7), generator=torch.Generator().manual_seed(3))
    with Recorder(
        tmp_path / "run.h5", training.model, training.optimizer, probes=[Samples(size=8)]
    ).attach() as recorder:
        for batch in batches:
            for rows in batch.split(4):
                logits, targets = training.model(training.inputs[rows]), training.targets[rows]
                loss = nn.functional.cross_entropy(logits, targets)
                recorder.batch(loss, logits, targets, indices=rows)
                loss.backward()
            training.optimizer.step()
    samples = open_trace(tmp_path / "run.h5")["sample_index"].value
    np.testing.assert_array_equal(samples[:, :7], batches)
    assert (samples[:, 7] == -1).all()


def test_more_samples_than_the_probe_is_for_and_none_are_errors(tmp_path, loop):
    training = loop(batch_sizes=(9,))
    recorder = Recorder(tmp_path / "run.h5", training.model, training.optimizer, probes=[Samples(size=8)])
    with pytest.raises(InputError, match=r"give Samples\(size=9\)"):
        training.run(1, recorder)
    training.model(training.inputs).sum().backward()
    with pytest.raises(InputError, match="needs indices="):
        Recorder(tmp_path / "b.h5", training.model, training.optimizer, probes=["samples"]).update()
    with pytest.raises(InputError, match="size of at least 1"):
        Samples(size=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_losses_of_samples_around_a_transition(tmp_path, loop, monkeypatch, smoothing):
    seen = iter(range(10**6))
    monkeypatch.setattr(TransitionTrigger, "update", lambda self, loss: next(seen) == 70)
    training, losses = loop(batch_sizes=(5, 8)), []
    loss_function = nn.CrossEntropyLoss(label_smoothing=smoothing)

    def watch(step, training, logits, targets):
        of_samples = nn.functional.cross_entropy(logits.double(), targets, label_smoothing=smoothing, reduction="none")
        losses.append(of_samples.numpy())

    options = {"probes": [Samples(size=8)], "loss_function": loss_function, "checks": False}
    with Recorder(tmp_path / "run.h5", training.model, training.optimizer, **options) as recorder:
        training.run(150, recorder, watch)
    trace = open_trace(tmp_path / "run.h5")
    found = trace["event_sample_loss"]
    assert found.step.tolist() == list(range(6, 134))
    for step, row in zip(found.step, found.value, strict=True):
        np.testing.assert_allclose(row[: len(losses[step])], losses[step], rtol=1e-5)
        assert np.isnan(row[len(losses[step]) :]).all()
    np.testing.assert_array_equal(trace["event_sample_index"].value, trace["sample_index"].value[6:134])
