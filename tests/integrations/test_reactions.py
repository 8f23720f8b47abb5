"""The examples of docs/integrations.md that save a checkpoint when warned, and lower the step size at a transition."""

import pytest
import torch
from documented import code
from torch import nn

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.recording import SlingshotWarning
from slingshot_analysis.recording.online import EarlyWarning, TransitionTrigger

pytestmark = pytest.mark.filterwarnings("ignore")  # of the frameworks, about themselves

EVENT, WARNING, STEPS = 4, 2, 12


@pytest.fixture(autouse=True)
def announced(monkeypatch, tmp_path):
    """Let a warning come once row 2 has reached the host, and a transition at update 4."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("slingshot_analysis.recording._rows.FLUSH_SECONDS", -1.0)
    losses = []

    def begins(trigger, loss):
        losses.append(loss)
        return len(losses) == EVENT + 1

    def warns(rule, steps, collapse):
        return [SlingshotWarning(step, (1, 2, 3), 0.5) for step in steps if step == WARNING]

    monkeypatch.setattr(TransitionTrigger, "update", begins)
    monkeypatch.setattr(EarlyWarning, "update", warns)


def data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(8 * STEPS, 6, generator=generator)
    return torch.utils.data.TensorDataset(inputs, torch.randint(3, (8 * STEPS,), generator=generator))


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def test_in_a_plain_loop(tmp_path):
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loader = torch.utils.data.DataLoader(data(), batch_size=8)
    given = {"model": model, "optimizer": optimizer, "loader": loader, "torch": torch, "Recorder": Recorder}
    exec(code("react in a plain loop"), given)
    assert optimizer.param_groups[0]["lr"] == 0.005
    saved = torch.load(tmp_path / f"before-{WARNING}.pt", weights_only=True)
    assert saved["recorder"]["step"] == WARNING + 2  # the row reaches the host with the update after it
    assert len(open_trace("run.h5")["batch_loss"]) == STEPS
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    Recorder("run.h5", model, optimizer, resume=saved["recorder"]).close(finished=False)
    assert len(open_trace("run.h5")["batch_loss"]) == WARNING + 2


def test_in_transformers(tmp_path):
    transformers = pytest.importorskip("transformers", reason="Transformers is not installed")
    pytest.importorskip("accelerate", reason="Accelerate is not installed")
    config = transformers.GPT2Config(vocab_size=50, n_positions=12, n_embd=16, n_layer=1, n_head=2)
    ids = torch.randint(50, (8, 12), generator=torch.Generator().manual_seed(0))
    arguments = transformers.TrainingArguments(
        "out", max_steps=STEPS, report_to="none", use_cpu=True, save_strategy="no", disable_tqdm=True,
        lr_scheduler_type="constant", learning_rate=0.01,
    )  # fmt: skip
    rates = []

    class Rates(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **given):
            rates.append(given["optimizer"].param_groups[0]["lr"])

    given = {
        "model": transformers.GPT2LMHeadModel(config), "arguments": arguments, "torch": torch,
        "data": [{"input_ids": row, "labels": row} for row in ids],
    }  # fmt: skip
    exec(code("react in Transformers"), given)
    given["trainer"].add_callback(Rates())
    given["trainer"].train()
    assert (tmp_path / "out" / f"checkpoint-{WARNING + 2}" / "slingshot.pt").exists()
    assert rates[EVENT - 1] == 0.01
    assert rates[EVENT + 1 :] == [0.005] * (STEPS - EVENT - 1)


def test_in_lightning(tmp_path):
    lightning = pytest.importorskip("lightning", reason="Lightning is not installed")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, inputs):
            return self.net(inputs)

        def training_step(self, batch, batch_idx):
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.01)

    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    given = {"options": {"accelerator": "cpu", "max_epochs": 1, "enable_checkpointing": False, **quiet}}
    exec(code("react in Lightning"), given)
    given["trainer"].fit(Module(), torch.utils.data.DataLoader(data(), batch_size=8))
    saved = torch.load(tmp_path / "before.ckpt", weights_only=False)
    assert saved["global_step"] == WARNING + 2
    state = next(state for name, state in saved["callbacks"].items() if name.startswith("Slingshot"))
    assert state["step"] == WARNING + 2
    assert given["trainer"].optimizers[0].param_groups[0]["lr"] == 0.005
