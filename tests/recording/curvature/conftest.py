import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call

from slingshot_analysis.recording.curvature import MeanLoss
from slingshot_analysis.recording.subject.losses import cross_entropy
from trainers.data.dataset import Dataset
from trainers.models.transformer import Transformer


def mlp():
    return nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 8), nn.GELU(), nn.Linear(8, 3))


def cnn():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 16, 3)
    )
    model[1].running_mean.normal_(std=0.3)
    model[1].running_var.uniform_(0.5, 2)
    return model


def transformer():
    tokens = torch.arange(7).repeat(4)[:28].view(7, 4)
    data = Dataset(tokens, torch.zeros(7, dtype=torch.long), tokens, torch.zeros(7, dtype=torch.long), 3)
    return Transformer(layers=2, width=4, heads=2).build(data)


INPUTS = {
    "mlp": lambda: torch.randn(30, 6),
    "cnn": lambda: torch.randn(30, 1, 6, 6),
    "transformer": lambda: torch.randint(0, 7, (30, 4)),
}
MODELS = {"mlp": mlp, "cnn": cnn, "transformer": transformer}


class Case:
    """A float32 model in training mode, data in unequal batches, and its Hessian in float64, entry by entry."""

    def __init__(self, name):
        torch.manual_seed(2)
        self.model = MODELS[name]()
        self.inputs = INPUTS[name]()
        self.targets = torch.randint(0, 3, (30,))
        self.batches = list(zip(self.inputs.split([17, 3, 10]), self.targets.split([17, 3, 10]), strict=True))
        self.mean_loss = MeanLoss(self.model, cross_entropy, self.batches, model_dtype=torch.float64)
        self.parameters = {name: p.detach() for name, p in self.model.named_parameters()}
        self.double = copy.deepcopy(self.model).double().eval()
        self.double_inputs = self.inputs.double() if self.inputs.is_floating_point() else self.inputs

    def loss_at(self, flat, outputs=None):
        """Return the loss by PyTorch's own cross-entropy of the whole set in one batch."""
        sizes = [p.numel() for p in self.parameters.values()]
        parts = zip(self.parameters.items(), flat.split(sizes), strict=True)
        state = {name: part.view(p.shape) for (name, p), part in parts}
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            logits = functional_call(self.double, state, (self.double_inputs,))
        return logits if outputs else nn.functional.cross_entropy(logits, self.targets)

    @property
    def point(self):
        return torch.cat([p.double().flatten() for p in self.parameters.values()])

    def dense(self):
        return torch.autograd.functional.hessian(self.loss_at, self.point)

    def dense_gauss_newton(self):
        jacobian = torch.autograd.functional.jacobian(lambda flat: self.loss_at(flat, outputs=True), self.point)
        logits = self.loss_at(self.point, outputs=True).detach()
        inner = torch.autograd.functional.hessian(lambda z: nn.functional.cross_entropy(z, self.targets), logits)
        return torch.einsum("acp,acbd,bdq->pq", jacobian, inner, jacobian)


@pytest.fixture(scope="session", params=list(MODELS))
def case(request):
    return Case(request.param)


@pytest.fixture(scope="session")
def small():
    return Case("mlp")


@pytest.fixture(scope="session")
def dense(case):
    return case.dense()
