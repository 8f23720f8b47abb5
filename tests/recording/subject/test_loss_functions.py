"""Losses and targets of anybody's loop: class weights, one-hot, binary, regression."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.subject.targets import Kind, Targets, understand_targets
from slingshot_analysis.trace import Trace

SAMPLES, UPDATES = 48, 6
WEIGHTS = torch.tensor([1.0, 2.0, 5.0])


def inputs() -> Tensor:
    return torch.randn(SAMPLES, 5, generator=torch.Generator().manual_seed(1))


def classes(count: int) -> Tensor:
    return torch.randint(0, count, (SAMPLES,), generator=torch.Generator().manual_seed(2))


def numbers(width: int) -> Tensor:
    return torch.randn(SAMPLES, width, generator=torch.Generator().manual_seed(3))


def record(
    path: Path,
    loss_function: Callable[[Tensor, Tensor], Tensor],
    targets: Tensor,
    outputs: int,
    probes: str | list[str],
    with_data: bool = True,
) -> tuple[Trace, nn.Module]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, outputs))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    data = (inputs(), targets) if with_data else None
    with Recorder(path, model, optimizer, train_data=data, loss_function=loss_function, probes=probes) as recorder:
        for _ in range(UPDATES):
            made = model(inputs())
            loss = loss_function(made, targets)
            optimizer.zero_grad()
            loss.backward()
            recorder.update(loss, made, targets)
            optimizer.step()
    return open_trace(path).held(), model


def top_eigenvalue(model: nn.Module, loss_function: Callable[[Tensor, Tensor], Tensor], targets: Tensor) -> float:
    """Return the largest eigenvalue of the dense Hessian, all in float64."""
    model = model.double()
    names = [name for name, _ in model.named_parameters()]
    shapes = [parameter.shape for parameter in model.parameters()]
    sizes = [shape.numel() for shape in shapes]

    def loss(point: Tensor) -> Tensor:
        parts = [part.view(shape) for part, shape in zip(point.split(sizes), shapes, strict=True)]
        return loss_function(
            torch.func.functional_call(model, dict(zip(names, parts, strict=True)), (inputs().double(),)), targets
        )

    point = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return float(torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, point))[-1])


def double(targets: Tensor) -> Tensor:
    return targets.double() if targets.is_floating_point() else targets


@pytest.mark.parametrize(
    ("loss_function", "precise", "targets", "outputs"),
    [
        (nn.CrossEntropyLoss(weight=WEIGHTS), nn.CrossEntropyLoss(weight=WEIGHTS.double()), classes(3), 3),
        (nn.CrossEntropyLoss(label_smoothing=0.1), nn.CrossEntropyLoss(label_smoothing=0.1), classes(3), 3),
        (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(), classes(3), 3),
        (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(), functional.one_hot(classes(3)).float(), 3),
        (nn.MSELoss(), nn.MSELoss(), numbers(2), 2),
        (functional.mse_loss, functional.mse_loss, functional.one_hot(classes(3)).float(), 3),
        (
            nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0])),
            nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0]).double()),
            classes(2).float().unsqueeze(1),
            1,
        ),
    ],
    ids=["weights", "smoothing", "cross-entropy", "one-hot", "regression", "mse of one-hot", "binary"],
)
def test_losses_and_curvature_are_those_of_the_loss_in_float64(
    tmp_path: Path,
    loss_function: Callable[[Tensor, Tensor], Tensor],
    precise: Callable[[Tensor, Tensor], Tensor],
    targets: Tensor,
    outputs: int,
) -> None:
    probes = ["batch", f"evaluation:{UPDATES}", f"hessian:{UPDATES}"]
    trace, model = record(tmp_path / "run.h5", loss_function, targets, outputs, probes)
    with torch.no_grad():
        expected = float(precise(model(inputs()).double(), double(targets)))
    assert trace["train_loss"].value[-1] == pytest.approx(expected, rel=1e-12)
    assert trace["hessian_top_eigenvalues"].value[-1] == pytest.approx(
        top_eigenvalue(model, precise, double(targets)), rel=1e-3
    )
    np.testing.assert_allclose(trace["batch_loss"].value, trace["batch_loss_float64"].value, rtol=1e-6)


def test_pytorchs_own_cross_entropy_is_recorded_as_the_default(tmp_path: Path) -> None:
    targets = classes(3)
    default, _ = record(tmp_path / "default.h5", functional.cross_entropy, targets, 3, "standard")
    module, _ = record(tmp_path / "module.h5", nn.CrossEntropyLoss(), targets, 3, "standard")
    assert "softmax_collapse" in module
    assert list(module) == list(default)
    for name in default:
        np.testing.assert_array_equal(module[name].value, default[name].value)


@pytest.mark.parametrize(
    ("targets", "outputs", "loss_function", "wrong"),
    [
        (functional.one_hot(classes(3)).float(), 3, nn.MSELoss(), lambda z: z.argmax(1) != classes(3)),
        (classes(2).float().unsqueeze(1), 1, nn.BCEWithLogitsLoss(), lambda z: (z[:, 0] > 0) != classes(2)),
        (classes(2).float().unsqueeze(1), 1, nn.MSELoss(), lambda z: (z[:, 0] > 0.5) != classes(2)),
        (
            classes(2),
            1,
            lambda z, y: functional.binary_cross_entropy_with_logits(z[:, 0], y.to(z.dtype)),
            lambda z: (z[:, 0] > 0) != classes(2),
        ),
    ],
    ids=["one-hot", "logit", "nearest number", "integers"],
)
def test_errors_are_counted_by_what_the_targets_are(
    tmp_path: Path,
    targets: Tensor,
    outputs: int,
    loss_function: Callable[[Tensor, Tensor], Tensor],
    wrong: Callable[[Tensor], Tensor],
) -> None:
    trace, model = record(tmp_path / "run.h5", loss_function, targets, outputs, ["batch", "evaluation"])
    with torch.no_grad():
        expected = int(wrong(model(inputs())).sum())
    assert 0 < expected < SAMPLES
    assert trace["train_errors"].value[-1] == expected
    assert trace["train_accuracy"].value[-1] == pytest.approx(1 - expected / SAMPLES)
    assert trace["batch_errors"].value[0] == trace["train_errors"].value[0]


def test_regression_has_losses_and_no_errors(tmp_path: Path) -> None:
    trace, _ = record(tmp_path / "run.h5", nn.MSELoss(), numbers(1), 1, "standard")
    assert {"batch_loss", "train_loss", "feature_change"} <= set(trace)
    assert not {"batch_errors", "train_errors", "train_accuracy", "softmax_collapse"} & set(trace)


def test_margins_of_targets_that_are_no_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'logit_margin' needs .* a number to regress on"):
        record(tmp_path / "run.h5", nn.MSELoss(), numbers(1), 1, ["logit_margin"])


def test_numbers_as_targets_need_data_that_show_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not classes: give train_data="):
        record(tmp_path / "run.h5", nn.MSELoss(), numbers(1), 1, ["batch"], with_data=False)


def test_a_function_that_keeps_float32_weights_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="loss_function= fails with float64 logits"):
        record(
            tmp_path / "run.h5", lambda z, y: functional.cross_entropy(z, y, weight=WEIGHTS), classes(3), 3, "standard"
        )


@pytest.mark.parametrize(
    ("outputs", "targets", "expected"),
    [
        (torch.zeros(4, 3), torch.tensor([0, 1, 2, -100]), Targets()),
        (torch.zeros(2, 5, 3), torch.zeros(2, 5, dtype=torch.long), Targets()),
        (torch.zeros(2, 3), torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]), Targets(Kind.PROBABILITIES)),
        (torch.zeros(2, 3), torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]), Targets(Kind.BINARY, 0.5)),
        (torch.zeros(2), torch.tensor([1, 0]), Targets(Kind.BINARY, 0.5)),
        (torch.zeros(2, 1), torch.tensor([[1.0], [-1.0]]), Targets(Kind.NUMBER)),
        (torch.zeros(2, 1), torch.tensor([[1.0], [torch.nan]]), Targets(Kind.NUMBER)),
    ],
)
def test_what_targets_are(outputs: Tensor, targets: Tensor, expected: Targets) -> None:
    def squared(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().mean()

    assert understand_targets(outputs, targets, squared) == expected


@pytest.mark.parametrize("form", ["tensors", "loader"])
def test_class_weights_count_in_the_mean_over_batches(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches sorted by class: each weighs as much as its classes do."""
    monkeypatch.setattr("slingshot_analysis.recording.probes.evaluation.KEPT_BYTES", 0)  # none is joined with the next
    targets = classes(3).repeat(40).sort().values
    samples = torch.randn(len(targets), 5, generator=torch.Generator().manual_seed(5))
    model = nn.Linear(5, 3)
    loss_function = nn.CrossEntropyLoss(weight=WEIGHTS)
    data = (samples, targets) if form == "tensors" else list(zip(samples.split(100), targets.split(100), strict=True))
    optimizer = torch.optim.Adam(model.parameters())
    probes = ["evaluation", "hessian"]
    with Recorder(
        tmp_path / "run.h5", model, optimizer, train_data=data, loss_function=loss_function, probes=probes
    ) as recorder:
        recorder.update()
    trace = open_trace(tmp_path / "run.h5")
    precise = nn.CrossEntropyLoss(weight=WEIGHTS.double())
    double_model = nn.Linear(5, 3).double()
    double_model.load_state_dict({name: part.double() for name, part in model.state_dict().items()})
    with torch.no_grad():
        assert trace["train_loss"].value[-1] == pytest.approx(
            float(precise(double_model(samples.double()), targets)), rel=1e-6
        )

    def loss(point: Tensor) -> Tensor:
        state = {"weight": point[:15].view(3, 5), "bias": point[15:]}
        return precise(torch.func.functional_call(double_model, state, (samples.double(),)), targets)

    point = torch.cat([p.detach().flatten() for p in double_model.parameters()])
    expected = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, point))[-1]
    assert trace["hessian_top_eigenvalues"].value[-1, 0] == pytest.approx(float(expected), rel=1e-3)


