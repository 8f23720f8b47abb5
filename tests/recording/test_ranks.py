"""A recorder on another rank than 0, without other processes; tests/integrations/test_parallel.py has real ones."""

import pytest
import torch
from other_loops import batches, by_hook, by_update, mlp
from torch import distributed, nn

from slingshot_analysis import InputError, Recorder


@pytest.fixture(autouse=True)
def on_rank_one(monkeypatch):
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_rank", lambda: 1)


@pytest.mark.parametrize("update", [by_update, by_hook])
def test_it_counts_and_writes_nothing(tmp_path, update):
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    resume = {"step": 5, "tables": "those of rank 0"}
    mirror, events = object(), []
    options = {"resume": resume, "mirrors": [mirror], "on_event": events.append, "probes": "stability"}
    with Recorder(tmp_path / "run.h5", model, optimizer, **options) as recorder:
        if update is by_hook:
            recorder.attach()
        for inputs, targets in batches(4):
            optimizer.zero_grad()
            logits = model(inputs)
            loss = nn.functional.cross_entropy(logits, targets)
            if update is by_hook:
                recorder.batch(loss, logits, targets)
                loss.backward()
                optimizer.step()
            else:
                by_update(recorder, optimizer, loss, logits, targets)
        assert not recorder.is_recording
        assert recorder.step == 9
        assert recorder.latest == {}
        assert recorder.state_dict() == {"step": 9}
        assert "recorded by rank 0" in repr(recorder)
    assert not any(tmp_path.iterdir())


def test_it_finds_mistakes_as_rank_0_does(tmp_path):
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    inputs, targets = batches(1)[0]
    recorder = Recorder(tmp_path / "run.h5", model, optimizer).attach()
    with pytest.raises(InputError, match="divided by 4"):
        recorder.batch(nn.functional.cross_entropy(model(inputs), targets) / 4, model(inputs), targets)
