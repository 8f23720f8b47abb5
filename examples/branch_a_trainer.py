"""Run ``python examples/branch_a_trainer.py``: branch a training of Transformers' Trainer from one of its checkpoints.

The checkpoint holds all that determines the rest of the run, so an arm is a Trainer that resumes from it. The control
changes nothing and must repeat the run bit for bit; the other arms differ from it in one thing. Needs
``pip install transformers accelerate``. It writes out/ and a trace of each arm into the current folder.
"""

from contextlib import ExitStack

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments, set_seed

from slingshot_analysis import open_trace
from slingshot_analysis.branching import changed, perturb
from slingshot_analysis.integrations.transformers import SlingshotCallback
from slingshot_analysis.many_runs import agreement

STEP, UPDATES = 20, 60
ARMS: dict[str, dict[str, float | str]]
ARMS = {"control": {}, "null": {}, "eps=1e-4": {"eps": 1e-4}, "reset": {"reset": "second_moment"}}


class Change(TrainerCallback):
    """Applies the change of an arm from the first update after the checkpoint on."""

    def __init__(self, arm: str) -> None:
        self.arm = arm
        self.applied = ExitStack()

    def on_train_begin(self, args, state, control, model=None, optimizer=None, **given):
        """Make the change; model and optimizer already have the state of the checkpoint."""
        if self.arm == "null":
            perturb(model.transformer.h[-1].mlp.c_proj.weight)
        self.applied.enter_context(changed(optimizer.optimizer, **ARMS[self.arm]))

    def on_train_end(self, args, state, control, **given):
        """Undo it."""
        self.applied.close()


def train(name: str, callbacks: list[TrainerCallback], checkpoint: str | None = None, **saving: str | int) -> None:
    """Train a small language model, from a checkpoint if there is one."""
    set_seed(0)
    ids = torch.randint(50, (64, 12))
    model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=12, n_embd=32, n_layer=2, n_head=2))
    arguments = TrainingArguments(
        f"out/{name}",
        max_steps=UPDATES,
        learning_rate=1e-3,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        **saving,
    )
    data = [{"input_ids": row, "labels": row} for row in ids]
    Trainer(model, arguments, train_dataset=data, callbacks=callbacks).train(resume_from_checkpoint=checkpoint)


if __name__ == "__main__":
    options = {"probes": ["batch", "norms"], "overwrite": True}
    train("parent", [SlingshotCallback("parent.h5", **options)], save_strategy="steps", save_steps=STEP)
    parent = open_trace("parent.h5")
    for arm in ARMS:
        recording = SlingshotCallback(f"{arm}.h5", start=STEP, attributes={"arm": arm}, **options)
        train(arm, [Change(arm), recording], f"out/parent/checkpoint-{STEP}", save_strategy="no")
        found = agreement(parent, open_trace(f"{arm}.h5"), STEP)
        print(f"{arm}:", "equals the run" if found.is_equal else f"differs from step {found.differs_at}")
