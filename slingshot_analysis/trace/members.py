"""The members of an HDF5 group that are in this file, declare no more data than it has, and can be opened."""

from __future__ import annotations

from collections.abc import Iterator

import h5py

from slingshot_analysis.safe_text import in_one_line

HDF5_ERRORS = (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, UnicodeError, OverflowError)
"""What h5py raises of damaged files; an `InputError` is no damage."""

MOST_UNPACKED, SMALL = 1100, 1 << 20
"""Maximum ratio of unpacked and packed size that deflate reaches, and the bytes up to which no dataset is checked."""


def members(group: h5py.Group, place: str, lost: list[str]) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """Yield the path and node of each member of a group that is in this file and can be opened.

    Parameters
    ----------
    group : h5py.Group
        The group.
    place : str
        Its path.
    lost : list of str
        Gets the path of each other member, with the reason.
    """
    for name in group:
        where = f"{place}/{name}".lstrip("/")
        try:
            reason = "" if isinstance(group.get(name, getlink=True), h5py.HardLink) else "a link to elsewhere"
            node = None if reason else group[name]
            if isinstance(node, h5py.Dataset) and (node.external or node.is_virtual):
                reason = "stored in another file"
            elif isinstance(node, h5py.Dataset) and _is_larger_than_stored(node):
                reason = f"damaged: declares {node.size:,} numbers, which are not there"
        except HDF5_ERRORS as error:
            reason = f"damaged: {in_one_line(error)}"
        if reason:
            lost.append(f"{where} ({reason})")
        else:
            yield where, node


def _is_larger_than_stored(dataset: h5py.Dataset) -> bool:
    """Return whether a dataset declares more than its bytes in the file can unpack to."""
    stored = dataset.id.get_storage_size()
    return bool(dataset.size * dataset.dtype.itemsize > MOST_UNPACKED * stored + SMALL)
