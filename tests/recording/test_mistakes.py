"""Mistakes in the use of a recorder, which are errors or warnings that name them."""

import numpy as np
import pytest
from other_loops import batches, by_hook, by_update, train
from torch import nn

from slingshot_analysis import InputError


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
