"""Decode the wire format of protocol buffers: enough for the messages in which other programs write logs."""

from __future__ import annotations

import struct

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Message:
    """The fields of one encoded message, without its schema.

    A field of another type than the requested one counts as absent, as the specification of protocol buffers demands.

    Parameters
    ----------
    data : bytes
        The encoded message.

    Raises
    ------
    ValueError
        If it is cut or not in this format.

    Examples
    --------
    >>> message = Message(bytes.fromhex("0803 1202 6869 1d 0000803f"))
    >>> message.integers(1), message.text(2), message.floats(3)
    ([3], 'hi', [1.0])
    """

    def __init__(self, data: bytes) -> None:
        self._numbers: dict[int, list[int]] = {}
        self._bytes: dict[tuple[int, int], list[bytes]] = {}
        position = 0
        while position < len(data):
            key, position = read_varint(data, position)
            number, kind = key >> 3, key & 7
            if kind == VARINT:
                value, position = read_varint(data, position)
                self._numbers.setdefault(number, []).append(value)
                continue
            if kind == BYTES:
                size, position = read_varint(data, position)
            elif kind in (FIXED32, FIXED64):
                size = 4 if kind == FIXED32 else 8
            else:
                raise ValueError(f"field {number} has the unknown wire type {kind}")
            if position + size > len(data):
                raise ValueError(f"field {number} is cut")
            self._bytes.setdefault((number, kind), []).append(data[position : position + size])
            position += size

    def __contains__(self, number: object) -> bool:
        return number in self._numbers or any(found == number for found, _ in self._bytes)

    def blobs(self, number: int) -> list[bytes]:
        """Return the byte strings of a field."""
        return self._bytes.get((number, BYTES), [])

    def messages(self, number: int) -> list[Message]:
        """Return the messages of a field."""
        return [Message(data) for data in self.blobs(number)]

    def message(self, number: int) -> Message:
        """Return the last message of a field; an empty one if there is none."""
        found = self.blobs(number)
        return Message(found[-1] if found else b"")

    def texts(self, number: int) -> list[str]:
        """Return the texts of a field."""
        return [data.decode() for data in self.blobs(number)]

    def text(self, number: int) -> str:
        """Return the last text of a field; empty if there is none."""
        found = self.blobs(number)
        return found[-1].decode() if found else ""

    def integers(self, number: int) -> list[int]:
        """Return the signed integers of a field, packed or not."""
        values = list(self._numbers.get(number, []))
        for data in self.blobs(number):
            position = 0
            while position < len(data):
                value, position = read_varint(data, position)
                values.append(value)
        return [value - (1 << 64) if value >> 63 else value for value in values]

    def integer(self, number: int) -> int:
        """Return the last integer of a field; zero if there is none."""
        return ([0, *self.integers(number)])[-1]

    def floats(self, number: int) -> list[float]:
        """Return the 32-bit floats of a field, packed or not."""
        return self._fixed(number, FIXED32, "f")

    def doubles(self, number: int) -> list[float]:
        """Return the 64-bit floats of a field, packed or not."""
        return self._fixed(number, FIXED64, "d")

    def _fixed(self, number: int, kind: int, code: str) -> list[float]:
        data = b"".join(self._bytes.get((number, kind), []) + self.blobs(number))
        size = struct.calcsize(code)
        if len(data) % size:
            raise ValueError(f"field {number} holds {len(data)} bytes, not a multiple of {size}")
        return list(struct.unpack(f"<{len(data) // size}{code}", data))


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the unsigned integer at `position` and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ValueError("an integer is cut")
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & ((1 << 64) - 1), position
    raise ValueError("an integer has more than ten bytes")
