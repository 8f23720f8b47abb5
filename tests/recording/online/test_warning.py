"""The early warning on made signals, and within a recorder."""

import numpy as np
import pytest
import torch
from torch import nn

from slingshot_analysis import InputError, Recorder
from slingshot_analysis.online_rules import EarlyWarning


def warned(collapse):
    rule, blocks = EarlyWarning(), np.array_split(np.arange(len(collapse)), 7)
    return [each.step for block in blocks for each in rule.update(block.tolist(), collapse[block].tolist())]


def test_it_warns_once_for_each_collapse():
    collapse = np.zeros(3000)
    collapse[500:1200], collapse[2000:2600] = 1.0, 1.0
    assert warned(collapse) == [550, 2050]
    assert warned(np.full(1000, 0.49)) == []
    assert warned(np.ones(1000)) == [99]


def test_flicker_above_half_of_the_threshold_is_one_warning():
    collapse = np.where(np.arange(3000) % 400 < 250, 1.0, 0.4)
    assert len(warned(collapse)) == 1


def train(path, updates, scale, **options):
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    inputs, targets = torch.eye(4)[:3] * scale, torch.arange(3)
    with torch.no_grad():
        model.weight.copy_(torch.eye(3, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with Recorder(path, model, optimizer, train_data=(inputs, targets), **options) as recorder:
        for _ in range(updates):
            logits = model(inputs)
            loss = nn.functional.cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            recorder.update(loss, logits, targets)
            optimizer.step()


def test_a_recorder_calls_out_warnings(tmp_path):
    seen = []
    train(tmp_path / "collapsed.h5", 150, 1000.0, on_warning=seen.append)
    assert [warning.step for warning in seen] == [99]
    assert 0 < seen[0].precision < 1
    assert seen[0].lead == tuple(sorted(seen[0].lead))
    train(tmp_path / "healthy.h5", 150, 1.0, on_warning=seen.append)
    assert len(seen) == 1


def test_it_needs_the_probe(tmp_path):
    with pytest.raises(InputError, match="'precision'"):
        train(tmp_path / "run.h5", 1, 1.0, probes=["norms"], on_warning=print)


def test_a_restart_changes_no_warning():
    collapse = np.where((np.arange(1200) // 300) % 2, 1.0, 0.2)
    for stop in (350, 385, 395, 700):
        first, second = EarlyWarning(), EarlyWarning()
        found = first.update(range(stop), collapse[:stop].tolist())
        second.load_state_dict(first.state_dict())
        found += second.update(range(stop, 1200), collapse[stop:].tolist())
        assert [each.step for each in found] == warned(collapse) == [337, 937]
