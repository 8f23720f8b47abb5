"""Loops of other people: steps by hooks, micro-batches, scalers, several optimizers, and mistakes that are named."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from slingshot_analysis import InputError, Recorder, open_trace

PROBES = ["batch", "norms"]


def mlp(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def batches(count, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(size, 6, generator=generator), torch.randint(3, (size,), generator=generator))
        for _ in range(count)
    ]


def norm_of(tensors):
    return float(torch.stack([t.detach().double().norm() for t in tensors]).norm())


def train(path, made, update, model=None, **options):
    """Train with a recorder that `update` calls; return the trace, the model and its weights before each step."""
    model = model or mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with Recorder(path, model, optimizer, **{"probes": PROBES} | options) as recorder:
        for inputs, targets in made:
            optimizer.zero_grad()
            logits = model(inputs)
            loss = nn.functional.cross_entropy(logits, targets)
            update(recorder, optimizer, loss, logits, targets)
    return open_trace(path), model


def by_update(recorder, optimizer, loss, logits, targets):
    loss.backward()
    recorder.update(loss, logits, targets)
    optimizer.step()


def by_hook(recorder, optimizer, loss, logits, targets):
    recorder.attach() if not recorder.step else None
    recorder.batch(loss, logits, targets)
    loss.backward()
    optimizer.step()


# steps by hooks


def test_attached_and_called_recorders_write_the_same(tmp_path):
    called, model = train(tmp_path / "a.h5", batches(12), by_update)
    attached, same = train(tmp_path / "b.h5", batches(12), by_hook)
    assert all(map(torch.equal, model.parameters(), same.parameters()))
    assert called.names == attached.names
    for name in called.names:
        np.testing.assert_array_equal(called[name].value, attached[name].value)
    assert called.attributes["gradients"] == attached.attributes["gradients"] == "as the optimizer gets them"


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_with_a_closure_is_recorded_after_its_backward_pass(tmp_path, fused):
    model, made = mlp(), batches(5)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=fused)
    norms = []
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=PROBES).attach() as recorder:
        for inputs, targets in made:

            def closure(inputs=inputs, targets=targets):
                optimizer.zero_grad()
                logits = model(inputs)
                loss = nn.functional.cross_entropy(logits, targets)
                recorder.batch(loss, logits, targets)
                loss.backward()
                norms.append(norm_of([p.grad for p in model.parameters()]))
                return loss

            assert isinstance(optimizer.step(closure), torch.Tensor)
    trace = open_trace(tmp_path / "run.h5")
    np.testing.assert_allclose(trace["gradient_norm"].value, norms, rtol=1e-6)


def test_a_closure_that_is_called_several_times_makes_one_step(tmp_path):
    model, (inputs, targets) = mlp(), batches(1)[0]
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=["norms"]).attach() as recorder:

        def closure():
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)
        assert recorder.step == 3


def test_the_row_of_accumulated_micro_batches_is_that_of_the_whole_batch(tmp_path):
    inputs, targets = batches(1, size=12)[0]
    whole, _ = train(tmp_path / "whole.h5", [(inputs, targets)], by_hook)
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with Recorder(tmp_path / "parts.h5", model, optimizer, probes=PROBES).attach() as recorder:
        for rows in (slice(0, 3), slice(3, 12)):
            logits = model(inputs[rows])
            loss = nn.functional.cross_entropy(logits, targets[rows])
            recorder.batch(loss, logits, targets[rows])
            (loss * len(targets[rows]) / 12).backward()
        optimizer.step()
        assert recorder.step == 1
    parts = open_trace(tmp_path / "parts.h5")
    for name in whole.names:
        np.testing.assert_allclose(parts[name].value, whole[name].value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("settings", [{"ignore_index": 0}, {"weight": torch.tensor([1.0, 5.0, 0.5])}])
def test_micro_batches_are_weighted_as_the_loss_weighs_their_targets(tmp_path, settings):
    loss_of, (inputs, targets) = nn.CrossEntropyLoss(**settings), batches(1, size=12)[0]
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=["batch"], loss_function=loss_of).attach() as recorder:
        whole = float(loss_of(model(inputs), targets).detach())
        for rows in (slice(0, 5), slice(5, 12)):
            logits = model(inputs[rows])
            loss = loss_of(logits, targets[rows])
            recorder.batch(loss, logits, targets[rows])
            loss.backward()
        optimizer.step()
    assert open_trace(tmp_path / "run.h5")["batch_loss"].value[0] == pytest.approx(whole, rel=1e-6)


def test_micro_batches_of_several_lengths_are_joined(tmp_path):
    model = nn.Linear(4, 5)
    optimizer = torch.optim.Adam(model.parameters())
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=["batch"]).attach() as recorder:
        wrong = 0
        for length in (3, 7):
            logits, targets = model(torch.randn(2, length, 4)), torch.randint(5, (2, length))
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
            recorder.batch(loss, logits, targets)
            wrong += int((logits.argmax(-1) != targets).sum())
            loss.backward()
        optimizer.step()
    assert open_trace(tmp_path / "run.h5")["batch_errors"].value.tolist() == [wrong]


class Wrapped:
    """An optimizer as frameworks wrap it."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def step(self):
        self.optimizer.step()


