"""The search for the cuts of a signal into levels: ruptures' compiled PELT for the linear kernel."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SMALLEST = 2
"""Fewest samples of a level."""


def cuts(values: npt.NDArray[np.float64], penalty: float) -> list[int]:
    """Cut a signal into levels so that the sum of squares around their means, with a penalty for each cut, is least.

    Parameters
    ----------
    values : (n,) float array
        The signal, with n >= 4.
    penalty : float
        Price of a cut, positive.

    Returns
    -------
    list of int
        Where each level ends, the last one at n: what ``ruptures.KernelCPD(kernel="linear", min_size=2)`` gives.
    """
    search = _search()
    if search is None:
        from ruptures import KernelCPD

        return list(KernelCPD(kernel="linear", min_size=SMALLEST).fit(values).predict(pen=penalty))
    before = search(np.ascontiguousarray(values[:, None]), penalty, SMALLEST)
    ends = [len(values)]
    while before[ends[-1]] > 0:
        ends.append(int(before[ends[-1]]))
    return ends[::-1]


@cache
def _search() -> Callable[..., Any] | None:
    """Return ruptures' compiled function without the package around it, whose imports take most of a second.

    None where this version of ruptures has no such file.
    """
    package = importlib.util.find_spec("ruptures")
    folder = Path(str(package.origin)).parent / "detection" / "_detection" if package else None
    found = PathFinder.find_spec("ekcpd", [str(folder)])
    if found is None or found.loader is None:
        return None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.ekcpd_pelt_L2  # type: ignore[no-any-return]
