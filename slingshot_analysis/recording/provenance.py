"""Attributes of a trace that describe the program and the machine that made it."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def provenance(device: torch.device) -> dict[str, str | int | bool]:
    """Return the attributes of a trace that describe the environment.

    Parameters
    ----------
    device : torch.device
        The device on which the model is trained.

    Returns
    -------
    dict
        `device`, `threads`, `cpu_kernels`, `flush_denormal`, `libraries` (JSON) and `command`. Within a git checkout
        also `git_revision`, which ends in ``-dirty`` if files of the checkout are modified.
    """
    attributes: dict[str, str | int | bool] = {
        "device": f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "cpu_kernels": torch.backends.cpu.get_cpu_capability(),
        "flush_denormal": flushes_denormals(),
        "libraries": json.dumps(_library_versions()),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }
    revision = _git_revision()
    return attributes | ({"git_revision": revision} if revision else {})


def run_attributes(
    parameter: Tensor,
    loss_dtype: torch.dtype | None,
    last_layer: str,
    config: Mapping[str, Any],
    setup: str,
    seed: int | None,
) -> dict[str, str | int | bool]:
    """Return the attributes of a trace that describe the run and its environment.

    Parameters
    ----------
    parameter : Tensor
        A parameter, with the dtype and on the device of training.
    loss_dtype, last_layer, config, setup, seed
        As for `Recorder`.
    """
    described = provenance(parameter.device) | {
        "config": json.dumps(dict(config)),
        "dtype": str(parameter.dtype).removeprefix("torch."),
        "loss_dtype": str(loss_dtype or parameter.dtype).removeprefix("torch."),
        "last_layer": last_layer,
    }
    named = {"setup": setup or None, "seed": seed}
    return described | {name: value for name, value in named.items() if value is not None}


def describe_optimizers(
    counted: Sequence[torch.optim.Optimizer], optimizers: Sequence[torch.optim.Optimizer]
) -> dict[str, Any]:
    """Return the optimizer whose steps count and, if there are several, all of them."""
    described: dict[str, Any] = {"optimizer": describe_optimizer(counted[0])}
    return described | ({"optimizers": list(map(describe_optimizer, optimizers))} if len(optimizers) > 1 else {})


def describe_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the class of an optimizer and the hyperparameters of its first parameter group."""
    group = {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}
    plain = {
        name: v if isinstance(v, bool | int | float | str | tuple | type(None)) else str(v) for name, v in group.items()
    }
    return {"class": type(optimizer).__name__, **plain}


def flushes_denormals() -> bool:
    """Return whether this thread's CPU arithmetic flushes denormal numbers to zero."""
    smallest_normal = torch.tensor([torch.finfo(torch.float32).tiny])
    return not bool((smallest_normal / 2).any())


@lru_cache
def _library_versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in ("slingshot-analysis", "torch", "numpy", "h5py"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _git_revision() -> str | None:
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
