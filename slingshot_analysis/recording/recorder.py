"""The Recorder, which writes a dense trace of any PyTorch training loop: call it once per update."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording._gradient_check import AS_THE_OPTIMIZER, GradientCheck
from slingshot_analysis.recording._microbatches import MicroBatch, joined
from slingshot_analysis.recording._steps import BackwardPasses, Steps, unwrapped
from slingshot_analysis.recording._table import Table, make_tables
from slingshot_analysis.recording.curvature import Curvatures
from slingshot_analysis.recording.mirrors import Mirrors
from slingshot_analysis.recording.online.flight import FLIGHT_GROUP, FlightRecorder
from slingshot_analysis.recording.online.warning import EarlyWarning, SlingshotWarning, warn_from
from slingshot_analysis.recording.online.watch import Transition, Watch
from slingshot_analysis.recording.probes._base import Moment, Probe, dtype_name
from slingshot_analysis.recording.probes._bundles import (
    BUNDLES,
    EARLIER_BUNDLES,
    choose_probes,
    names_curvature,
    without_logits,
)
from slingshot_analysis.recording.provenance import describe_optimizer, provenance
from slingshot_analysis.recording.schedule import Budget
from slingshot_analysis.recording.subject.adapted import Inputs, Output, find_logits
from slingshot_analysis.recording.subject.data import Data
from slingshot_analysis.recording.subject.loss_check import check_loss, is_checked
from slingshot_analysis.recording.subject.losses import LossFunction, cross_entropy, loss_weight
from slingshot_analysis.recording.subject.model import ForwardPass, random_states_kept
from slingshot_analysis.recording.subject.optimizers import Optimizers
from slingshot_analysis.recording.subject.subject import make_subject
from slingshot_analysis.recording.torch_internals import uncompiled
from slingshot_analysis.trace import Group, TraceWriter, continue_trace, open_trace

LOGGER = logging.getLogger("slingshot_analysis")

MOST_SKIPPED = 50
"""Number of updates in a row whose step a gradient scaler may skip; it halves its scale each time."""
MOST_MICRO_BATCHES = 10_000
"""Maximum number of micro-batches of a step."""

FLUSH_SECONDS = 2.0
"""Longest time for which measured rows stay in memory, unless the user asks for another."""


class Recorder:
    """Record a training run into a trace file while it trains.

    Call :meth:`attach` once and :meth:`batch` for each batch or micro-batch: then each step of the optimizer is
    recorded, and those that a gradient scaler skips are not. Or call :meth:`update` once per update, between
    ``loss.backward()`` and ``optimizer.step()``; with a gradient scaler after ``scaler.unscale_(optimizer)``.

    Recording never changes training: the recorder restores modes, gradients and
    the random states of Python, NumPy and PyTorch, and the weights stay bit-identical. The only exception is a model
    that changes something else in evaluation mode, such as a counter or a random generator of its own.
    Values are measured on the device of the parameters and copied to the host in blocks: every 512 rows or 2 s.

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
        0.05 for those of the standard bundle, 0.12 for those of the full one, and no limit for others.
    flight_recorder : bool, optional
        Whether to keep the last 64 states and to measure the curvature at each update around a transition. By default
        this is done where `probes` names the full bundle or curvature, and the states fit into 256 MiB.
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
        last called of the modules with a trainable weight matrix. The trace names the layer that was used.
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
        step_of: torch.optim.Optimizer | None = None,
        overwrite: bool = False,
        resume: Mapping[str, Any] | None = None,
        flush_seconds: float | None = None,
        start: int = 0,
        attributes: Mapping[str, object] | None = None,
    ) -> None:
        model, probes = uncompiled(_as_module(model)), probes if isinstance(probes, str) else list(probes)
        optimizers = [unwrapped(one) for one in (optimizer if isinstance(optimizer, Sequence) else [optimizer])]
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
            )
            bundles = BUNDLES
            if resume is not None and "groups" not in resume:  # a checkpoint of an earlier version
                bundles, flight_recorder = EARLIER_BUNDLES, FLIGHT_GROUP in open_trace(path).groups
            self._probes = chosen = choose_probes(probes, subject, curvature_budget, bundles)
            if resume is not None and resume.get("loss_only", False):
                self._probes = chosen = without_logits(chosen)
            self._curvatures = curvatures = Curvatures(subject)
            self._tables = make_tables(chosen, subject, curvatures)
            if flight_recorder is None:
                flight_recorder = FlightRecorder.fits(subject) and names_curvature(probes)
            budget = next((probe.every for probe in chosen if isinstance(probe.every, Budget)), None)
            flight = FlightRecorder(subject, curvatures, budget) if flight_recorder else None
        self._warning = EarlyWarning() if on_warning is not None else None
        self._on_warning, self._targets = on_warning, list(mirrors)
        self._mirrors = self._pass_rows_on()
        watched = flight is not None or on_event is not None
        self._watch = Watch(flight, [on_event] if on_event else []) if watched else None
        first = next(iter(subject.parameters.values()))
        described: dict[str, object] = {**provenance(first.device), **(attributes or {})} | {
            "config": json.dumps({**_described(counted, optimizers), **(config or {})}),
            "dtype": dtype_name(first.dtype),
            "loss_dtype": dtype_name(loss_dtype or first.dtype),
            "last_layer": subject.last_layer,
        }
        described |= {"setup": setup} if setup else {}
        described |= {"seed": seed} if seed is not None else {}
        self._attributes, self._flight = described, flight
        groups = self._groups()
        if resume is None:
            self._writer = TraceWriter(path, groups, described, overwrite=overwrite)
            for table in self._tables:
                table.start_at(start)
        else:
            self._writer = continue_trace(path, groups, resume["step"], described)
            for table, states in zip(self._tables, resume["tables"], strict=True):
                table.load_state_dict(resume["step"], states)
            if self._watch is not None and resume["watch"] is not None:
                self._watch.load_state_dict(resume["watch"])
            if self._warning is not None and resume["warning"] is not None:
                self._warning.load_state_dict(resume["warning"])
        self._open: list[Table] = []
        self._flush_seconds = FLUSH_SECONDS if flush_seconds is None else flush_seconds
        self._flush_due = time.monotonic() + self._flush_seconds
        self._closed = False
        self.path = Path(path)
        self._output, self._shift_labels, self._checks = output, shift_labels, checks
        self._loss_only = resume is not None and resume.get("loss_only", False)
        self._batches: list[MicroBatch] = []
        self._follows_backward: bool | None = None
        self._batches_at_backward = self._discarded = 0
        self._was_checked = False
        self._skipped = 0
        self._backward: BackwardPasses | None = self._follow_backward() if len(counted) > 1 else None
        self._steps: Steps | None = Steps(counted)
        self._updates, self._start = 0, start
        self._gradients = GradientCheck(subject.parameters)
        self.step: int = start if resume is None else resume["step"]
        """Number of updates recorded so far."""
        LOGGER.info("%s: the last layer is %r", self.path, self.last_layer)

    @property
    def last_layer(self) -> str:
        """Name of the layer whose norm is recorded as that of the last layer."""
        return self._subject.last_layer

    def __repr__(self) -> str:
        rows = [f"Recorder {self.path}: step {self.step}, last layer {self.last_layer!r}"]
        rows += [f"  {group.name}: {', '.join(q.name for q in group.quantities)}" for group in self._groups()]
        return "\n".join(rows)

    def _groups(self) -> list[Group]:
        return [table.group for table in self._tables] + ([self._flight.group] if self._flight else [])

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

        Examples
        --------
        >>> import tempfile, torch
        >>> _ = torch.manual_seed(0)
        >>> inputs, targets = torch.randn(64, 10), torch.randint(0, 2, (64,))
        >>> model = torch.nn.Linear(10, 2)
        >>> optimizer = torch.optim.Adam(model.parameters())
        >>> with Recorder(f"{tempfile.mkdtemp()}/run.h5", model, optimizer, probes="light").attach() as recorder:
        ...     for part in range(4):  # two micro-batches for each step
        ...         logits, labels = model(inputs[16 * part :][:16]), targets[16 * part :][:16]
        ...         loss = torch.nn.functional.cross_entropy(logits, labels)
        ...         recorder.batch(loss, logits, labels)
        ...         (loss / 2).backward()
        ...         if part % 2:
        ...             optimizer.step()
        ...             optimizer.zero_grad()
        >>> recorder.step
        2
        """
        if self._steps is None or self._updates:
            raise InputError(f"{self.path}: attach() comes before the first update, and not with update()")
        self._steps.before = self._record_step
        self._steps.skipped = self._batches.clear
        self._backward = self._backward or self._follow_backward()
        self._gradients.found = AS_THE_OPTIMIZER
        return self

    def _follow_backward(self) -> BackwardPasses:
        passes = BackwardPasses(self._subject.parameters[self._subject.last_layer_parameters[0]])
        passes.on_pass = self._forget_skipped
        return passes

    def batch(
        self,
        loss: Tensor | float | None = None,
        logits: Any = None,
        targets: Tensor | None = None,
        *,
        samples: float | None = None,
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

        Raises
        ------
        InputError
            If :meth:`attach` was not called, the loss is not that of logits and targets, or no step follows.
        """
        if self._backward is None:
            raise InputError(f"{self.path}: batch() needs attach() before it; or call update() before each step")
        batch = self._understood(loss, logits, targets, samples)
        if self._checks and is_checked(self.step):
            self._compare_loss(batch)
        if self._follows_backward is None:
            self._follows_backward = self._backward.made > 0
        del self._batches[: self._discarded]
        self._discarded = 0
        self._batches.append(batch)
        if len(self._batches) > MOST_MICRO_BATCHES:
            raise InputError(
                f"{self.path}: {len(self._batches):,} batches without a step of the optimizer; if it is another object "
                "by now, make a new recorder with resume="
            )

    def _understood(
        self, loss: Tensor | float | None, logits: Any, targets: Tensor | None, samples: float | None = None
    ) -> MicroBatch:
        if isinstance(loss, Tensor):
            loss = loss.detach() if loss.requires_grad else loss
        elif loss is not None:
            loss = torch.tensor(float(loss), device=next(iter(self._subject.parameters.values())).device)
        if logits is not None:
            logits = logits if isinstance(logits, Tensor) else find_logits(logits, self._output)
            logits = logits.detach() if logits.requires_grad else logits
            if self._shift_labels:
                logits, targets = logits[..., :-1, :], None if targets is None else targets[..., 1:]
        if loss is None and logits is not None and targets is not None:
            with ForwardPass(self._subject.model).undisturbed():
                loss = self._subject.loss_function(logits, targets)
        return MicroBatch(loss, logits, targets, samples)

    def _compare_loss(self, batch: MicroBatch) -> None:
        if batch.loss is None or batch.logits is None or batch.targets is None:
            return
        try:
            with ForwardPass(self._subject.model).undisturbed():
                check_loss(batch.loss, batch.logits, batch.targets, self._subject.loss_function)
        except InputError as error:
            if not self._was_checked:
                raise
            warnings.warn(f"{self.path}: step {self.step}: {error}", stacklevel=3)
            self._checks = False
        self._was_checked = True

    def _forget_skipped(self, is_new: bool) -> None:
        """At a backward pass, forget batches whose gradients were discarded without a step, as a gradient scaler does.

        They are forgotten only for batches that come after them: two passes may also belong to one step, as in SAM.
        """
        if is_new and self._steps is not None:
            self._steps.end()
        if is_new and self._follows_backward:
            self._discarded = len(self._batches)
        elif is_new and len(self._batches) > self._batches_at_backward:
            del self._batches[: self._batches_at_backward]
        self._batches_at_backward = len(self._batches)

    def _record_step(self) -> None:
        """Record the step that the optimizer is about to make."""
        batch = joined(self._batches, partial(loss_weight, self._subject.loss_function))
        self._batches.clear()
        self._batches_at_backward = self._discarded = 0
        self._record_batch(batch)

    def _record_batch(self, batch: MicroBatch) -> None:
        if self.step == self._start and (batch.logits is None or batch.targets is None):
            self._leave_out_logits()
        self._record(self.step, batch.loss, batch.logits, batch.targets, self._tables)
        self.step += 1

    def _pass_rows_on(self) -> Mirrors:
        """Let warnings and mirrors get the rows that reach the host."""
        if self._warning is not None and self._on_warning is not None:
            warn_from(self._tables, self._warning, self._on_warning)
        return Mirrors(self._targets, self._tables)

    def _leave_out_logits(self) -> None:
        """Record of each batch its loss alone, as there are no logits. No row has been written yet."""
        kept = without_logits(self._probes)
        if self._loss_only or kept == self._probes:
            return
        self._probes, self._loss_only = kept, True
        with random_states_kept(), ForwardPass(self._subject.model).undisturbed():
            self._tables = make_tables(kept, self._subject, self._curvatures)
        for table in self._tables:
            table.start_at(self.step)
        self._mirrors = self._pass_rows_on()
        self._writer.close(finished=False)
        self._writer = TraceWriter(self.path, self._groups(), self._attributes, overwrite=True)

    def update(self, loss: Tensor | float | None = None, logits: Any = None, targets: Tensor | None = None) -> None:
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

        Raises
        ------
        InputError
            If a probe needs an argument that is missing, there is no gradient yet, the call does not stand between
            ``backward()`` and ``step()``, or the loss is not that of logits and targets.
        """
        if self._steps is not None:
            self._follow(self._steps)
        batch = self._understood(loss, logits, targets)
        self._record_batch(batch)
        if self._checks and is_checked(self.step - 1):
            self._compare_loss(batch)

    def _follow(self, steps: Steps) -> None:
        """Compare the updates recorded with the steps made; a row whose step was not made is recorded anew."""
        if steps.before is not None and steps.before != self._gradients.compare:
            raise InputError(f"{self.path}: attach() records each step; give its batches to batch(), not to update()")
        if steps.begun > self._updates:
            raise InputError(
                f"{self.path}: the optimizer has made {steps.begun - self._updates} more steps than update() was "
                "called: call it once for each step, between loss.backward() and optimizer.step(); or call attach() "
                "once, and batch() for each batch"
            )
        if steps.begun < self._updates:
            if not steps.begun and not self._checks:
                self._stop_following()
                return
            if not steps.begun and self._gradients.were_finite:
                warnings.warn(
                    f"{self.path}: no step of the optimizer was seen between two updates, so steps that are skipped "
                    "are recorded too; give the recorder the optimizer whose step() is called",
                    stacklevel=3,
                )
                self._stop_following()
                return
            self._skipped += 1
            if self._skipped > MOST_SKIPPED:
                warnings.warn(
                    f"{self.path}: no step of the optimizer was seen in {self._skipped} updates, whose rows are lost, "
                    "so steps are not followed any more; is the optimizer another object by now?",
                    stacklevel=3,
                )
                self._stop_following()
                return
            self._undo()
        else:
            self._skipped = 0
        if not steps.begun and self._checks:
            steps.before = self._gradients.compare
            self._gradients.note()
        elif steps.before is not None:
            steps.before = None
        self._updates += 1

    def _undo(self) -> None:
        """Take back the last row, whose step was not made."""
        self._updates -= 1
        self.step -= 1
        self._open.clear()
        for table in self._tables:
            table.undo(self.step)

    def _undo_skipped(self) -> None:
        """Take back the last row if its step is known not to have been made."""
        if self._steps is not None and 0 < self._steps.begun < self._updates:
            self._undo()

    def _stop_following(self) -> None:
        for followed in (self._steps, self._backward):
            if followed is not None:
                followed.close()
        self._steps = self._backward = None

    @torch.no_grad()
    def _record(
        self, step: int, loss: Tensor | None, logits: Tensor | None, targets: Tensor | None, tables: Sequence[Table]
    ) -> None:
        """Record an update in those of the tables that are due."""
        if self._closed:
            raise InputError(f"{self.path}: this recorder is closed; make a new recorder for another run")
        moment = Moment(step, loss, logits, targets)
        self._complete_open_rows()
        if self._flush_is_due():
            self._flush()
        for table in tables:
            if table.is_full:
                table.send(self._writer)
            if table.next_due == step and table.measure(moment):
                self._open.append(table)
        if self._watch is not None:
            self._watch.update(step, loss, self._writer)

    def _complete_open_rows(self) -> None:
        for table in self._open:
            table.complete()
            if table.is_full:
                table.send(self._writer)
        self._open.clear()

    def _flush_is_due(self) -> bool:
        return time.monotonic() > self._flush_due

    def _flush(self) -> None:
        for table in self._tables:
            table.send(self._writer)
        self._writer.flush()
        self._mirrors.flushed(self.step)
        self._flush_due = time.monotonic() + self._flush_seconds

    @torch.no_grad()
    def state_dict(self) -> dict[str, Any]:
        """Write all rows to the file, and return what another recorder needs to continue it: see `resume`.

        Call it after ``optimizer.step()`` and before the next update, when model and optimizer are saved too.

        Returns
        -------
        dict
            Numbers, text and tensors in dictionaries and lists, which ``torch.save`` can write.
        """
        self._undo_skipped()
        self._complete_open_rows()
        self._flush()
        return {
            "step": self.step,
            "loss_only": self._loss_only,
            "groups": [table.group.name for table in self._tables],
            "tables": [table.state_dict() for table in self._tables],
            "watch": None if self._watch is None else self._watch.state_dict(),
            "warning": None if self._warning is None else self._warning.state_dict(),
        }

    @property
    def latest(self) -> dict[str, float]:
        """The newest value of each scalar quantity among those that have reached the host."""
        return {name: value for table in self._tables for name, value in table.latest.items()}

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(finished=kind is None)

    @torch.no_grad()
    def close(self, *, finished: bool = True) -> None:
        """Write the remaining rows and close the file. Closing twice does nothing.

        Parameters
        ----------
        finished : bool, optional
            Whether training came to its end. Then the probes that need no batch measure the state after the last update
            too, and the trace is marked as finished.
        """
        if self._closed:
            return
        self._closed = True
        if finished:
            self._undo_skipped()
        self._stop_following()
        with ExitStack() as stack:  # if one of these calls fails, the others still write what was measured
            found = {"gradients": self._gradients.found} if self._gradients.found else {}
            stack.push(lambda kind, *_: self._writer.close(finished=finished and kind is None, attributes=found))
            stack.callback(self._mirrors.close)
            for table in reversed(self._tables):
                stack.callback(table.receive, self._writer)
                stack.callback(table.send, self._writer)
            if finished:
                self._complete_open_rows()
                if self._watch is not None:
                    stack.callback(self._watch.close, self._writer)
                for table in self._tables:
                    if table.is_of_states and self.step:
                        if table.is_full:
                            table.send(self._writer)
                        table.measure(Moment(self.step))


def _as_module(model: nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module]) -> nn.Module:
    """Return the model behind a wrapper of parallel training, or its parts as one."""
    while isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
        model = model.module
    if isinstance(model, nn.Module):
        return model
    return nn.ModuleDict(dict(model)) if isinstance(model, Mapping) else nn.ModuleList(model)


def _described(counted: Sequence[torch.optim.Optimizer], optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Any]:
    """Return the optimizer whose steps count and, if there are several, all of them."""
    described = {"optimizer": describe_optimizer(counted[0])}
    return described | ({"optimizers": list(map(describe_optimizer, optimizers))} if len(optimizers) > 1 else {})
