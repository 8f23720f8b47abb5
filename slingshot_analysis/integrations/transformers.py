"""Record the training of a Transformers Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from slingshot_analysis.recording import Recorder

SAVED = "slingshot.pt"
"""Name of the recorder's state in the Trainer's checkpoints."""


class SlingshotCallback(TrainerCallback):  # type: ignore[misc]
    """Records each optimizer step of a Trainer: ``Trainer(..., callbacks=[SlingshotCallback("run.h5")])``.

    Logits and labels come from a hook on the model, since a callback does not see them. The loss is computed from them,
    because the Trainer divides its own by the number of labels of all micro-batches of a step. Only the main process
    records. With the Trainer's checkpoints the recorder's state is saved, and the trace goes on when the training is
    resumed from one.

    Parameters
    ----------
    path : path-like
        The HDF5 file to write.
    **options
        As for `Recorder`. `shift_labels` is by default True for causal language models.

    Attributes
    ----------
    recorder : Recorder or None
        The recorder, during training.
    """

    def __init__(self, path: str | Path, **options: Any) -> None:
        self.path, self._options = Path(path), options
        self.recorder: Recorder | None = None
        self._hook: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Make the recorder; if the training is resumed, continue the trace."""
        if not state.is_world_process_zero:
            return
        model: nn.Module = getattr(given["model"], "module", given["model"])
        saved = Path(args.output_dir) / f"checkpoint-{state.global_step}" / SAVED
        resume = torch.load(saved, weights_only=True) if state.global_step and saved.exists() else None
        options: dict[str, Any] = {"shift_labels": _shifts_labels(model), "resume": resume} | self._options
        self.recorder = Recorder(self.path, model, given["optimizer"], **options).attach()
        self._hook = model.register_forward_hook(self._take, with_kwargs=True)

    def _take(self, model: nn.Module, args: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        """Hand the batch of a forward pass of training to the recorder."""
        labels = named.get("labels")
        if self.recorder is None or not model.training or not torch.is_grad_enabled():
            return
        if isinstance(labels, Tensor):
            self.recorder.batch(None, output, labels)
        else:
            self.recorder.batch(getattr(output, "loss", None))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Save the recorder's state beside the Trainer's."""
        if self.recorder is not None:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            torch.save(self.recorder.state_dict(), folder / SAVED)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Close the trace."""
        if self.recorder is not None:
            self._hook.remove()
            self.recorder.close()
            self.recorder = None


def _shifts_labels(model: nn.Module) -> bool:
    """Return whether the model's loss compares the logits at a position with the label at the next one."""
    base: Any = model
    if hasattr(base, "get_base_model"):  # behind adapters of PEFT
        base = base.get_base_model()
    return getattr(getattr(base, "loss_function", None), "__name__", "") == "ForCausalLMLoss"
