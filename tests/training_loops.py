"""A training loop as a user would write it, a model that is easy to disturb, and one with attention."""

import torch
from torch import nn


def perceptron(classes=3):
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, classes))


class Attends(nn.Module):
    """Attention of two heads over the three pairs of the six inputs, which it adds to them."""

    def __init__(self):
        super().__init__()
        self.projections = nn.Linear(2, 6)

    def forward(self, x):
        pairs = self.projections(x.unflatten(-1, (3, 2))).unflatten(-1, (3, 2, 1))
        attended = nn.functional.scaled_dot_product_attention(*pairs.movedim(2, 0).transpose(2, 3))
        return x + attended.transpose(1, 2).flatten(1)


class Loop:
    """A training loop as a user would write it, with what the tests need to look at."""

    def __init__(self, model=None, batch_sizes=(8,), seed=0, classes=3):
        generator = torch.Generator().manual_seed(seed)
        self.inputs = torch.randn(40, 6, generator=generator)
        self.targets = torch.randint(0, classes, (40,), generator=generator)
        torch.manual_seed(seed)
        self.model = model() if model else perceptron(classes)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01, weight_decay=0.1)
        self.batch_sizes = batch_sizes
        self.data = (self.inputs, self.targets)

    def run(self, updates, recorder=None, watch=lambda step, loop, logits, targets: None):
        for step in range(updates):
            size = self.batch_sizes[step % len(self.batch_sizes)]
            batch = torch.randint(0, 40, (size,))
            targets = self.targets[batch]
            logits = self.model(self.inputs[batch])
            loss = nn.functional.cross_entropy(logits, targets)
            self.optimizer.zero_grad()
            loss.backward()
            watch(step, self, logits.detach().clone(), targets)
            if recorder:
                recorder.update(loss, logits, targets, indices=batch)
            self.optimizer.step()
        return [p.detach().clone() for p in self.model.parameters()]


class Disturbable(nn.Module):
    """A model that draws random numbers and keeps running statistics."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(6, 16)
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.3)
        self.act = nn.ReLU()
        self.head = nn.Linear(16, 3)
        self.frozen = nn.Dropout(0.5).eval()

    def forward(self, x):
        x = self.drop(self.act(self.norm(self.hidden(x))))
        noise = nn.functional.dropout(torch.ones_like(x), 0.1, training=True)
        return self.head(self.frozen(x * noise))
