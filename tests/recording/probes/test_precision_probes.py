"""Precision of the loss, and margins, against autograd and NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from slingshot_analysis import InputError, Recorder, open_trace
from slingshot_analysis.recording import Every, LogitMargin, Precision

PROBES = ["batch", "precision", "logit_margin:1"]
pytestmark = pytest.mark.filterwarnings("ignore:.*no step of the optimizer was seen:UserWarning")  # none is made here

NAMES = ["softmax_collapse", "zero_loss_fraction", "zero_gradient_fraction", "zero_sum_violation"]


def batches(classes, sizes=(8, 8, 5), updates=40, dtype=torch.float32):
    """Make logits whose leads go from 0 to far beyond float32, with a few samples misclassified or ignored."""
    generator = torch.Generator().manual_seed(classes)
    for i in range(updates):
        n = sizes[i % len(sizes)]
        targets = torch.randint(classes, (n,), generator=generator)
        logits = 3 * torch.randn(n, classes, generator=generator)
        lead = 120 * torch.rand((n, 1), generator=generator) * i / updates
        logits = logits.scatter_add(1, targets[:, None], lead).to(dtype)
        targets[torch.rand(n, generator=generator) < 0.1] = -100
        yield logits, targets


def record(path, made, probes=PROBES, at=(), **options):
    model = nn.Linear(1, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with Recorder(path, model, optimizer, probes=probes, **options) as recorder:
        for i, (logits, targets) in enumerate(made):
            loss = nn.functional.cross_entropy(logits, targets)
            recorder.update(loss, logits, targets)
            if i in at:
                recorder.state_dict()
    return open_trace(path).held()


def from_autograd(logits, targets, dtype):
    cast = logits.to(dtype).requires_grad_()
    losses = nn.functional.cross_entropy(cast, targets, reduction="none")
    gradient = torch.autograd.grad(nn.functional.cross_entropy(cast, targets), cast)[0].numpy()
    counted = targets.numpy() >= 0
    z, y = cast.detach().numpy()[counted], targets.numpy()[counted]
    others = np.exp(np.sort(z - z.max(1, keepdims=True))[:, :-1].astype(np.float64)).sum(1)
    epsilon = np.finfo(z.dtype).eps
    g = gradient.astype(np.float64)
    with np.errstate(invalid="ignore"):
        violation = np.abs(g.sum(1)).sum() / np.abs(g).sum()
    return [
        (others <= epsilon / 2.001).mean(),  # lost beside 1 in whatever order they are added
        (others < (z.shape[1] - 1) * epsilon / 1.999).mean(),  # lost in some order
        (losses.detach().numpy()[counted] == 0).mean(),
        (gradient[counted][np.arange(len(y)), y] == 0).mean(),
        violation,
    ]


# 600 updates cross a block; the batches of 5 are measured at once, the others of a whole block together
@pytest.mark.parametrize(("classes", "updates"), [(2, 600), (7, 40), (97, 40)])
@pytest.mark.parametrize("loss_dtype", [None, torch.float64])
def test_precision_is_that_of_autograd(tmp_path, classes, updates, loss_dtype):
    made = list(batches(classes, updates=updates))
    trace = record(tmp_path / "run.h5", made, loss_dtype=loss_dtype)
    expected = np.array([from_autograd(*batch, loss_dtype or torch.float32) for batch in made])
    least, most, *others = expected.T
    assert np.all((least <= trace["softmax_collapse"].value) & (trace["softmax_collapse"].value <= most))
    for name, column in zip(NAMES[1:], others, strict=True):
        np.testing.assert_allclose(trace[name].value, column, rtol=1e-9, atol=1e-15, err_msg=name)
    assert least[0] == 0
    assert least[-1] > 0
    if loss_dtype is None:
        assert np.nanmax(trace["zero_sum_violation"].value) > 1e-3


def test_no_gradient_at_all_is_not_measurable(tmp_path):
    logits, targets = torch.tensor([[200.0, 0.0], [0.0, 300.0]]), torch.tensor([0, 1])
    trace = record(tmp_path / "run.h5", [(logits, targets)])
    assert [trace[name].value[0] for name in NAMES[:3]] == [1, 1, 1]
    assert np.isnan(trace["zero_sum_violation"].value[0])


def test_one_sided_gradients_violate_the_zero_sum(tmp_path):
    logits = torch.tensor([[30.0, 0.0], [0.0, 30.0]])  # exp(-30) is 1e-13: it is lost beside 1, but not on its own
    assert record(tmp_path / "a.h5", [(logits, torch.tensor([0, 1]))])["zero_sum_violation"].value[0] == 1
    wrong = record(tmp_path / "b.h5", [(logits, torch.tensor([1, 0]))])["zero_sum_violation"].value[0]
    assert wrong == pytest.approx(np.exp(-30) / 2, rel=1e-5)


def test_samples_with_many_positions(tmp_path):
    flat = list(batches(4, sizes=(12,)))
    shaped = [(logits.view(3, 4, 4).transpose(0, 1), targets.view(3, 4).T) for logits, targets in flat]
    a = record(tmp_path / "a.h5", flat, ["precision", "logit_margin:1"])

    model = nn.Linear(1, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with Recorder(tmp_path / "b.h5", model, optimizer, probes=["precision", "logit_margin:1"]) as recorder:
        for logits, targets in shaped:
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
            recorder.update(loss, logits, targets)
    b = open_trace(tmp_path / "b.h5")
    for name in (*NAMES, "logit_margin", "smallest_logit_margin"):
        np.testing.assert_allclose(a[name].value, b[name].value, rtol=1e-12)


def test_margins(tmp_path):
    made = list(batches(5, updates=600))
    trace = record(tmp_path / "run.h5", made)
    margins = []
    for logits, targets in made:
        counted = targets.numpy() >= 0
        z, y = logits.numpy().astype(np.float64)[counted], targets.numpy()[counted]
        others = z.copy()
        others[np.arange(len(y)), y] = -np.inf
        margins.append(z[np.arange(len(y)), y] - others.max(1))
    np.testing.assert_allclose(trace["logit_margin"].value, [m.mean() for m in margins], rtol=1e-12, atol=1e-12)
    assert trace["smallest_logit_margin"].value.tolist() == [m.min() for m in margins]


def test_a_batch_without_a_target_that_counts(tmp_path):
    trace = record(tmp_path / "run.h5", [(torch.ones(2, 3), torch.tensor([-100, -100]))])
    for name in (*NAMES, "logit_margin", "smallest_logit_margin"):
        assert np.isnan(trace[name].value[0])


@pytest.mark.parametrize("classes", [2, 97])
def test_values_do_not_depend_on_how_rows_are_grouped(tmp_path, classes):
    made = list(batches(classes, updates=300))
    at = set(np.random.default_rng(0).choice(300, 40, replace=False))
    a, b = record(tmp_path / "a.h5", made), record(tmp_path / "b.h5", made, at=at)
    for name in (*NAMES, "logit_margin", "smallest_logit_margin", "batch_loss", "batch_loss_float64", "batch_errors"):
        np.testing.assert_array_equal(a[name].value, b[name].value)


@pytest.mark.parametrize("stop", [5, 6, 7])  # the first batch after the restart is of either size
def test_a_resumed_recorder_goes_on_bit_for_bit(tmp_path, stop):
    made = list(batches(97, sizes=(8, 8, 5), updates=30))
    whole = record(tmp_path / "whole.h5", made)
    model = nn.Linear(1, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    path, options = tmp_path / "run.h5", {"probes": PROBES}
    recorder = Recorder(path, model, optimizer, **options)
    for logits, targets in made[:stop]:
        recorder.update(nn.functional.cross_entropy(logits, targets), logits, targets)
    state = recorder.state_dict()
    recorder.close(finished=False)
    with Recorder(path, model, optimizer, resume=state, **options) as recorder:
        for logits, targets in made[stop:]:
            recorder.update(nn.functional.cross_entropy(logits, targets), logits, targets)
    parts = open_trace(path)
    for name in (*NAMES, "logit_margin", "batch_loss_float64"):
        np.testing.assert_array_equal(whole[name].value, parts[name].value)


def test_probes_of_one_schedule_share_their_copies(tmp_path, monkeypatch):
    copies = []
    copy = torch._foreach_copy_
    monkeypatch.setattr(torch, "_foreach_copy_", lambda to, of: copies.append(len(to)) or copy(to, of))
    record(tmp_path / "run.h5", batches(2, sizes=(8,), updates=10))
    assert copies == [3] * 10


def test_another_loss_has_no_precision(tmp_path):
    def other(logits, targets):
        return logits.sum()

    with pytest.raises(InputError, match="'precision' is defined for cross-entropy"):
        record(tmp_path / "run.h5", [], [Precision()], loss_function=other)
    probes = [LogitMargin(Every(1)), "batch"]
    trace = record(tmp_path / "run.h5", batches(3), probes, loss_function=other, checks=False)
    assert len(trace["logit_margin"]) == len(trace["batch_loss_float64"]) == 40
