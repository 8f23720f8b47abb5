"""The Recorder, which writes a dense trace of any PyTorch training loop: call it once per update."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from slingshot_analysis.online_rules import SlingshotWarning
from slingshot_analysis.recording._given import GivenBatches
from slingshot_analysis.recording._loop import FollowedLoop
from slingshot_analysis.recording._microbatches import MicroBatch
from slingshot_analysis.recording._ranks import NoRows, rank, refuse_shards
from slingshot_analysis.recording._rows import Rows
from slingshot_analysis.recording._steps import unwrapped
from slingshot_analysis.recording._unclipped import UnclippedNorm
from slingshot_analysis.recording.online.watch import Transition
from slingshot_analysis.recording.probes._base import Probe
from slingshot_analysis.recording.provenance import describe_optimizers, run_attributes
from slingshot_analysis.recording.subject.adapted import Inputs, Output, as_module
from slingshot_analysis.recording.subject.data import Data
from slingshot_analysis.recording.subject.losses import LossFunction, cross_entropy
from slingshot_analysis.recording.subject.model import ForwardPass, random_states_kept
from slingshot_analysis.recording.subject.optimizers import Optimizers
from slingshot_analysis.recording.subject.subject import make_subject
from slingshot_analysis.recording.torch_internals import uncompiled


class Recorder:
    """Record a training run into a trace file while it trains.

    Call :meth:`attach` once and :meth:`batch` for each batch or micro-batch: then each step of the optimizer is
    recorded, and those that a gradient scaler skips are not. Or call :meth:`update` once per update, between
    ``loss.backward()`` and ``optimizer.step()``; with a gradient scaler after ``scaler.unscale_(optimizer)``.

    Recording never changes training: the recorder restores modes, gradients and
    the random states of Python, NumPy and PyTorch, and the weights stay bit-identical. The only exception is a model
    that changes something else in evaluation mode, such as a counter or a random generator of its own.
    Values are measured on the device of the parameters and copied to the host in blocks: every 512 rows or 2 s.
    In parallel training, the recorder of rank 0 records, and those of other ranks only count the updates.

    Parameters
    ----------
    path : path-like
        The HDF5 file to write; its folder is created.
    model : nn.Module, or sequence or mapping of them
        The model, or its parts, in the state of step 0 and on its device; all parameters must be on one device.
    optimizer : torch.optim.Optimizer, or sequence of them
        The optimizer or optimizers. Class and hyperparameters are written into the trace.
    train_data, val_data : (inputs, targets) pair of tensors, or iterable of batches, optional
        The whole training and validation sets, on which losses and accuracies are evaluated. A batch is such a pair,
        or a mapping with "labels"; inputs may be a mapping of tensors, which the model takes as arguments. An iterable,
        such as a DataLoader without shuffling, is run through once per evaluation; don't share it with the training
        loop.
    probe_inputs : Tensor or mapping of tensors, optional
        The fixed batch on which features are compared; by default the first 32 training inputs.
    probes : str, or iterable of str or Probe, optional
        What to record: a bundle ("light", "standard", "full", "stability"), names of
        ``slingshot_analysis.recording.PROBES`` with or without a number of updates ("hessian:50"), or objects such as
        ``Norms(every=Every(5))``.
    curvature_budget : float, optional
        Largest share of the run's time for curvature probes that are named without a number of updates. The default is
        0.03 for those of the standard bundle, 0.12 for those of the full one, and no limit for others.
    flight_recorder : bool, optional
        Whether to keep the last 64 states and to measure the curvature at each update around a transition. By default
        this is done where `probes` names the full bundle or curvature, and the states fit into 256 MiB. Unless it is
        False, the losses of samples around a transition are recorded where `probes` names samples.
    on_event : callable, optional
        Called within :meth:`update` with a `Transition` when one begins. An exception that it raises ends the run.
    on_warning : callable, optional
        Called with a `SlingshotWarning` when a slingshot is to be expected. This happens when a block of rows reaches
        the host, and needs the probe ``precision``.
    mirrors : sequence of Mirror or of its target, optional
        Loggers of others that get scalars too, by increasing step, when their rows have reached the host: a
        ``SummaryWriter`` of TensorBoard, a run of Weights & Biases, the module ``trackio``, or a `Mirror` that chooses
        scalars for one. One that raises an exception is warned of and gets no more.
    last_layer : str, optional
        Name of the module that computes the logits, or of the parameter if no module holds it. By default it is the
        last called of the modules with a trainable weight matrix; its name is printed. The trace has the name too.
    feature_layers : sequence of str, optional
        Modules whose outputs are features. By default these are the blocks or, in a model without blocks, the
        activations, and always the input of the last layer.
    loss_function : callable, optional
        ``loss_function(logits, targets)``, the mean loss over a batch; by default cross-entropy. It is called with
        float64 logits too, so tensors that it uses, such as class weights, must be held by a module.
    setup : str, optional
        Name of the experiment.
    config : mapping, optional
        The complete configuration of the run; it must be convertible to JSON.
    seed : int, optional
        The seed of the run.
    loss_dtype : torch.dtype, optional
        Dtype in which training computes the loss; by default that of the model.
    output : callable, str or int, optional
        How to find the logits in what the model returns, if that is not a tensor, a tuple that begins with them, or
        something with ``logits``.
    shift_labels : bool, optional
        Whether the logits at a position belong to the target at the next one, as in language models whose labels are
        their inputs.
    checks : bool, optional
        Whether to compare the loss with that of logits and targets, and the gradients with those that the optimizer
        gets, at the first update and now and then. Only then an update waits for a GPU.
    scaler : torch.amp.GradScaler, optional
        The gradient scaler, for the probes `loss_scale` and `clip_coefficient`; by default that of a wrapped optimizer.
    step_of : torch.optim.Optimizer, optional
        The optimizer whose steps count, where several alternate, as those of a GAN do. By default optimizers that step
        after the same backward pass make one step together.
    overwrite : bool, optional
        Whether to replace an existing file.
    resume : mapping, optional
        What :meth:`state_dict` returned when model and optimizer were in their present state. The trace at `path`, of a
        run that was killed, stopped early or finished, is cut at that step and continued.
    flush_seconds : float, optional, seconds
        Longest time between two writes of rows to the file; 2 by default.
    start : int, optional, updates
        Number of updates that model and optimizer have made already; the trace begins there.
    attributes : mapping, optional
        Further root attributes of the trace, such as what a branch changes: text, numbers, bools.

    Raises
    ------
    InputError
        If the file exists, a name is unknown, or the model has no trainable parameter. With `resume`: if the file
        does not exist or holds other quantities.

    Examples
    --------
    >>> import tempfile, torch
    >>> from slingshot_analysis import Recorder, open_trace
    >>> _ = torch.manual_seed(0)
    >>> inputs, targets = torch.randn(64, 10), torch.randint(0, 2, (64,))
    >>> model = torch.nn.Sequential(torch.nn.Linear(10, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    >>> optimizer = torch.optim.Adam(model.parameters())
    >>> path = f"{tempfile.mkdtemp()}/run.h5"
    >>> with Recorder(path, model, optimizer, train_data=(inputs, targets)) as recorder:
    ...     for _ in range(20):
    ...         logits = model(inputs)
    ...         loss = torch.nn.functional.cross_entropy(logits, targets)
    ...         optimizer.zero_grad()
    ...         loss.backward()
    ...         recorder.update(loss, logits, targets)
    ...         optimizer.step()
    >>> open_trace(path)["last_layer_norm"]
    Signal('last_layer_norm', 20 rows, steps 0 to 19)
    """

    def __init__(
        self,
        path: str | Path,
        model: nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module],
        optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
        *,
        train_data: Data | None = None,
        val_data: Data | None = None,
        probe_inputs: Inputs | Mapping[str, Any] | None = None,
        probes: str | Iterable[str | Probe] = "standard",
        curvature_budget: float | None = None,
        flight_recorder: bool | None = None,
        on_event: Callable[[Transition], None] | None = None,
        on_warning: Callable[[SlingshotWarning], None] | None = None,
        mirrors: Sequence[Any] = (),
        last_layer: str | None = None,
        feature_layers: Sequence[str] | None = None,
        loss_function: LossFunction = cross_entropy,
        setup: str = "",
        config: Mapping[str, Any] | None = None,
        seed: int | None = None,
        loss_dtype: torch.dtype | None = None,
        output: Output | None = None,
        shift_labels: bool = False,
        checks: bool = True,
        scaler: torch.amp.GradScaler | None = None,
        step_of: torch.optim.Optimizer | None = None,
        overwrite: bool = False,
        resume: Mapping[str, Any] | None = None,
        flush_seconds: float | None = None,
        start: int = 0,
        attributes: Mapping[str, object] | None = None,
    ) -> None:
        self.path = Path(path)
        model = uncompiled(as_module(model))
        refuse_shards(model)
        given = optimizer if isinstance(optimizer, Sequence) else [optimizer]
        optimizers = [unwrapped(one) for one in given]
        counted = optimizers if step_of is None else [unwrapped(step_of)]
        with random_states_kept(), ForwardPass(model).undisturbed():
            self._subject = subject = make_subject(
                model,
                optimizers[0] if len(optimizers) == 1 else Optimizers(optimizers),
                train_data=train_data,
                val_data=val_data,
                probe_inputs=probe_inputs,
                last_layer=last_layer,
                feature_layers=feature_layers,
                loss_function=loss_function,
                loss_dtype=loss_dtype,
                output=output,
                shift_labels=shift_labels,
                scaler=scaler or getattr(given[0], "scaler", None),
            )
            if rank():
                self._rows: Rows | NoRows = NoRows(resume, start)
            else:
                config = {**describe_optimizers(counted, optimizers), **(config or {})}
                described = run_attributes(
                    next(iter(subject.parameters.values())), loss_dtype, subject.last_layer, config, setup, seed
                )
                self._rows = Rows(
                    self.path,
                    subject,
                    probes,
                    {**(attributes or {}), **described},
                    curvature_budget=curvature_budget,
                    flight_recorder=flight_recorder,
                    on_event=on_event,
                    on_warning=on_warning,
                    mirrors=mirrors,
                    overwrite=overwrite,
                    resume=resume,
                    flush_seconds=flush_seconds,
                    start=start,
                )
        self._start = start
        self._given = GivenBatches(self.path, subject, output, shift_labels, checks)
        unclipped = UnclippedNorm(subject, self._rows.needs_unclipped) if self._rows.follows_clipping else None
        self._loop = FollowedLoop(self.path, subject, counted, checks, unclipped)
        if self.is_recording and checks and last_layer is None and resume is None:
            print(f"{self.path}: the last layer is {self.last_layer!r}; last_layer= names another", file=sys.stderr)

    @property
    def step(self) -> int:
        """Number of updates recorded so far."""
        return self._rows.step

    @property
    def is_recording(self) -> bool:
        """Whether this process records; in parallel training, a recorder on a rank other than 0 only counts."""
        return isinstance(self._rows, Rows)

    @property
    def last_layer(self) -> str:
        """Name of the layer whose norm is recorded as that of the last layer."""
        return self._subject.last_layer

    @property
    def latest(self) -> dict[str, float]:
        """The newest value of each scalar quantity among those that have reached the host."""
        return self._rows.latest

    def __repr__(self) -> str:
        where = "" if self.is_recording else ", recorded by rank 0"
        rows = [f"Recorder {self.path}: step {self.step}, last layer {self.last_layer!r}{where}"]
        rows += [f"  {group.name}: {', '.join(q.name for q in group.quantities)}" for group in self._rows.groups]
        return "\n".join(rows)

    def attach(self) -> Self:
        """Record each step that the optimizer makes from now on, by its own hooks.

        A step that a gradient scaler skips is not counted. Gradients are recorded as the optimizer gets them: after
        clipping and unscaling. Optimizers wrapped by a framework are unwrapped.

        Returns
        -------
        Recorder
            This one, so that ``recorder = Recorder(...).attach()`` is one line.

        Raises
        ------
        InputError
            If updates have been recorded already, or the recorder is closed.
        """
        self._loop.attach(self._record)
        return self

    def batch(
        self,
        loss: Tensor | float | None = None,
        logits: Any = None,
        targets: Tensor | None = None,
        *,
        samples: float | None = None,
        indices: Sequence[int] | Tensor | None = None,
    ) -> None:
        """Take a batch, or one of the micro-batches whose gradients are accumulated; :meth:`attach` comes first.

        The row of the step has their mean loss, weighted by samples, and the errors of all. Logits and targets are kept
        until the step.

        Parameters
        ----------
        loss : () Tensor or float, optional
            The mean loss of this batch: not divided for accumulation, and not scaled. By default, the loss of logits
            and targets.
        logits : (..., classes) Tensor or output of the model, optional
            The model's outputs.
        targets : (...) Tensor, optional
            Targets.
        samples : float, optional
            Weight of the loss among those of the step; by default that of its targets in the loss function's mean.
        indices : (n,) integers, optional
            The numbers of the batch's samples in the data, for the probe `samples`.

        Raises
        ------
        InputError
            If :meth:`attach` was not called, the loss is not that of logits and targets, or no step follows.
        """
        batch = self._given.understood(loss, logits, targets, samples, indices)
        self._loop.add(batch)
        self._given.check(self.step, batch)

    @torch.no_grad()
    def _record(self, batch: MicroBatch) -> None:
        if self.step == self._start and (batch.logits is None or batch.targets is None):
            with random_states_kept(), ForwardPass(self._subject.model).undisturbed():
                self._rows.leave_out_logits()
        self._rows.record(batch.loss, batch.logits, batch.targets, batch.indices, self._loop.unclipped_norm())

    def update(
        self,
        loss: Tensor | float | None = None,
        logits: Any = None,
        targets: Tensor | None = None,
        *,
        indices: Sequence[int] | Tensor | None = None,
    ) -> None:
        """Record the state before this update and the update itself.

        If the optimizer does not make the step, as a gradient scaler skips one, the next call takes its place.

        Parameters
        ----------
        loss : () Tensor or float, optional
            The mean loss of the batch, as it was differentiated.
        logits : (..., classes) Tensor or output of the model, optional
            The model's outputs for the batch.
        targets : (...) Tensor, optional
            Target of each sample of the batch.
        indices : (n,) integers, optional
            The numbers of the batch's samples in the data, for the probe `samples`.

        Raises
        ------
        InputError
            If a probe needs an argument that is missing, there is no gradient yet, the call does not stand between
            ``backward()`` and ``step()``, or the loss is not that of logits and targets.
        """
        if self._loop.take_call():
            self._rows.undo()
        batch = self._given.understood(loss, logits, targets, indices=indices)
        self._record(batch)
        self._given.check(self.step - 1, batch)

    def state_dict(self) -> dict[str, Any]:
        """Write all rows to the file, and return what another recorder needs to continue it: see `resume`.

        Call it after ``optimizer.step()`` and before the next update, when model and optimizer are saved too.

        Returns
        -------
        dict
            Numbers, text and tensors in dictionaries and lists, which ``torch.save`` can write.
        """
        self._take_back_skipped()
        return self._rows.state_dict()

    def _take_back_skipped(self) -> None:
        if self._loop.take_back():
            self._rows.undo()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(finished=kind is None)

    def close(self, *, finished: bool = True) -> None:
        """Write the remaining rows and close the file. Closing twice does nothing.

        Parameters
        ----------
        finished : bool, optional
            Whether training came to its end. Then the probes that need no batch measure the state after the last update
            too, and the trace is marked as finished.
        """
        if finished:
            self._take_back_skipped()
        self._loop.close()
        found = {"gradients": self._loop.gradients} if self._loop.gradients else {}
        self._rows.close(finished=finished, attributes=found)
