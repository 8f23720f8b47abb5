"""Train a setup and record it: what ``slingshot record`` does, as a function."""

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
from trainers.checkpoint import checkpoint_path, discard_checkpoint, load_checkpoint, save_checkpoint
from trainers.lock import owned
from trainers.loop import Run, cpu_settings, updates
from trainers.objective import Objective
from trainers.optimizers import as_kind
from trainers.setup import Setup, check_settings, resolved, settings_of
from trainers.setups import SETUPS

__all__ = ["default_name", "differences", "find_device", "is_finished", "make_recorder", "record", "start"]

WITHOUT_CLASSES = "norms", "update_norm", "cosine_distance"
"""What is measured by default, and of a bundle, beside the objective, where nothing is classified."""

LONGEST_NAME = 200
"""Bytes. File systems take 255, and names of passing files are longer."""


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
    progress: Callable[[int, Recorder], None] | None = None,
) -> Path:
    """Train a setup and write its trace.

    Parameters
    ----------
    setup : Setup
        What to train, such as ``find_setup("parity_3_50")``.
    out : path-like, optional
        A folder, in which the file is named after the setup, its seed and what differs from the default; or a file
        that ends in .h5 or .hdf5.
    device : {"auto", "cpu", "cuda"}, optional
        Where to train; "auto" takes a GPU where there is one.
    threads : int, optional
        Threads of PyTorch's CPU kernels. More than one changes rounding.
    flush_denormal : bool, optional
        Let the CPU round denormal numbers to zero. Adam's second moment may fall among them late in training, and
        some CPUs are slow at them: benchmarks/denormals.py measures it.
    overwrite : bool, optional
        Replace an existing file.
    probes, curvature_budget, flight_recorder
        What to record: as for `Recorder`. The objective of a setup without classes is always recorded, and by default
        norms beside it.
    checkpoint_every : int, optional, updates
        Write a checkpoint beside the trace, at the start and each time so many updates are done; it is removed when
        the run has come to its end.
    resume : bool, optional
        Go on from the checkpoint of a run that was killed: on a CPU the trace becomes, bit for bit, what it would have
        been. Where there is neither trace nor checkpoint the run starts, and one that is finished stays as it is, so
        that the same call can be made until the run is done.
    progress : callable, optional
        Called with the number of updates done and the recorder, after each update.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If the file exists, another process writes it, the device is not there, or the setup can't be trained; with
        `resume`, if there is a trace without a checkpoint of the same setup, or one of another setup.
    """
    out = Path(out)
    path = out if out.suffix in (".h5", ".hdf5") else out / default_name(setup)
    measured = {"curvature_budget": curvature_budget, "flight_recorder": flight_recorder, "probes": probes}
    with owned(path), cpu_settings(threads, flush_denormal):
        if resume and is_finished(path, setup, overwrite):
            return path
        run, checkpoint = Run(setup, find_device(device)), checkpoint_path(path)
        state = start(run, path, overwrite, checkpoint_every, resume)
        with make_recorder(run, path, overwrite or resume, state, **measured) as recorder:
            for step in updates(run, recorder, recorder.step):
                if checkpoint_every and step % checkpoint_every == 0:
                    save_checkpoint(checkpoint, run, recorder)
                if progress:
                    progress(step, recorder)
        if checkpoint_every or resume:
            checkpoint.unlink(missing_ok=True)
    return path


def is_finished(path: Path, setup: Setup, overwrite: bool) -> bool:
    """Return whether a run that is to be resumed has come to its end before.

    Raises
    ------
    InputError
        If the trace is of a run with other settings, or is to be replaced too.
    """
    if overwrite:
        raise InputError(f"{path}: resume=True goes on and overwrite=True starts anew; leave one of them out")
    if not path.exists():
        return False
    trace = open_trace(path)
    if trace.finished:
        check_settings(path, setup, trace.config)
    return trace.finished


def start(run: Run, path: Path, overwrite: bool, checkpoint_every: int | None, resume: bool) -> dict[str, Any] | None:
    """Bring a run to where it is to begin: to its checkpoint where it is resumed, else write the first one.

    Returns
    -------
    dict or None
        The state of its recorder; None where it is at step 0.
    """
    checkpoint = checkpoint_path(path)
    if resume and (path.exists() or checkpoint.exists()):
        saved = load_checkpoint(checkpoint, run.setup)
        run.load_state_dict(saved["run"])
        recorder: dict[str, Any] | None = saved["recorder"]
        return recorder
    if overwrite or not path.exists():
        discard_checkpoint(checkpoint)
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
    """Make the recorder of a run, which measures what fits its loss where no `probes` are named."""
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
        overwrite=overwrite,
        resume=state,
    )


def _without_classes(probe: str | Probe) -> list[str | Probe]:
    """Return a probe as it is, and of a bundle those that need no classes."""
    if isinstance(probe, Probe) or probe not in BUNDLES:
        return [probe]
    return [entry for entry in BUNDLES[probe] if entry.partition(":")[0] in WITHOUT_CLASSES]


def find_device(name: str) -> torch.device:
    """Return the device that ``--device`` names.

    Raises
    ------
    InputError
        If it is not on this machine.
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
        raise InputError(f"device={name!r}: allowed are auto, cpu, cuda and cuda:N, N below the number of GPUs")
    return device


def default_name(setup: Setup) -> str:
    """Return the file name of a trace: setup, seed, and each field that differs from the setup as registered.

    An optimizer of another kind is named, and compared with the setup's own as ``--optimizer`` translates it. A name of
    more than 200 bytes is cut, and a digest of the whole of it stands at its end.

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
    """Return how a setup differs from another of its kind, but for the seed, as it stands in the name of a trace.

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
