"""Nested mappings, such as configurations and records of JSON, as flat ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

DEEPEST = 64
"""What is nested deeper stays a mapping, so that a damaged file can't nest names without end."""


def flatten(table: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """Return the values of a nested mapping by the names on the way to them.

    A mapping with a key ``_type``, by which Weights & Biases marks pictures and histograms, stays whole.

    Parameters
    ----------
    table : mapping
        Its values may be mappings again, at most 64 deep.
    separator : str, optional
        What stands between two names.

    Returns
    -------
    dict of str to object
        In the order of `table`.

    Examples
    --------
    >>> flatten({"optimizer": {"lr": 0.004, "eps": 1e-8}, "seed": 3})
    {'optimizer.lr': 0.004, 'optimizer.eps': 1e-08, 'seed': 3}
    """
    return dict(_items(table, separator, 0))


def _items(table: Mapping[str, Any], separator: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping) and "_type" not in value and depth < DEEPEST:
            for inner, item in _items(value, separator, depth + 1):
                yield f"{name}{separator}{inner}", item
        else:
            yield str(name), value
