"""Train a setup and record it: what ``slingshot record`` does, as a function."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import Recorder
from trainers.loop import Run, cpu_settings, updates
from trainers.setup import Setup, flatten, resolved
from trainers.setups import SETUPS

__all__ = ["default_name", "find_device", "record"]


def record(
    setup: Setup,
    out: str | Path = "runs",
    *,
    device: str = "auto",
    threads: int = 1,
    flush_denormal: bool = True,
    overwrite: bool = False,
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
    progress : callable, optional
        Called with the number of updates done and the recorder, after each update.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If the file exists, the device is not there, or the setup can't be trained.
    """
    out = Path(out)
    path = out if out.suffix in (".h5", ".hdf5") else out / default_name(setup)
    with cpu_settings(threads, flush_denormal):
        _record(setup, path, find_device(device), overwrite, progress)
    return path


def _record(
    setup: Setup,
    path: Path,
    device: torch.device,
    overwrite: bool,
    progress: Callable[[int, Recorder], None] | None,
) -> None:
    run = Run(setup, device)
    data = run.data
    with Recorder(
        path,
        run.model,
        run.optimizer,
        train_data=(data.train_inputs, data.train_targets),
        val_data=(data.val_inputs, data.val_targets),
        setup=setup.name,
        config=resolved(setup),
        seed=setup.seed,
        loss_dtype=setup.torch_loss_dtype,
        overwrite=overwrite,
    ) as recorder:
        for step in updates(run, recorder):
            if progress:
                progress(step, recorder)


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
        raise InputError("--device cuda: PyTorch finds no CUDA device on this machine; use --device cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise InputError(f"--device {name}: allowed are auto, cpu, cuda and cuda:N") from None


def default_name(setup: Setup) -> str:
    """Return the file name of a trace: setup, seed, and each field that differs from the setup as registered.

    Examples
    --------
    >>> import dataclasses
    >>> default_name(dataclasses.replace(SETUPS["parity_3_50"], seed=4, dtype="float64"))
    'parity_3_50-s4-dtype=float64.h5'
    """
    standard = flatten(SETUPS[setup.name]) if setup.name in SETUPS else {}
    parts = [
        f"-{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in flatten(setup).items()
        if name not in ("seed", "data.folder") and standard and value != standard[name]
    ]
    return f"{setup.name}-s{setup.seed}{''.join(parts).replace(os.sep, '_')}.h5"
