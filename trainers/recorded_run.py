"""Train a setup and record its trace."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import BUNDLES, Probe, Recorder
from slingshot_analysis.trace import open_trace
from trainers.checkpoint import (
    checkpoint_path,
    discard_checkpoints,
    keep_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from trainers.lock import owned
from trainers.loop import updates
from trainers.objective import Objective
from trainers.optimizers import as_kind
from trainers.run import Run, cpu_settings
from trainers.setup import Setup, check_settings, resolved, settings_of
from trainers.setups import SETUPS

WITHOUT_CLASSES = "norms", "update_norm", "cosine_distance"
"""Probes for setups without classes. They are the default, and the only probes of a bundle that are kept."""

LONGEST_NAME = 200
"""Length in bytes. File systems allow 255, and the names of temporary files are longer than that of the trace."""


def record(
    setup: Setup,
    out: str | Path = "runs",
    *,
    device: str = "auto",
    threads: int = 1,
    flush_denormal: bool = True,
    overwrite: bool = False,
    probes: str | Iterable[str | Probe] | None = None,
    curvature_budget: float | None = None,
    flight_recorder: bool | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    keep: int | None = 0,
    progress: Callable[[int, Recorder], None] | None = None,
) -> Path:
    """Train a setup and write its trace.

    Parameters
    ----------
    setup : Setup
        The experiment, such as ``find_setup("parity_3_50")``.
    out : path-like, optional
        A file that ends in .h5 or .hdf5; or a folder, in which the file is named after the setup, its seed and the
        fields that differ from the registered setup.
    device : {"auto", "cpu", "cuda"}, optional
        Where to train; "auto" is the GPU if there is one.
    threads : int, optional
        Threads of PyTorch's CPU kernels. Their number affects rounding.
    flush_denormal : bool, optional
        Whether the CPU rounds denormal numbers to zero. Adam's second moment may become denormal late in training,
        which slows some CPUs down (see benchmarks/denormals.py).
    overwrite : bool, optional
        Whether to replace an existing file.
    probes, curvature_budget, flight_recorder
        What to record, see `Recorder`. For a setup without classes, the objective is always recorded, and by default
        some norms too.
    checkpoint_every : int, optional, updates
        Number of updates between checkpoints. The first one is written at the start. The checkpoint is in the folder of
        the trace, and is deleted at the end of the run.
    resume : bool, optional
        Whether to continue a killed run from its checkpoint. On a CPU the trace becomes the same, bit for bit, as that
        of an uninterrupted run; only the steps at which curvature is measured within a budget depend on the time. If
        there is neither trace nor checkpoint, the run starts; if the run is finished, nothing happens. So the same call
        can be repeated until the run is finished.
    keep : int or None, optional
        Number of checkpoints to keep after the run, the last ones; None keeps all. They are in the folder
        ``NAME.checkpoints`` beside the trace ``NAME.h5``, and a branch begins from them.
    progress : callable, optional
        Called after each update with the number of updates made and the recorder.

    Returns
    -------
    Path
        The trace.

    Raises
    ------
    InputError
        If the file exists, another process writes it, the device does not exist, or the setup can't be trained. With
        `resume`, also if the trace has no checkpoint, or if trace or checkpoint belong to another setup.
    """
    out = Path(out)
    path = out if out.suffix in (".h5", ".hdf5") else out / default_name(setup)
    with owned(path), cpu_settings(threads, flush_denormal):
        if resume and is_finished(path, setup, overwrite):
            return path
        run, checkpoint = Run(setup, find_device(device)), checkpoint_path(path)
        state = start(run, path, overwrite, checkpoint_every, resume)
        with make_recorder(
            run,
            path,
            overwrite or resume,
            state,
            probes=probes,
            curvature_budget=curvature_budget,
            flight_recorder=flight_recorder,
        ) as recorder:
            for step in updates(run, recorder, recorder.step):
                if checkpoint_every and step % checkpoint_every == 0:
                    save_checkpoint(checkpoint, run, recorder)
                    if keep != 0:
                        keep_checkpoint(path, step, keep)
                if progress:
                    progress(step, recorder)
        if checkpoint_every or resume:
            checkpoint.unlink(missing_ok=True)
    return path


def is_finished(path: Path, setup: Setup, overwrite: bool) -> bool:
    """Return whether the trace of a run that is to be resumed is already finished.

    Raises
    ------
    InputError
        If the trace belongs to a run with other settings, or `overwrite` is given too.
    """
    if overwrite:
        raise InputError(
            f"{path}: resume=True continues the run and overwrite=True starts it again; leave one of them out"
        )
    if not path.exists():
        return False
    trace = open_trace(path)
    if trace.finished:
        check_settings(path, setup, trace.config)
    return trace.finished


def start(run: Run, path: Path, overwrite: bool, checkpoint_every: int | None, resume: bool) -> dict[str, Any] | None:
    """Restore a resumed run from its checkpoint, or write the first checkpoint of a new run.

    Returns
    -------
    dict or None
        State of the recorder in the checkpoint; None if the run starts at step 0.
    """
    checkpoint = checkpoint_path(path)
    if resume and (path.exists() or checkpoint.exists()):
        saved = load_checkpoint(checkpoint, run.setup)
        run.load_state_dict(saved["run"])
        recorder: dict[str, Any] | None = saved["recorder"]
        return recorder
    if overwrite or not path.exists():
        discard_checkpoints(path)
        if checkpoint_every and checkpoint.exists():
            raise InputError(f"{checkpoint}: is not a checkpoint of a run; move it away, or choose another out=")
        if checkpoint_every:
            save_checkpoint(checkpoint, run)
    return None


def make_recorder(
    run: Run,
    path: Path,
    overwrite: bool,
    state: dict[str, Any] | None,
    *,
    probes: str | Iterable[str | Probe] | None = None,
    **options: Any,
) -> Recorder:
    """Make the recorder of a run. Setups without classes record the objective and no probes that need classes."""
    setup, data = run.setup, run.data
    if setup.loss != "output":
        probes = "standard" if probes is None else probes
    else:
        named = WITHOUT_CLASSES if probes is None else [probes] if isinstance(probes, str) else probes
        probes = [Objective(), *(probe for one in named for probe in _without_classes(one))]
    return Recorder(
        path,
        run.model,
        run.optimizer,
        train_data=(data.train_inputs, data.train_targets),
        val_data=(data.val_inputs, data.val_targets) if len(data.val_inputs) else None,
        probes=probes,
        **options,
        loss_function=setup.loss_function,
        setup=setup.name,
        config=resolved(setup),
        seed=setup.seed,
        loss_dtype=setup.torch_loss_dtype,
        checks=False,
        overwrite=overwrite,
        resume=state,
    )


def _without_classes(probe: str | Probe) -> list[str | Probe]:
    """Return the probes of a bundle that need no classes, or a single probe unchanged."""
    if isinstance(probe, Probe) or probe not in BUNDLES:
        return [probe]
    return [entry for entry in BUNDLES[probe] if entry.partition(":")[0] in WITHOUT_CLASSES]


def find_device(name: str) -> torch.device:
    """Return the device of this name.

    Raises
    ------
    InputError
        If this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("device='cuda': PyTorch finds no CUDA device on this machine; use device='cpu'")
    count = {"cpu": 1, "cuda": torch.cuda.device_count()}
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or (device.index or 0) >= count.get(device.type, 0):
        raise InputError(f"device={name!r}: allowed are auto, cpu, cuda, and cuda:N with N below the number of GPUs")
    return device