def test_a_wrapped_optimizer_is_followed(tmp_path):
    model = mlp()
    optimizer = Wrapped(Wrapped(torch.optim.Adam(model.parameters())))
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=PROBES).attach() as recorder:
        for inputs, targets in batches(3):
            loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
        assert recorder.step == 3


def test_hooks_go_with_the_recorder(tmp_path):
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    recorder = Recorder(tmp_path / "run.h5", model, optimizer, probes=PROBES).attach()
    recorder.close()
    model(torch.zeros(2, 6)).sum().backward()
    optimizer.step()
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


# gradient scalers


class Overflowing:
    """Makes the gradients of some updates infinite, as float16 does."""

    def __init__(self, at):
        self.at, self.made = at, 0

    def __call__(self, model):
        if self.made in self.at:
            next(model.parameters()).grad.fill_(torch.inf)
        self.made += 1


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("skipped", [{0, 1, 4}, {3}, {9}])
def test_a_step_that_a_scaler_skips_is_no_update(tmp_path, attached, fused, skipped):
    model, overflow = mlp(), Overflowing(skipped)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    taken, losses = [], []
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=[*PROBES, "update_norm:1"]) as recorder:
        if attached:
            recorder.attach()
        for i, (inputs, targets) in enumerate(batches(10)):
            optimizer.zero_grad()
            logits = model(inputs)
            loss = nn.functional.cross_entropy(logits, targets)
            scaler.scale(loss).backward()
            overflow(model)
            if attached:
                recorder.batch(loss, logits, targets)
            else:
                scaler.unscale_(optimizer)
                recorder.update(loss, logits, targets)
            before = copy.deepcopy(list(model.parameters()))
            scaler.step(optimizer)
            scaler.update()
            if i not in skipped:
                losses.append(float(loss.detach()))
                taken.append(norm_of([a - b for a, b in zip(model.parameters(), before, strict=True)]))
    trace = open_trace(tmp_path / "run.h5")
    assert len(trace["batch_loss"]) == len(taken)
    assert trace["gradient_norm"].value[: len(taken)].max() < 10
    np.testing.assert_allclose(trace["batch_loss"].value[: len(taken)], losses, rtol=1e-5)
    np.testing.assert_allclose(trace["update_norm"].value[: len(taken)], taken, rtol=1e-4)


@pytest.mark.parametrize("follows", [False, True])
def test_micro_batches_of_a_step_that_was_skipped_are_forgotten(tmp_path, follows):
    model, made = mlp(), batches(12)
    optimizer = torch.optim.Adam(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    expected = []
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=PROBES).attach() as recorder:
        for i in range(0, 12, 3):
            optimizer.zero_grad()
            losses = []
            for inputs, targets in made[i : i + 3]:
                logits = model(inputs)
                loss = nn.functional.cross_entropy(logits, targets)
                losses.append(float(loss.detach()))
                if follows:
                    scaler.scale(loss / 3).backward()
                recorder.batch(loss, logits, targets)
                if not follows:
                    scaler.scale(loss / 3).backward()
            if i == 3:
                next(model.parameters()).grad.fill_(torch.inf)
            else:
                expected.append(np.mean(losses))
            scaler.step(optimizer)
            scaler.update()
    np.testing.assert_allclose(open_trace(tmp_path / "run.h5")["batch_loss"].value, expected, rtol=1e-6)


