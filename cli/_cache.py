"""What takes long to find out about this machine and this version of the code, kept in a folder of the user's cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = "SLINGSHOT_CACHE"
"""The environment variable that names another folder."""


def kept(name: str, packages: Iterable[str], find: Callable[[], Any], anew: bool = False) -> Any:
    """Return what was found before on this machine with this code, or find it and keep it.

    Parameters
    ----------
    name : str
        What is kept.
    packages : iterable of str
        Packages whose files it depends on, beside the versions of this project and of PyTorch.
    find : callable
        Returns a value of JSON.
    anew : bool, optional
        Whether to find it in any case.
    """
    path = _folder() / f"{name}-{_mark(packages)}.json"
    if not anew:
        with contextlib.suppress(OSError, ValueError):
            return json.loads(path.read_text(encoding="utf-8"))
    found = find()
    with contextlib.suppress(OSError):  # a cache that can't be written costs time, nothing else
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.replace(path)
    return found


def _folder() -> Path:
    given = os.environ.get(FOLDER)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slingshot-analysis"


def _mark(packages: Iterable[str]) -> str:
    """Return a mark of the machine, the versions and the files of some packages, by their times and sizes."""
    root = Path(__file__).parents[1]
    files = sorted(file for package in packages for file in (root / package).rglob("*.py"))
    states = [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    machine = (platform.node(), platform.machine(), platform.processor(), os.cpu_count())
    return hashlib.sha256(
        repr((machine, version("slingshot-analysis"), version("torch"), states)).encode()
    ).hexdigest()[:16]