def test_a_class_that_the_loss_ignores_is_no_error(tmp_path: Path) -> None:
    targets = classes(3)
    trace, model = record(tmp_path / "run.h5", nn.CrossEntropyLoss(ignore_index=0), targets, 3, ["batch", "evaluation"])
    with torch.no_grad():
        made = model(inputs())
    wrong = int(((made.argmax(1) != targets) & (targets != 0)).sum())
    assert trace["train_errors"].value[-1] == wrong
    assert trace["train_accuracy"].value[-1] == pytest.approx(1 - wrong / int((targets != 0).sum()))
    with torch.no_grad():
        expected = functional.cross_entropy(made.double(), targets, ignore_index=0)
    assert trace["train_loss"].value[-1] == pytest.approx(float(expected), rel=1e-9)


def test_numbers_that_begin_with_zeros_are_numbers(tmp_path: Path) -> None:
    targets = functional.relu(torch.linspace(-1, 1, 1200)).unsqueeze(1)
    model = nn.Linear(1, 1)
    optimizer = torch.optim.Adam(model.parameters())
    data = torch.linspace(-1, 1, 1200).unsqueeze(1), targets
    recorder = Recorder(
        tmp_path / "run.h5", model, optimizer, train_data=data, loss_function=nn.MSELoss(), probes=["evaluation"]
    )
    recorder.update()
    recorder.close()
    assert set(open_trace(tmp_path / "run.h5")) == {"train_loss"}


def test_soft_targets_without_data_are_told_what_is_missing(tmp_path: Path) -> None:
    targets = functional.one_hot(classes(3)).float()
    with pytest.raises(InputError, match="give the recorder train_data="):
        record(tmp_path / "run.h5", functional.cross_entropy, targets, 3, ["batch"], with_data=False)


def test_data_without_a_batch(tmp_path: Path) -> None:
    model = nn.Linear(5, 3)
    with pytest.raises(InputError, match="holds no batch"):
        Recorder(tmp_path / "run.h5", model, torch.optim.Adam(model.parameters()), val_data=[])
