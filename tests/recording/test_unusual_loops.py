"""Models, optimizers and loops that differ from the usual: what is recorded is right, and training is left alone."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.errors import InputError
from slingshot_analysis.online_rules import TransitionTrigger
from slingshot_analysis.recording import Every, Hessian, Preconditioned
from slingshot_analysis.recording.curvature import HessianOperator, MeanLoss, Solver
from slingshot_analysis.recording.subject.losses import cross_entropy

SAMPLES = 24


def data(features=6, classes=3):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(SAMPLES, features, generator=generator)
    return inputs, torch.randint(0, classes, (SAMPLES,), generator=generator)


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def train(recorder, model, optimizer, updates, batch=None, after=lambda step: None):
    inputs, targets = batch or data()
    for step in range(updates):
        logits = model(inputs)
        loss = functional.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        if recorder is not None:
            recorder.update(loss, logits, targets)
        optimizer.step()
        after(step)


def record(path, model, optimizer, updates=10, batch=None, after=lambda step: None, **options):
    options = {"train_data": batch or data(), "probes": "standard"} | options
    with Recorder(path, model, optimizer, **options) as recorder:
        train(recorder, model, optimizer, updates, batch, after)
    return open_trace(path)


def top_eigenvalue(model, batch=None):
    hessian = HessianOperator(MeanLoss(model, cross_entropy, [batch or data()]))
    return float(Solver(tolerance=1e-4).solve(hessian).values)


# models


def test_parameters_that_are_not_contiguous(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(16, 3)).to(memory_format=torch.channels_last)
    model[2].weight = nn.Parameter(torch.randn(16, 3).t())
    batch = torch.randn(SAMPLES, 2, 4, 4), data()[1]
    norms = []
    trace = record(
        tmp_path / "run.h5",
        model,
        torch.optim.Adam(model.parameters(), lr=0.1),
        batch=batch,
        probes=["norms"],
        after=lambda step: norms.append([float(p.detach().norm()) for p in model.parameters()]),
    )
    np.testing.assert_allclose(trace["parameter_norm"].value[1:], norms[:-1], rtol=1e-6)


class TiedHead(nn.Module):
    def __init__(self, bias):
        super().__init__()
        self.embedding = nn.Embedding(5, 8)
        self.head = nn.Linear(8, 5, bias=bias)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        return self.head(functional.relu(self.embedding(tokens)))


@pytest.mark.filterwarnings("ignore:the last layer, .* shares its weight:UserWarning")
@pytest.mark.parametrize("bias", [False, True])
def test_a_head_that_shares_its_weight(tmp_path, bias):
    torch.manual_seed(0)
    model = TiedHead(bias)
    tokens = torch.randint(0, 5, (SAMPLES,))
    weight = float(model.head.weight.detach().norm())
    trace = record(
        tmp_path / "run.h5", model, torch.optim.Adam(model.parameters()), batch=(tokens, tokens.flip(0)), probes="full"
    )
    assert trace["last_layer_norm"].value[0] == pytest.approx(weight, rel=1e-6)


class Bare(nn.Module):
    """A network of bare parameters, as models for mechanistic interpretability are often written."""

    def __init__(self):
        super().__init__()
        self.W_in = nn.Parameter(torch.randn(6, 8) / 3)
        self.W_out = nn.Parameter(torch.randn(8, 3) / 3)
        self.unused = nn.Parameter(torch.zeros(3))

    def forward(self, inputs):
        return functional.relu(inputs @ self.W_in) @ self.W_out


def test_a_model_of_bare_parameters(tmp_path):
    torch.manual_seed(0)
    model = Bare()
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(InputError, match=r"last_layer=, one of \['W_in', 'W_out'\]"):
        record(tmp_path / "run.h5", model, optimizer)
    norm = float(model.W_out.detach().norm())
    trace = record(tmp_path / "run.h5", model, optimizer, last_layer="W_out", probes="full")
    assert trace["last_layer_norm"].value[0] == pytest.approx(norm, rel=1e-6)
    assert "classifier_mean_share" in trace
    assert "feature_mean_share" not in trace


def test_a_parameter_without_gradient_leaves_the_preconditioned_eigenvalue_of_the_others(tmp_path):
    torch.manual_seed(0)
    model = Bare()
    trace = record(
        tmp_path / "run.h5",
        model,
        torch.optim.Adam(model.parameters()),
        last_layer="W_out",
        probes=[Preconditioned(Every(1))],
    )
    assert np.isfinite(trace["preconditioned_ratio"].value[1:]).all()


class Embedded(nn.Module):
    def __init__(self, sparse):
        super().__init__()
        self.embedding, self.head = nn.Embedding(5, 8, sparse=sparse), nn.Linear(8, 5)

    def forward(self, tokens):
        return self.head(self.embedding(tokens))


def test_sparse_gradients(tmp_path):
    tokens = torch.randint(0, 5, (SAMPLES,), generator=torch.Generator().manual_seed(0))
    values = {}
    for sparse in (False, True):
        torch.manual_seed(0)
        model = Embedded(sparse)
        trace = record(
            tmp_path / f"{sparse}.h5",
            model,
            torch.optim.SGD(model.parameters(), lr=0.1),
            batch=(tokens, tokens.flip(0)),
            probes=["norms", "gradient_weight_cosine:1", Hessian(Every(5))],
        )
        values[sparse] = [
            trace[name].value for name in ("gradient_norm", "gradient_weight_cosine", "hessian_top_eigenvalues")
        ]
    for of_dense, of_sparse in zip(values[False], values[True], strict=True):
        np.testing.assert_allclose(of_sparse, of_dense, rtol=1e-4)


class Keeps(nn.Module):
    """Keeps what its forward pass has made, and replaces a buffer and a frozen weight as it goes."""

    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.frozen = nn.Parameter(torch.ones(8), requires_grad=False)
        self.register_buffer("scale", torch.ones(8))

    def forward(self, inputs):
        self.kept = torch.tanh(self.hidden(inputs))
        if self.training:
            self.scale = 0.9 * self.scale
        return self.head(self.kept * self.scale * self.frozen)


def test_curvature_follows_buffers_and_frozen_weights_of_a_model_that_keeps_its_activations(tmp_path):
    torch.manual_seed(0)
    model = Keeps()

    def shrink(step):
        model.frozen.data.mul_(0.95)

    trace = record(
        tmp_path / "run.h5",
        model,
        torch.optim.Adam(model.parameters()),
        after=shrink,
        probes=[Hessian(Every(5)), "gauss_newton:5", "update_sharpness:5"],
    )
    last = trace["hessian_top_eigenvalues"].value[:, 0]
    assert last[-1] == pytest.approx(top_eigenvalue(model), rel=1e-3)
    assert last[-1] < 0.7 * last[0]


def test_a_compiled_part_has_curvature(tmp_path):
    model = mlp()
    expected = top_eigenvalue(model)
    model[0] = torch.compile(model[0], backend="aot_eager")
    trace = record(
        tmp_path / "run.h5", model, torch.optim.Adam(model.parameters()), updates=1, probes=["batch", Hessian()]
    )
    assert trace["hessian_top_eigenvalues"].value[0, 0] == pytest.approx(expected, rel=1e-3)


def test_empty_and_complex_parameters(tmp_path):
    model = mlp()
    model[2].nothing = nn.Parameter(torch.zeros(0))
    trace = record(tmp_path / "run.h5", model, torch.optim.Adam(model.parameters()), probes="full")
    assert "2.nothing" not in trace["parameter_norm"].axes[0].labels
    model[2].phase = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    with pytest.raises(InputError, match=r"\['2.phase'\] are complex"):
        record(tmp_path / "b.h5", model, torch.optim.SGD(model.parameters()))


def test_a_model_that_returns_no_tensor(tmp_path):
    class Pair(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs), None

    model = Pair(6, 3)
    options = {"train_data": data(), "loss_function": nn.CrossEntropyLoss(), "probes": ["norms"]}
    Recorder(tmp_path / "norms.h5", model, torch.optim.Adam(model.parameters()), **options).close()
    recorder = Recorder(
        tmp_path / "run.h5", model, torch.optim.Adam(model.parameters()), train_data=data(), probes=["evaluation"]
    )
    recorder.update()
    recorder.close()
    assert np.isfinite(open_trace(tmp_path / "run.h5")["train_loss"].value).all()
    with pytest.raises(InputError, match="in which no logits are found"):
        Recorder(
            tmp_path / "b.h5",
            model,
            torch.optim.Adam(model.parameters()),
            train_data=data(),
            output=lambda pair: pair[1],
        )


# optimizers


def fire_at(monkeypatch, update):
    """Have the online detector see a transition at an update."""
    seen = itertools.count()
    monkeypatch.setattr(TransitionTrigger, "update", lambda self, loss: next(seen) == update)


def test_the_flight_recorder_agrees_with_the_probes_while_the_rate_changes(tmp_path, monkeypatch):
    for kind, options in (("RMSprop", {"centered": True}), ("Adam", {})):
        model = mlp()
        optimizer = getattr(torch.optim, kind)(model.parameters(), lr=0.01, **options)
        rate = torch.optim.lr_scheduler.StepLR(optimizer, 30, 0.1)
        path = tmp_path / f"{kind}.h5"
        with Recorder(
            path,
            model,
            optimizer,
            train_data=data(),
            probes=[Preconditioned(Every(1))],
            flight_recorder=True,
        ) as recorder:
            fire_at(monkeypatch, 40)
            train(recorder, model, optimizer, 41, after=lambda step, rate=rate: rate.step())
        trace = open_trace(path)
        for name in ("preconditioned_top_eigenvalue", "preconditioned_ratio"):
            event, probe = trace[f"event_{name}"], trace[name]
            assert len(event) >= 39
            rows = np.searchsorted(probe.step, event.step)
            np.testing.assert_allclose(event.value, probe.value[rows], rtol=2e-3)
        assert trace["event_effective_step"].value[-1, -1] < 0.2 * trace["event_effective_step"].value[25, -1]


def test_a_parameter_whose_gradients_begin_late(tmp_path, monkeypatch):
    fire_at(monkeypatch, 130)
    torch.manual_seed(0)
    model = mlp()
    model.late = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.Adam(model.parameters())
    inputs, targets = data()
    with Recorder(
        tmp_path / "run.h5", model, optimizer, train_data=data(), probes=["batch"], flight_recorder=True
    ) as recorder:
        for step in range(140):
            logits = model(inputs) + (model.late if step >= 40 else 0)
            loss = functional.cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            recorder.update(loss, logits, targets)
            optimizer.step()
    effective = open_trace(tmp_path / "run.h5")["event_effective_step"].value
    assert len(effective) > 60
    assert np.isfinite(effective).all()


def test_optimizers_of_another_kind(tmp_path):
    model = mlp()
    radam = torch.optim.RAdam(model.parameters())
    assert "effective_step" not in record(tmp_path / "radam.h5", model, radam, probes="full")
    nadam = torch.optim.NAdam(model.parameters())
    trace = record(tmp_path / "nadam.h5", model, nadam, probes="full")
    assert "effective_step" in trace
    assert "preconditioned_ratio" not in trace
    with pytest.raises(InputError, match="no stability threshold for NAdam"):
        record(tmp_path / "run.h5", model, nadam, probes=["preconditioned"])


def test_a_learning_rate_of_zero(tmp_path):
    model = mlp()
    optimizer = torch.optim.Adam(
        [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters(), "lr": 0.01}]
    )
    to_zero = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 10)
    trace = record(
        tmp_path / "run.h5",
        model,
        optimizer,
        probes=["effective_step:1", Preconditioned(Every(1))],
        after=lambda step: to_zero.step(),
    )
    ratios = trace["preconditioned_ratio"].value
    assert (ratios[1:-1] > 0).all()
    assert ratios[-1] == 0


def test_an_adam_that_counts_its_updates_in_its_groups(tmp_path):
    class Counted(torch.optim.Adam):
        def step(self, closure=None):
            super().step(closure)
            for group in self.param_groups:
                group["step"] = int(next(iter(self.state.values()))["step"])

    class Without(dict):
        def __contains__(self, key):
            return key != "step" and super().__contains__(key)

        def get(self, key, default=None):
            return default if key == "step" else super().get(key, default)

    values = {}
    for kind in (torch.optim.Adam, Counted):
        model = mlp()
        optimizer = kind(model.parameters())

        def hide(step, optimizer=optimizer):
            if isinstance(optimizer, Counted):
                for parameter, state in optimizer.state.items():
                    optimizer.state[parameter] = Without(state)

        trace = record(
            tmp_path / f"{kind.__name__}.h5",
            model,
            optimizer,
            probes=["effective_step:1", Preconditioned(Every(1))],
            after=hide,
        )
        values[kind] = [trace[name].value for name in ("effective_step", "preconditioned_ratio")]
    for plain, counted in zip(values[torch.optim.Adam], values[Counted], strict=True):
        np.testing.assert_array_equal(counted, plain)


# precision


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


# data


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