@pytest.mark.parametrize("follows", [False, True])
def test_two_backward_passes_of_one_step_keep_its_batch(tmp_path, follows):
    def sharpness_aware(recorder, optimizer, loss, logits, targets):
        recorder.attach() if not recorder.step else None
        if not follows:
            recorder.batch(loss, logits, targets)
        loss.backward(retain_graph=True)
        if follows:
            recorder.batch(loss, logits, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    trace, _ = train(tmp_path / "run.h5", batches(4), sharpness_aware)
    np.testing.assert_allclose(trace["batch_loss"].value, trace["batch_loss_float64"].value, rtol=1e-5)


def test_gradients_that_are_still_scaled_are_an_error(tmp_path):
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=65536.0)
    inputs, targets = batches(1)[0]
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=PROBES) as recorder:
        logits = model(inputs)
        loss = nn.functional.cross_entropy(logits, targets)
        scaler.scale(loss).backward()
        recorder.update(loss, logits, targets)
        with pytest.raises(InputError, match="65,536 times those that the optimizer gets"):
            scaler.step(optimizer)


def test_the_trace_says_that_gradients_were_recorded_before_clipping(tmp_path):
    def update(recorder, optimizer, loss, logits, targets):
        loss.backward()
        recorder.update(loss, logits, targets)
        nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 0.01)
        optimizer.step()

    trace, _ = train(tmp_path / "run.h5", batches(3), update)
    assert trace.attributes["gradients"] == "before clipping"


# mistakes


def test_update_after_the_step_is_an_error(tmp_path):
    def update(recorder, optimizer, loss, logits, targets):
        loss.backward()
        optimizer.step()
        recorder.update(loss, logits, targets)

    with pytest.raises(InputError, match=r"1 more steps than update\(\) was called"):
        train(tmp_path / "run.h5", batches(3), update)


def test_update_of_an_attached_recorder_is_an_error(tmp_path):
    def update(recorder, optimizer, loss, logits, targets):
        recorder.attach()
        loss.backward()
        recorder.update(loss, logits, targets)

    with pytest.raises(InputError, match="give its batches to batch"):
        train(tmp_path / "run.h5", batches(1), update)


def test_steps_that_are_not_seen_are_said_once(tmp_path):
    def update(recorder, optimizer, loss, logits, targets):
        loss.backward()
        recorder.update(loss, logits, targets)

    with pytest.warns(UserWarning, match="no step of the optimizer was seen") as said:
        trace, _ = train(tmp_path / "run.h5", batches(4), update)
    assert len(said) == 1
    assert len(trace["batch_loss"]) == 4


def test_an_optimizer_that_was_made_anew_is_said(tmp_path):
    def update(recorder, optimizer, loss, logits, targets):
        loss.backward()
        recorder.update(loss, logits, targets)
        if recorder.step <= 2 and not others:
            optimizer.step()
            others.append(None) if recorder.step == 2 else None

    others = []
    with pytest.warns(UserWarning, match="no step of the optimizer was seen in 51 updates") as said:
        trace, _ = train(tmp_path / "run.h5", batches(70), update)
    assert len(said) == 1
    assert len(trace["batch_loss"]) == 2 + 70 - 2 - 50


def test_clipping_to_a_quarter_is_no_gradient_scaler(tmp_path):
    def update(recorder, optimizer, loss, logits, targets):
        loss.backward()
        recorder.update(loss, logits, targets)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad /= 4
        optimizer.step()

    trace, _ = train(tmp_path / "run.h5", batches(2), update)
    assert trace.attributes["gradients"] == "before clipping"


def test_a_loss_that_differs_later_is_a_warning_and_ends_no_run(tmp_path):
    def update(recorder, optimizer, loss, logits, targets):
        by_update(recorder, optimizer, loss + 0.1 * (recorder.step >= 3), logits, targets)

    with pytest.warns(UserWarning, match=r"step 4: the batch's loss is .* another loss than cross_entropy") as said:
        trace, _ = train(tmp_path / "run.h5", batches(20), update)
    assert len(said) == 1
    assert len(trace["batch_loss"]) == 20


