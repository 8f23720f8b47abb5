"""Record the training of a Lightning Trainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import Recorder
from slingshot_analysis.recording.subject.data import understood
from slingshot_analysis.recording.torch_internals import scale_of


class SlingshotCallback(Callback):  # type: ignore[misc]
    """Records each optimizer step of a Trainer: ``Trainer(callbacks=[SlingshotCallback("run.h5")])``.

    The loss is that of ``training_step``, undone of the division for accumulation and of gradient scaling. Logits come
    from a hook on the model, and targets from the batch, if it is a pair or a mapping with "labels". Only the main
    process records. The recorder's state is part of Lightning's checkpoints, so the trace goes on when the training is
    resumed from one.

    Parameters
    ----------
    path : path-like
        The HDF5 file to write.
    model : callable, optional
        Returns the network of a LightningModule, which is called in its ``training_step``. By default this is the
        LightningModule itself, whose ``forward`` is then called as ``self(inputs)``.
    **options
        As for `Recorder`.

    Attributes
    ----------
    recorder : Recorder or None
        The recorder, during training.
    """

    def __init__(
        self, path: str | Path, model: Callable[[LightningModule], nn.Module] = lambda module: module, **options: Any
    ) -> None:
        self.path, self._model, self._options = Path(path), model, options
        self.recorder: Recorder | None = None
        self._resume: dict[str, Any] | None = None
        self._outputs: Any = None
        self._targets: Tensor | None = None
        self._hook: Any = None
        self._scaler: torch.amp.GradScaler | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the recorder; if the training is resumed, continue the trace."""
        if not trainer.is_global_zero:
            return
        model = self._model(pl_module)
        self._scaler = getattr(trainer.precision_plugin, "scaler", None)
        options: dict[str, Any] = {"resume": self._resume, "scaler": self._scaler} | self._options
        self.recorder = Recorder(self.path, model, trainer.optimizers, **options).attach()
        self._hook = model.register_forward_hook(self._keep)

    def _keep(self, model: nn.Module, args: object, output: object) -> None:
        if model.training and torch.is_grad_enabled():
            self._outputs = output

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Keep the targets of a batch."""
        self._outputs = None
        try:
            self._targets = understood(batch)[1]
        except InputError:  # a batch of another kind: its loss is recorded alone
            self._targets = None

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Hand the batch to the recorder."""
        if self.recorder is None:
            return
        undivided = loss.detach() * trainer.accumulate_grad_batches
        if self._scaler is not None:
            undivided = undivided / scale_of(self._scaler, loss.device)
        known = self._outputs is not None and self._targets is not None
        self.recorder.batch(undivided, self._outputs if known else None, self._targets if known else None)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the trace."""
        self._close(finished=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the trace of a run that failed, so that it can go on."""
        self._close(finished=False)

    def _close(self, *, finished: bool) -> None:
        if self.recorder is not None:
            self._hook.remove()
            self.recorder.close(finished=finished)
            self.recorder = None

    def state_dict(self) -> dict[str, Any]:
        """Return the recorder's state for Lightning's checkpoint."""
        return {} if self.recorder is None else self.recorder.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._resume = state_dict or None
