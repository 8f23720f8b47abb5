"""Precision, failures, restarts and data that differ from the usual."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from unusual_loops import Embedded, data, mlp, record, top_eigenvalue, train

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import Every, Hessian


def test_precision_is_that_of_the_loss_under_autocast(tmp_path):
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    inputs, targets = data()
    targets = (inputs[:, 0] > 0).long()
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=["batch", "precision"]) as recorder:
        for _ in range(150):
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(inputs)
                loss = functional.cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            recorder.update(loss, logits, targets)
            optimizer.step()
    assert logits.dtype == torch.bfloat16
    with torch.no_grad():
        in_float32 = (logits.float() - logits.float().amax(1, keepdim=True)).exp().sum(1) == 1
        in_bfloat16 = (logits - logits.amax(1, keepdim=True)).exp().sum(1) == 1
    assert float(in_bfloat16.float().mean()) > 0.3
    collapse = open_trace(tmp_path / "run.h5")["softmax_collapse"].value
    assert collapse[-1] == pytest.approx(float(in_float32.float().mean()), abs=0.05)


def test_bfloat16_parameters_with_callbacks(tmp_path):
    model = mlp().to(torch.bfloat16)
    inputs, targets = data()
    trace = record(
        tmp_path / "run.h5",
        model,
        torch.optim.Adam(model.parameters()),
        batch=(inputs.to(torch.bfloat16), targets),
        flight_recorder=True,
        on_event=lambda event: None,
    )
    assert np.isfinite(trace["batch_loss"].value).all()


# the course of a run


def test_what_was_measured_is_written_when_the_last_evaluation_fails(tmp_path):
    class Ending:
        passes = 0

        def __iter__(self):
            self.passes += 1
            if self.passes > 2:
                raise OSError("the disk is gone")
            return iter([data()])

    model = mlp()
    with pytest.raises(OSError, match="the disk is gone"):
        record(
            tmp_path / "run.h5",
            model,
            torch.optim.Adam(model.parameters()),
            updates=100,
            train_data=Ending(),
            probe_inputs=data()[0],
            probes=["batch", "evaluation"],
        )
    trace = open_trace(tmp_path / "run.h5")
    assert not trace.finished
    assert len(trace["batch_loss"]) == 100


def test_callbacks_may_be_added_when_a_run_goes_on(tmp_path):
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    recorder = Recorder(tmp_path / "run.h5", model, optimizer, train_data=data())
    train(recorder, model, optimizer, 5)
    state = recorder.state_dict()
    recorder.close(finished=False)
    callbacks = {"on_event": lambda event: None, "on_warning": lambda warning: None}
    with Recorder(tmp_path / "run.h5", model, optimizer, train_data=data(), resume=state, **callbacks) as recorder:
        train(recorder, model, optimizer, 5)
    assert len(open_trace(tmp_path / "run.h5")["batch_loss"]) == 10


def test_a_probe_may_be_used_for_one_run_after_another(tmp_path):
    probe, values = Hessian(Every(5)), []
    for name in ("a", "b"):
        model = mlp()
        trace = record(tmp_path / f"{name}.h5", model, torch.optim.Adam(model.parameters()), probes=[probe])
        values.append(trace["hessian_top_eigenvalues"].value)
    np.testing.assert_array_equal(*values)


def test_a_closed_recorder_takes_no_updates(tmp_path):
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    recorder = Recorder(tmp_path / "run.h5", model, optimizer)
    train(recorder, model, optimizer, 2)
    recorder.close()
    with pytest.raises(InputError, match="this recorder is closed"):
        train(recorder, model, optimizer, 1)


def test_batches_of_several_lengths_have_curvature(tmp_path):
    generator = torch.Generator().manual_seed(0)
    batches = [(t := torch.randint(0, 5, (4, n), generator=generator), t.flip(1)) for n in (3, 7, 7)]
    torch.manual_seed(0)
    model = Embedded(sparse=False)
    with Recorder(
        tmp_path / "run.h5", model, torch.optim.Adam(model.parameters()), train_data=batches, probes=[Hessian()]
    ) as recorder:
        recorder.update()
    trace = open_trace(tmp_path / "run.h5")
    flat = tuple(torch.cat([part[i].flatten() for part in batches]) for i in (0, 1))
    assert trace["hessian_top_eigenvalues"].value[-1, 0] == pytest.approx(top_eigenvalue(model, flat), rel=1e-3)


def test_batches_that_are_no_pairs(tmp_path):
    model = mlp()
    with pytest.raises(InputError, match="yield mappings of x, without targets"):
        Recorder(
            tmp_path / "run.h5", model, torch.optim.Adam(model.parameters()), train_data=[{"x": torch.zeros(2, 6)}]
        )


def test_a_loader_that_shares_its_generator_with_that_of_training(tmp_path):
    dataset = torch.utils.data.TensorDataset(*data())

    def weights(recorded):
        generator = torch.Generator().manual_seed(3)
        shuffled = torch.utils.data.DataLoader(dataset, 8, shuffle=True, generator=generator)
        whole = torch.utils.data.DataLoader(dataset, 8, generator=generator)
        model = mlp()
        optimizer = torch.optim.Adam(model.parameters())
        recorder = (
            Recorder(tmp_path / "run.h5", model, optimizer, train_data=whole, probes=["batch", "evaluation:2"])
            if recorded
            else None
        )
        for batch in itertools.chain(shuffled, shuffled):
            train(recorder, model, optimizer, 1, batch)
        if recorder is not None:
            recorder.close()
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(weights(recorded=True), weights(recorded=False))


def test_noise_of_numpy_in_the_forward_pass(tmp_path):
    class Noisy(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs + float(np.random.normal()))

    def weights(recorded):
        torch.manual_seed(0)
        np.random.seed(0)
        model = Noisy(6, 3)
        optimizer = torch.optim.Adam(model.parameters())
        if recorded:
            record(tmp_path / "run.h5", model, optimizer, probes=["batch", "hessian:3", "feature_change:2"])
        else:
            train(None, model, optimizer, 10)
        return model.weight.detach().clone()

    assert torch.equal(weights(recorded=True), weights(recorded=False))


def test_feature_change_with_batch_norm_does_not_depend_on_checkpoints(tmp_path):
    values = []
    for name in ("without", "with"):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        optimizer = torch.optim.Adam(model.parameters())
        with Recorder(
            tmp_path / f"{name}.h5", model, optimizer, train_data=data(), probes=["feature_change:1"]
        ) as recorder:
            after = {"with": lambda step, recorder=recorder: recorder.state_dict()}.get(name, lambda step: None)
            train(recorder, model, optimizer, 10, after=after)
        values.append(open_trace(tmp_path / f"{name}.h5")["feature_change"].value)
    np.testing.assert_array_equal(*values)
