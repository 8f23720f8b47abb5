"""Nothing in an update waits for the device.

No GPU is needed to show it: every operation that PyTorch dispatches is seen, and on the meta device, whose tensors
hold no data, reading a value or copying it to the host is an error.
"""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from slingshot_analysis import Recorder
from slingshot_analysis.recording import PROBES, Every
from slingshot_analysis.recording.subject.losses import cross_entropy

READS = ("aten._local_scalar_dense", "aten.nonzero", "aten.is_nonzero", "aten.equal", "aten.masked_select", "aten.item")


class Watch(TorchDispatchMode):
    """Count operations that read a value on the host, or copy from the device to it."""

    def __init__(self):
        super().__init__()
        self.operations, self.reads, self.copies = 0, [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.operations += 1
        if str(func).startswith(READS):
            self.reads.append(str(func))
        devices = {t.device.type for t in args if isinstance(t, torch.Tensor)}
        if isinstance(result, torch.Tensor) and result.device.type == "cpu" and devices - {"cpu"}:
            self.copies.append(str(func))
        return result


class AdamOnDevice(torch.optim.Optimizer):
    """Adam without a first moment, with learning rate and state on the device as in fused and capturable ones."""

    def __init__(self, parameters, device):
        super().__init__(parameters, {"lr": torch.full((), 0.1, device=device), "betas": (0.0, 0.9), "eps": 1e-8})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state |= {"step": torch.zeros((), device=p.device), "exp_avg_sq": torch.zeros_like(p)}
                state["step"] += 1
                state["exp_avg_sq"].lerp_(p.grad.square(), 0.1)
                p -= group["lr"] * p.grad / (state["exp_avg_sq"] / (1 - 0.9 ** state["step"])).sqrt().add(1e-8)


@pytest.fixture(autouse=True)
def no_flush_in_between(monkeypatch):
    """A block leaves the device when it is full, not because a busy machine took two seconds over a few updates."""
    monkeypatch.setattr("slingshot_analysis.recording.recorder.FLUSH_SECONDS", 1e9)


def update_all(path, device, updates, probes=None, targets=None, loss_function=cross_entropy):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).to(device)
    optimizer = AdamOnDevice(model.parameters(), device)
    inputs = torch.randn(40, 6, device=device)
    targets = torch.zeros(40, dtype=torch.long, device=device) if targets is None else targets
    recorder = Recorder(
        path,
        model,
        optimizer,
        train_data=(inputs, targets),
        val_data=(inputs, targets),
        last_layer="2",
        feature_layers=["1"],
        loss_function=loss_function,
        probes=probes or [probe(every=Every(2)) for probe in PROBES.values() if not probe.waits],
    )
    watch = Watch()
    for _ in range(updates):
        logits = model(inputs)
        loss = loss_function(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        with watch:
            recorder.update(loss, logits, targets)
        optimizer.step()
    return watch


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_an_update_never_waits_for_the_device(tmp_path, device):
    watch = update_all(tmp_path / "run.h5", device, 40)
    assert watch.operations > 40 * 10
    assert watch.reads == []
    assert watch.copies == []


@pytest.mark.parametrize(
    ("targets", "loss_function"),
    [
        (torch.eye(3)[torch.zeros(40, dtype=torch.long)], nn.MSELoss()),
        (torch.ones(40, 3), nn.BCEWithLogitsLoss()),
        (torch.full((40, 3), 0.7), nn.MSELoss()),
        (torch.zeros(40, dtype=torch.long), nn.CrossEntropyLoss(weight=torch.ones(3))),
    ],
    ids=["one-hot", "binary", "numbers", "weights"],
)
def test_nor_with_other_targets_and_losses(tmp_path, targets, loss_function):
    probes = [PROBES[name](every=Every(2)) for name in ("batch", "evaluation", "norms")]
    watch = update_all(tmp_path / "run.h5", "cpu", 10, probes, targets, loss_function)
    assert watch.reads == []


def test_the_watch_sees_a_probe_that_waits(tmp_path):
    class Waits(PROBES["norms"]):
        def measure(self, moment, slots):
            super().measure(moment, slots)
            moment.loss.item()

    watch = update_all(tmp_path / "run.h5", "cpu", 3, probes=[Waits()])
    assert watch.reads == ["aten._local_scalar_dense.default"] * 3
