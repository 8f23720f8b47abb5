"""The Recorder, which writes a dense trace of any PyTorch training loop: call it once per update."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording._table import Table, make_tables
from slingshot_analysis.recording.curvature import Curvatures
from slingshot_analysis.recording.mirrors import Mirrors
from slingshot_analysis.recording.online.flight import FLIGHT_GROUP, FlightRecorder
from slingshot_analysis.recording.online.warning import EarlyWarning, SlingshotWarning, warn_from
from slingshot_analysis.recording.online.watch import Transition, Watch
from slingshot_analysis.recording.probes._base import Moment, Probe, dtype_name
from slingshot_analysis.recording.probes._bundles import BUNDLES, EARLIER_BUNDLES, choose_probes, names_curvature
from slingshot_analysis.recording.provenance import describe_optimizer, provenance
from slingshot_analysis.recording.schedule import Budget
from slingshot_analysis.recording.subject.data import Data
from slingshot_analysis.recording.subject.losses import LossFunction, cross_entropy
from slingshot_analysis.recording.subject.model import ForwardPass, random_states_kept
from slingshot_analysis.recording.subject.subject import make_subject
from slingshot_analysis.recording.torch_internals import uncompiled
from slingshot_analysis.trace import TraceWriter, continue_trace, open_trace

FLUSH_SECONDS = 2.0
"""Longest time for which measured rows stay in memory, unless the user asks for another."""


class Recorder:
    """Record a training run into a trace file while it trains.

    Call :meth:`update` once per update, between ``loss.backward()`` and ``optimizer.step()``; with a gradient scaler
    after ``scaler.unscale_(optimizer)``. Recording never changes training: the recorder restores modes, gradients and
    the random states of Python, NumPy and PyTorch, and the weights stay bit-identical. The only exception is a model
    that changes something else in evaluation mode, such as a counter or a random generator of its own.
    Values are measured on the device of the parameters and copied to the host in blocks: every 512 rows or 2 s.

    Parameters
    ----------
    path : path-like
        The HDF5 file to write; its folder is created.
    model : nn.Module
        The model, in the state of step 0 and on its device; all parameters must be on one device.
    optimizer : torch.optim.Optimizer
        The optimizer. Its class and hyperparameters are written into the trace.
    train_data, val_data : (inputs, targets) pair of tensors, or iterable of such pairs, optional
        The whole training and validation sets, on which losses and accuracies are evaluated. An iterable, such as a
        DataLoader without shuffling, is run through once per evaluation; don't share it with the training loop.
    probe_inputs : Tensor, optional
        The fixed batch on which features are compared; by default the first 32 training inputs.
    probes : str, or iterable of str or Probe, optional
        What to record: a bundle ("light", "standard", "full"), names of ``slingshot_analysis.recording.PROBES`` with or
        without a number of updates ("hessian:50"), or objects such as ``Norms(every=Every(5))``.
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
    overwrite : bool, optional
        Whether to replace an existing file.
    resume : mapping, optional
        What :meth:`state_dict` returned when model and optimizer were in their present state. The trace at `path`, of a
        run that was killed, is cut at that step and continued.
    flush_seconds : float, optional, seconds
        Longest time between two writes of rows to the file; 2 by default.

    Raises
    ------
    InputError
        If the file exists, a name is unknown, or the model has no trainable parameter. With `resume`: if the file
        does not exist, is finished or holds other quantities.

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
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        train_data: Data | None = None,
        val_data: Data | None = None,
        probe_inputs: Tensor | None = None,
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
        overwrite: bool = False,
        resume: Mapping[str, Any] | None = None,
        flush_seconds: float | None = None,
    ) -> None:
        model, probes = uncompiled(model), probes if isinstance(probes, str) else list(probes)
        with random_states_kept(), ForwardPass(model).undisturbed():
            subject = make_subject(
                model,
                optimizer,
                train_data=train_data,
                val_data=val_data,
                probe_inputs=probe_inputs,
                last_layer=last_layer,
                feature_layers=feature_layers,
                loss_function=loss_function,
                loss_dtype=loss_dtype,
            )
            bundles = BUNDLES
            if resume is not None and "groups" not in resume:  # a checkpoint of an earlier version
                bundles, flight_recorder = EARLIER_BUNDLES, FLIGHT_GROUP in open_trace(path).groups
            chosen = choose_probes(probes, subject, curvature_budget, bundles)
            curvatures = Curvatures(subject)
            self._tables = make_tables(chosen, subject, curvatures)
            if flight_recorder is None:
                flight_recorder = FlightRecorder.fits(subject) and names_curvature(probes)
            budget = next((probe.every for probe in chosen if isinstance(probe.every, Budget)), None)
            flight = FlightRecorder(subject, curvatures, budget) if flight_recorder else None
        self._warning = EarlyWarning() if on_warning is not None else None
        if self._warning is not None and on_warning is not None:
            warn_from(self._tables, self._warning, on_warning)
        self._mirrors = Mirrors(mirrors, self._tables)
        watched = flight is not None or on_event is not None
        self._watch = Watch(flight, [on_event] if on_event else []) if watched else None
        first = next(iter(subject.parameters.values()))
        attributes = provenance(first.device) | {
            "config": json.dumps({"optimizer": describe_optimizer(optimizer), **(config or {})}),
            "dtype": dtype_name(first.dtype),
            "loss_dtype": dtype_name(loss_dtype or first.dtype),
            "last_layer": subject.last_layer,
        }
        attributes |= {"setup": setup} if setup else {}
        attributes |= {"seed": seed} if seed is not None else {}
        groups = [table.group for table in self._tables] + ([flight.group] if flight else [])
        if resume is None:
            self._writer = TraceWriter(path, groups, attributes, overwrite=overwrite)
        else:
            self._writer = continue_trace(path, groups, resume["step"], attributes)
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
        self.step: int = 0 if resume is None else resume["step"]
        """Number of updates recorded so far."""

    def update(self, loss: Tensor | None = None, logits: Tensor | None = None, targets: Tensor | None = None) -> None:
        """Record the state before this update and the update itself.

        Parameters
        ----------
        loss : () Tensor, optional
            The loss of the batch, as it was differentiated.
        logits : (..., classes) Tensor, optional
            The model's outputs for the batch.
        targets : (...) integer Tensor, optional
            Class of each sample of the batch.

        Raises
        ------
        InputError
            If a probe needs an argument that is missing, or there is no gradient yet.
        """
        self._record(self.step, loss, logits, targets, self._tables)
        self.step += 1

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
            if table.next_due == step:
                self._measure(table, moment)
        if self._watch is not None:
            self._watch.update(step, loss, self._writer)

    def _measure(self, table: Table, moment: Moment) -> None:
        if table.measure(moment):
            self._open.append(table)
        elif table.is_full:
            table.send(self._writer)

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
        self._complete_open_rows()
        self._flush()
        return {
            "step": self.step,
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
        with ExitStack() as stack:  # if one of these calls fails, the others still write what was measured
            stack.push(lambda kind, *_: self._writer.close(finished=finished and kind is None))
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
                        self._measure(table, Moment(self.step))
