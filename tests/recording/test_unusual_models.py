"""Models that differ from the usual: what is recorded is right, and training is left alone."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from unusual_loops import SAMPLES, Embedded, data, mlp, record, top_eigenvalue

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import Every, Hessian, Preconditioned


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
