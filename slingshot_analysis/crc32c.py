"""The checksum of records in event files: CRC-32C, masked as TensorFlow masks it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def masked_checksums(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]:
    """Return the checksums of many pieces of data, byte by byte for all pieces at once.

    Parameters
    ----------
    data : (n,) uint8 array
        All bytes.
    starts, sizes : (m,) int array
        Where each piece begins, and its length.

    Examples
    --------
    >>> hex(masked_checksums(np.frombuffer(b"123456789", np.uint8), np.array([0]), np.array([9]))[0])
    '0xc78ab0e5'
    """
    order = np.argsort(-sizes, kind="stable")
    starts, sizes = starts[order], sizes[order]
    state = np.full(len(starts), 0xFFFFFFFF, np.uint32)
    remaining = np.searchsorted(-sizes, -np.arange(1, sizes.max(initial=0) + 1), side="right")
    for position, count in enumerate(remaining):
        byte = data[starts[:count] + position]
        state[:count] = TABLE[(state[:count] ^ byte) & 0xFF] ^ (state[:count] >> 8)
    state ^= np.uint32(0xFFFFFFFF)
    result = np.empty_like(state)
    result[order] = ((state >> 15) | (state << 17)) + np.uint32(0xA282EAD8)
    return result


def _make_table() -> npt.NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(0x82F63B78), table >> 1)
    return table


TABLE = _make_table()