def default_name(setup: Setup) -> str:
    """Return the file name of a trace: setup, seed, and each field that differs from the registered setup.

    A name of more than 200 bytes is shortened and ends with a hash of the whole name.

    Examples
    --------
    >>> import dataclasses
    >>> default_name(dataclasses.replace(SETUPS["parity_3_50"], seed=4, dtype="float64"))
    'parity_3_50-s4-dtype=float64.h5'
    """
    parts = differences(setup, SETUPS[setup.name]) if setup.name in SETUPS else ""
    name = f"{setup.name}-s{setup.seed}{parts}".replace(os.sep, "_")
    if len(name.encode()) > LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        name = f"{name.encode()[:LONGEST_NAME].decode(errors='ignore')}-{digest}"
    return f"{name}.h5"


def differences(setup: Setup, standard: Setup) -> str:
    """Return the fields in which a setup differs from a standard, except the seed, as text for a file name.

    If the optimizers are of different kinds, the kind is included, and the fields are compared with those of
    `with_optimizer`.

    Examples
    --------
    >>> import dataclasses
    >>> differences(dataclasses.replace(SETUPS["parity_3_50"], steps=50), SETUPS["parity_3_50"])
    '-steps=50'
    """
    parts, kind = [], type(setup.optimizer)
    if type(standard.optimizer) is not kind:
        standard = dataclasses.replace(standard, optimizer=as_kind(standard.optimizer, kind))
        parts.append(f"-optimizer={kind.__name__}")
    fields = settings_of(standard)
    parts += [
        f"-{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in settings_of(setup).items()
        if name not in ("seed", "data.folder") and value != fields[name]
    ]
    return "".join(parts)
