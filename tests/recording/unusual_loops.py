"""A small network, its data, a loop that records it, and the largest eigenvalue of its Hessian."""

import torch
from torch import nn
from torch.nn import functional

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.recording.curvature import HessianOperator, MeanLoss, Solver
from slingshot_analysis.recording.subject.losses import cross_entropy

SAMPLES = 24


def data(features=6, classes=3):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(SAMPLES, features, generator=generator)
    return inputs, torch.randint(0, classes, (SAMPLES,), generator=generator)


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def train(recorder, model, optimizer, updates, batch=None, after=lambda step: None):
    inputs, targets = batch or data()
    for step in range(updates):
        logits = model(inputs)
        loss = functional.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        if recorder is not None:
            recorder.update(loss, logits, targets)
        optimizer.step()
        after(step)


def record(path, model, optimizer, updates=10, batch=None, after=lambda step: None, **options):
    options = {"train_data": batch or data(), "probes": "standard"} | options
    with Recorder(path, model, optimizer, **options) as recorder:
        train(recorder, model, optimizer, updates, batch, after)
    return open_trace(path).held()


def top_eigenvalue(model, batch=None):
    hessian = HessianOperator(MeanLoss(model, cross_entropy, [batch or data()]))
    return float(Solver(tolerance=1e-4).solve(hessian).values)


class Embedded(nn.Module):
    def __init__(self, sparse):
        super().__init__()
        self.embedding, self.head = nn.Embedding(5, 8, sparse=sparse), nn.Linear(8, 5)

    def forward(self, tokens):
        return self.head(self.embedding(tokens))
