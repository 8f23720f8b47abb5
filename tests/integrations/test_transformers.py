"""A small language model in the Trainer of Transformers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from slingshot_analysis import open_trace

transformers = pytest.importorskip("transformers", reason="Transformers is not installed")
pytest.importorskip("accelerate", reason="Accelerate is not installed")

from slingshot_analysis.integrations.transformers import SlingshotCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of the framework, about itself


class Tokens(torch.utils.data.Dataset):
    def __init__(self, samples=32):
        self.ids = torch.randint(50, (samples, 12), generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        return {"input_ids": self.ids[index], "labels": self.ids[index]}


def gpt2():
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=50, n_positions=12, n_embd=16, n_layer=2, n_head=2)
    return transformers.GPT2LMHeadModel(config)


def train(folder, *, callbacks=(), steps=6, resume=False, **arguments):
    options = {
        "output_dir": str(folder / "out"),
        "max_steps": steps,
        "per_device_train_batch_size": 4,
        "report_to": "none",
        "use_cpu": True,
        "seed": 0,
        "save_strategy": "no",
        "disable_tqdm": True,
        "max_grad_norm": 0.5,
    }
    arguments = transformers.TrainingArguments(**options | arguments)
    trainer = transformers.Trainer(gpt2(), arguments, train_dataset=Tokens(), callbacks=list(callbacks))
    trainer.train(resume_from_checkpoint=resume or None)
    return trainer


@pytest.mark.parametrize("parts", [1, 2])
def test_each_step_has_the_loss_and_the_gradient_that_the_trainer_logs(tmp_path, parts):
    arguments = {"gradient_accumulation_steps": parts, "logging_steps": 1}
    bare = train(tmp_path / "bare", **arguments)
    callback = SlingshotCallback(tmp_path / "run.h5", probes="standard", train_data=[Tokens()[:8], Tokens()[8:16]])
    trainer = train(tmp_path / "recorded", callbacks=[callback], **arguments)
    for (name, mine), other in zip(trainer.model.named_parameters(), bare.model.parameters(), strict=True):
        assert torch.equal(mine, other), name
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    trace = open_trace(tmp_path / "run.h5")
    assert trace.finished
    assert trace["batch_loss"].step.tolist() == list(range(6))
    # the Trainer divides by all 12 labels of a sample, of which the first one has no logits
    expected = [entry["loss"] * 12 / 11 for entry in logged]
    np.testing.assert_allclose(trace["batch_loss"].value, expected, rtol=1e-5)
    assert trace["gradient_norm"].value.max() <= 0.5 * (1 + 1e-4)
    assert np.isfinite(trace["train_loss"].value).all()
    assert trace.attributes["gradients"] == "as the optimizer gets them"


def test_a_resumed_training_goes_on_with_its_trace(tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 3}
    probes = {"probes": ["batch", "norms"]}
    train(tmp_path / "whole", callbacks=[SlingshotCallback(tmp_path / "whole.h5", **probes)], **saving)
    train(tmp_path, callbacks=[SlingshotCallback(tmp_path / "run.h5", **probes)], **saving)
    train(tmp_path, callbacks=[SlingshotCallback(tmp_path / "run.h5", **probes)], **saving, steps=8, resume=True)
    whole, trace = open_trace(tmp_path / "whole.h5"), open_trace(tmp_path / "run.h5")
    assert trace["batch_loss"].step.tolist() == list(range(8))
    np.testing.assert_array_equal(trace["batch_loss"].value[:6], whole["batch_loss"].value)


def test_an_adapted_model_says_which_layer_is_recorded(tmp_path):
    peft = pytest.importorskip("peft", reason="PEFT is not installed")
    model = peft.get_peft_model(gpt2(), peft.LoraConfig(r=2, target_modules=["c_attn"]))
    arguments = transformers.TrainingArguments(
        str(tmp_path / "out"), max_steps=3, report_to="none", use_cpu=True, save_strategy="no", disable_tqdm=True
    )
    callback = SlingshotCallback(tmp_path / "run.h5", probes=["batch", "norms"], train_data=[Tokens()[:4]])
    trainer = transformers.Trainer(model, arguments, train_dataset=Tokens(), callbacks=[callback])
    with pytest.warns(UserWarning, match="is frozen or an adapter's base"):
        trainer.train()
    trace = open_trace(tmp_path / "run.h5")
    assert "lora" in trace.attributes["last_layer"]
    assert len(trace["batch_loss"]) == 3


@pytest.mark.slow
def test_the_example_branches_a_training(tmp_path):
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, str(root / "examples" / "branch_a_trainer.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(\S+): (equals the run|differs from step \d+)$", done.stdout, re.MULTILINE)
    assert [name for name, _ in found] == ["control", "null", "eps=1e-4", "reset"]
    assert [words.startswith("equals") for _, words in found] == [True, False, False, False]
    assert open_trace(tmp_path / "reset.h5").steps[0] == 20
