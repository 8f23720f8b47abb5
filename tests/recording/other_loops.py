"""A small network, its batches, and the two ways to record its loop."""

import torch
from torch import nn

from slingshot_analysis import Recorder, open_trace

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
    return open_trace(path).held(), model


def by_update(recorder, optimizer, loss, logits, targets):
    loss.backward()
    recorder.update(loss, logits, targets)
    optimizer.step()


def by_hook(recorder, optimizer, loss, logits, targets):
    recorder.attach() if not recorder.step else None
    recorder.batch(loss, logits, targets)
    loss.backward()
    optimizer.step()
