"""Names and norms of the arrays in a tree, for loops in JAX, MLX or NumPy that write a trace with `TraceWriter`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def named_arrays(tree: Any) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a tree by name.

    Parameters
    ----------
    tree : mapping, sequence or array
        Nested mappings and sequences of arrays, as JAX, Flax, MLX and Haiku hold parameters. None is left out.

    Returns
    -------
    dict of str to array
        Names are the keys and places on the way, joined by dots.

    Examples
    --------
    >>> list(named_arrays({"dense": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)}, "scale": [np.ones(1)]}))
    ['dense.kernel', 'dense.bias', 'scale.0']
    """
    return dict(_leaves(tree, ""))


def _leaves(tree: Any, place: str) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if isinstance(tree, Mapping):
        items = [(str(key), part) for key, part in tree.items()]
    elif isinstance(tree, Sequence) and not isinstance(tree, str | bytes):
        items = [(str(index), part) for index, part in enumerate(tree)]
    elif tree is None:
        return
    else:
        yield place or "value", np.asarray(tree)
        return
    for key, part in items:
        yield from _leaves(part, f"{place}.{key}" if place else key)


def array_norms(tree: Any) -> npt.NDArray[np.float64]:
    """Return the Euclidean norm of each array of a tree, in the order of `named_arrays`, computed in float64.

    Examples
    --------
    >>> array_norms({"kernel": np.array([[3.0, 4.0]]), "bias": np.array([2.0])}).tolist()
    [5.0, 2.0]
    """
    return np.array([np.linalg.norm(array.astype(np.float64).ravel()) for array in named_arrays(tree).values()])


def total_norm(tree: Any) -> float:
    """Return the Euclidean norm of all arrays of a tree together.

    Examples
    --------
    >>> total_norm([np.array([3.0]), np.array([4.0])])
    5.0
    """
    return float(np.linalg.norm(array_norms(tree)))
