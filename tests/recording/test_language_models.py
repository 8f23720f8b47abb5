"""Labels that are inputs, inputs by name, outputs with logits; and losses without logits."""

import numpy as np
import pytest
import torch
from other_loops import PROBES, batches, train
from torch import nn

from slingshot_analysis import InputError, Recorder, open_trace


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
    return open_trace(path).held(), model


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
