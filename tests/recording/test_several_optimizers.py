"""Several optimizers and models in parts."""

import numpy as np
import pytest
import torch
from other_loops import PROBES, batches, norm_of
from torch import nn

from slingshot_analysis import Recorder, open_trace


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
