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


def update_all(path, device, updates, probes=None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(40, 6, device=device)
    targets = torch.zeros(40, dtype=torch.long, device=device)
    recorder = Recorder(
        path,
        model,
        optimizer,
        train_data=(inputs, targets),
        val_data=(inputs, targets),
        last_layer="2",
        feature_layers=["1"],
        probes=probes or [probe(every=Every(2)) for probe in PROBES.values()],
    )
    watch = Watch()
    for _ in range(updates):
        logits = model(inputs)
        loss = nn.functional.cross_entropy(logits, targets)
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


def test_the_watch_sees_a_probe_that_waits(tmp_path):
    class Waits(PROBES["norms"]):
        def measure(self, moment, slots):
            super().measure(moment, slots)
            moment.loss.item()

    watch = update_all(tmp_path / "run.h5", "cpu", 3, probes=[Waits()])
    assert watch.reads == ["aten._local_scalar_dense.default"] * 3