MISTAKES = {
    "accumulation": (lambda loss, z, y: loss / 8, "divided by 8"),
    "a scaled loss": (lambda loss, z, y: loss * 4096, "multiplied by 4,096"),
    "a sum": (lambda loss, z, y: nn.functional.cross_entropy(z, y, reduction="sum"), "the sum over the samples"),
    "label smoothing": (lambda loss, z, y: nn.functional.cross_entropy(z, y, label_smoothing=0.1), "smoothing of 0.1"),
    "a further term": (lambda loss, z, y: loss + 0.37, "another loss than cross_entropy"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("update", [by_update, by_hook])
def test_a_loss_that_is_not_that_of_the_logits_is_an_error_that_names_the_cause(tmp_path, mistake, update):
    change, message = MISTAKES[mistake]

    def changed(recorder, optimizer, loss, logits, targets):
        update(recorder, optimizer, change(loss, logits, targets), logits, targets)

    with pytest.raises(InputError, match=message):
        train(tmp_path / "run.h5", batches(7, size=7), changed)
    trace, _ = train(tmp_path / "unchecked.h5", batches(2, size=7), changed, checks=False)
    assert len(trace["batch_loss"]) == 2


@pytest.mark.parametrize("ignored", [-1, -100])
def test_targets_that_are_ignored_have_a_loss(tmp_path, ignored):
    def update(recorder, optimizer, loss, logits, targets):
        targets = targets.clone()
        targets[0] = ignored
        loss = nn.functional.cross_entropy(logits, targets, ignore_index=ignored)
        by_hook(recorder, optimizer, loss, logits, targets)

    trace, _ = train(tmp_path / "run.h5", batches(3), update)
    np.testing.assert_allclose(trace["batch_loss"].value, trace["batch_loss_float64"].value, rtol=1e-5)


class LanguageModel(nn.Module):
    """A model as of Transformers: named inputs, and an output with loss and logits."""

    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(11, 8), nn.Linear(8, 11)

    def forward(self, input_ids, attention_mask=None, labels=None):
        logits = self.head(self.embedding(input_ids).cumsum(1))
        if labels is None:
            return {"logits": logits}
        loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return {"loss": loss, "logits": logits}


def tokens(count):
    generator = torch.Generator().manual_seed(1)
    made = [torch.randint(11, (4, 6), generator=generator) for _ in range(count)]
    return [{"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids} for ids in made]


def train_language_model(path, **options):
    torch.manual_seed(0)
    model = LanguageModel()
    optimizer = torch.optim.Adam(model.parameters())
    with Recorder(path, model, optimizer, **options).attach() as recorder:
        for batch in tokens(6):
            optimizer.zero_grad()
            output = model(**batch)
            recorder.batch(output["loss"], output, batch["labels"])
            output["loss"].backward()
            optimizer.step()
    return open_trace(path), model


def test_a_forgotten_label_shift_is_an_error(tmp_path):
    with pytest.raises(InputError, match="give shift_labels=True"):
        train_language_model(tmp_path / "run.h5", probes=PROBES)


def test_named_inputs_and_shifted_labels_are_recorded_with_everything(tmp_path):
    options = {"train_data": tokens(3), "val_data": tokens(2), "shift_labels": True}
    trace, model = train_language_model(
        tmp_path / "run.h5", probes=["standard", "evaluation:1", "hessian:2", "features:1"], **options
    )
    losses = []
    with torch.no_grad():
        for batch in tokens(3):
            losses.append(model(**batch)["loss"].double())
    np.testing.assert_allclose(trace["train_loss"].value[-1], torch.stack(losses).mean(), rtol=1e-5)
    assert np.isfinite(trace["hessian_top_eigenvalues"].value).all()
    assert trace["features"].value.shape[1] == 4
    assert trace.attributes["last_layer"] == "head"
    np.testing.assert_allclose(trace["batch_loss"].value, trace["batch_loss_float64"].value, rtol=1e-5)


def test_curvature_of_named_inputs_is_that_of_the_plain_model(tmp_path):
    class Plain(LanguageModel):
        def forward(self, inputs):
            return super().forward(inputs)["logits"][:, :-1]

    options = {"probes": ["hessian:1"]}
    trace, _ = train_language_model(tmp_path / "a.h5", train_data=tokens(3), shift_labels=True, **options)
    torch.manual_seed(0)
    plain = Plain()
    data = [(batch["input_ids"], batch["labels"][:, 1:]) for batch in tokens(3)]
    optimizer = torch.optim.Adam(plain.parameters())
    Recorder(tmp_path / "b.h5", plain, optimizer, train_data=data, **options).close(finished=False)
    with Recorder(tmp_path / "c.h5", plain, optimizer, train_data=data, **options) as recorder:
        recorder.update()
    alone = open_trace(tmp_path / "c.h5")["hessian_top_eigenvalues"].value[0]
    np.testing.assert_allclose(trace["hessian_top_eigenvalues"].value[0], alone, rtol=1e-3)


# losses alone


@pytest.mark.parametrize("kind", [float, torch.as_tensor])
def test_a_loss_alone_is_recorded_with_all_that_needs_no_logits(tmp_path, kind):
    losses = []

    def update(recorder, optimizer, loss, logits, targets):
        losses.append(float(loss.detach()))
        loss.backward()
        recorder.update(kind(loss.detach()))
        optimizer.step()

    trace, _ = train(tmp_path / "run.h5", batches(5), update, probes="standard", train_data=batches(1)[0])
    np.testing.assert_allclose(trace["batch_loss"].value, losses, rtol=1e-6)
    assert {"last_layer_norm", "gradient_norm", "train_loss"} <= set(trace.names)
    assert not {"batch_errors", "softmax_collapse"} & set(trace.names)


def test_steps_alone_are_recorded(tmp_path):
    def update(recorder, optimizer, loss, logits, targets):
        recorder.attach() if not recorder.step else None
        loss.backward()
        optimizer.step()

    trace, _ = train(tmp_path / "run.h5", batches(5), update)
    assert len(trace["gradient_norm"]) == 5
    assert np.isnan(trace["batch_loss"].value).all()


# several optimizers


class Halves(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(6, 8, bias=False), nn.Linear(8, 3)

    def forward(self, inputs):
        return self.head(self.body(inputs).relu())


def test_two_optimizers_that_step_together_make_one_step(tmp_path):
    torch.manual_seed(0)
    model = Halves()
    body, head = torch.optim.Muon(model.body.parameters()), torch.optim.AdamW(model.head.parameters())
    probes = [*PROBES, "update_norm:1", "effective_step:1"]
    with pytest.warns(
        UserWarning, match="leaves out 1 of 3 parameters, which are updated by Muon, which orthogonalises"
    ):
        recorder = Recorder(tmp_path / "run.h5", model, [body, head], probes=probes).attach()
    with recorder:
        for inputs, targets in batches(4):
            logits = model(inputs)
            loss = nn.functional.cross_entropy(logits, targets)
            recorder.batch(loss, logits, targets)
            loss.backward()
            for optimizer in (body, head):
                optimizer.step()
                optimizer.zero_grad()
        assert recorder.step == 4
    trace = open_trace(tmp_path / "run.h5")
    assert [each["class"] for each in trace.config["optimizers"]] == ["Muon", "AdamW"]
    assert np.isfinite(trace["effective_step"].value[1:]).any()


def test_the_steps_of_a_named_optimizer_count_where_two_alternate(tmp_path):
    torch.manual_seed(0)
    model = Halves()
    body, head = (torch.optim.Adam(part.parameters()) for part in (model.body, model.head))
    with Recorder(tmp_path / "run.h5", model, [body, head], probes=PROBES, step_of=head).attach() as recorder:
        for i, (inputs, targets) in enumerate(batches(9)):
            loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            (head if i % 3 == 2 else body).step()
        assert recorder.step == 3


def test_an_optimizer_that_starts_late_leaves_the_steps_of_the_other_as_they_are(tmp_path):
    torch.manual_seed(0)
    model = Halves()
    body, head = (torch.optim.Adam(part.parameters()) for part in (model.body, model.head))
    norms = []
    with Recorder(tmp_path / "run.h5", model, [body, head], probes=PROBES).attach() as recorder:
        for i, (inputs, targets) in enumerate(batches(6)):
            logits = model(inputs)
            loss = nn.functional.cross_entropy(logits, targets)
            recorder.batch(loss, logits, targets)
            loss.backward()
            norms.append(norm_of(model.parameters()))
            if i >= 2:
                body.step()
            head.step()
            for optimizer in (body, head):
                optimizer.zero_grad()
    trace = open_trace(tmp_path / "run.h5")
    np.testing.assert_allclose(np.linalg.norm(trace["parameter_norm"].value, axis=1), norms, rtol=1e-6)


def test_a_model_in_parts(tmp_path):
    parts = {"encoder": nn.Linear(6, 8), "decoder": nn.Linear(8, 3)}
    optimizer = torch.optim.Adam([*parts["encoder"].parameters(), *parts["decoder"].parameters()])
    with Recorder(tmp_path / "run.h5", parts, optimizer, probes=PROBES).attach() as recorder:
        logits = parts["decoder"](parts["encoder"](torch.zeros(2, 6)))
        loss = nn.functional.cross_entropy(logits, torch.zeros(2, dtype=torch.long))
        recorder.batch(loss, logits, torch.zeros(2, dtype=torch.long))
        loss.backward()
        optimizer.step()
    assert open_trace(tmp_path / "run.h5").attributes["last_layer"] == "decoder"


# the last layer


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


# stop and go on


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
