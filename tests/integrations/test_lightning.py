"""A small network in the Trainer of Lightning, and in loops of Fabric and Accelerate."""

import numpy as np
import pytest
import torch
from torch import nn

from slingshot_analysis import Recorder, open_trace

lightning = pytest.importorskip("lightning", reason="Lightning is not installed")

from slingshot_analysis.integrations.lightning import SlingshotCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of the framework, about itself

PROBES = ["batch", "norms"]


def data(samples=48):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(samples, 6, generator=generator)
    return inputs, torch.randint(3, (samples,), generator=generator)


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = mlp()
        self.losses = []

    def forward(self, inputs):
        return self.net(inputs)

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        loss = nn.functional.cross_entropy(self(inputs), targets)
        self.losses.append(float(loss.detach()))
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.01)


def train(folder, callbacks=(), checkpoint=None, **arguments):
    module = Module()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), batch_size=8)
    options = {
        "accelerator": "cpu",
        "max_steps": 6,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "default_root_dir": str(folder),
    }
    trainer = lightning.Trainer(callbacks=list(callbacks), **options | arguments)
    trainer.fit(module, loader, ckpt_path=checkpoint)
    return trainer, module


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("inner", [False, True])
def test_each_step_has_the_loss_of_its_batches(tmp_path, parts, inner):
    _, bare = train(tmp_path, accumulate_grad_batches=parts, max_steps=3)
    which = {"model": lambda module: module.net} if inner else {}
    callback = SlingshotCallback(tmp_path / "run.h5", probes="standard", train_data=data(), **which)
    _, module = train(tmp_path, [callback], accumulate_grad_batches=parts, max_steps=3, gradient_clip_val=1e9)
    assert all(map(torch.equal, module.parameters(), bare.parameters()))
    trace = open_trace(tmp_path / "run.h5")
    assert trace["batch_loss"].step.tolist() == [0, 1, 2]
    expected = np.array(module.losses).reshape(3, parts).mean(1)
    np.testing.assert_allclose(trace["batch_loss"].value, expected, rtol=1e-6)
    np.testing.assert_allclose(trace["batch_loss_float64"].value, expected, rtol=1e-5)
    assert trace.attributes["last_layer"] == ("2" if inner else "net.2")


def test_with_a_gradient_scaler_losses_and_gradients_are_unscaled(tmp_path):
    from lightning.pytorch.plugins import MixedPrecision

    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    probes = [*PROBES, "loss_scale", "clip_coefficient"]
    callback = SlingshotCallback(tmp_path / "run.h5", probes=probes, train_data=data())
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    _, module = train(tmp_path, [callback], plugins=[plugin], gradient_clip_val=0.1, accumulate_grad_batches=2)
    trace = open_trace(tmp_path / "run.h5")
    expected = np.array(module.losses).reshape(-1, 2).mean(1)
    np.testing.assert_allclose(trace["batch_loss"].value, expected, rtol=1e-3)
    assert (trace["loss_scale"].value == 1024).all()
    assert trace["gradient_norm"].value == pytest.approx(0.1, rel=1e-3)
    assert (trace["clip_coefficient"].value > 0.01).all()
    assert (trace["clip_coefficient"].value < 1).all()


def test_a_resumed_training_goes_on_with_its_trace(tmp_path):
    _, begun = train(tmp_path, [SlingshotCallback(tmp_path / "run.h5", probes=PROBES), Saving(tmp_path / "a.ckpt")])
    again = SlingshotCallback(tmp_path / "run.h5", probes=PROBES)
    _, module = train(tmp_path, [again], str(tmp_path / "a.ckpt"), max_steps=12)
    trace = open_trace(tmp_path / "run.h5")
    assert trace["batch_loss"].step.tolist() == list(range(12))
    np.testing.assert_allclose(trace["batch_loss"].value, begun.losses + module.losses, rtol=1e-6)


class Saving(lightning.Callback):
    """Saves a checkpoint after the first epoch, of six steps."""

    def __init__(self, path):
        self.path = path

    def on_train_epoch_end(self, trainer, *_):
        trainer.save_checkpoint(self.path)


def loop(prepare, backward, path):
    """Train with and without a recorder; the weights must be the same."""
    weights = []
    for records in (False, True):
        model = mlp()
        model, optimizer = prepare(model, torch.optim.Adam(model.parameters()))
        recorder = Recorder(path, model, optimizer, probes=PROBES).attach() if records else None
        inputs, targets = data()
        for rows in torch.arange(48).split(8):
            optimizer.zero_grad()
            logits = model(inputs[rows])
            loss = nn.functional.cross_entropy(logits, targets[rows])
            if recorder:
                recorder.batch(loss, logits, targets[rows])
            backward(loss)
            optimizer.step()
        if recorder:
            recorder.close()
        weights.append([parameter.detach().clone() for parameter in model.parameters()])
    assert all(map(torch.equal, *weights))
    assert len(open_trace(path)["batch_loss"]) == 6


def test_fabric(tmp_path):
    fabric = lightning.Fabric(accelerator="cpu")
    loop(fabric.setup, fabric.backward, tmp_path / "run.h5")


def test_accelerate(tmp_path):
    accelerate = pytest.importorskip("accelerate", reason="Accelerate is not installed")
    accelerator = accelerate.Accelerator(cpu=True)
    loop(accelerator.prepare, accelerator.backward, tmp_path / "run.h5")
