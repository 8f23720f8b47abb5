"""Copies of consecutive states against the states themselves."""

import torch
from torch import nn

from slingshot_analysis.recording.probes._base import Subject
from slingshot_analysis.recording.probes._parameter_norms import norm_dtype
from slingshot_analysis.recording.subject.states import StatePairs


def test_pairs_hold_parameters_after_the_update_and_the_buffers_before_it():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2).double(), nn.BatchNorm2d(4))
    model[2].bias.requires_grad_(False)
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    pairs = StatePairs(Subject(model, trainable, "2", [], None, None, None, None))
    wanted = trainable | dict(model.named_buffers())
    kept = {name: [] for name in wanted}
    with torch.no_grad():
        for _ in range(3):
            for keep in (pairs.keep_before, pairs.keep_after):
                for tensor in wanted.values():
                    tensor.copy_(torch.randint(100, tensor.shape))
                keep()
                for name, states in kept.items():
                    states.append(wanted[name].clone())
    assert len(pairs) == 3
    assert set(pairs.states) == set(wanted)
    assert {len(states) for states in pairs.states.values()} == {2 * pairs.capacity}
    for name, states in pairs.states.items():
        after_as_before = [kept[name][i - i % 2] if name not in trainable else kept[name][i] for i in range(6)]
        assert torch.equal(states[:6], torch.stack(after_as_before))
    assert norm_dtype(list(trainable.values())) == torch.float32
    for row in range(3):
        found = sum(float((flat[row, 1].double() - flat[row, 0].double()).square().sum()) for flat in pairs.trainable)
        by_hand = sum(
            float((kept[name][2 * row + 1] - kept[name][2 * row]).double().square().sum()) for name in trainable
        )
        assert found == by_hand
    pairs.clear()
    assert len(pairs) == 0
