"""The current chunk of rows, kept in memory and written to the file chunk by chunk."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.trace.schema import Group, Quantity

UNFILTERED = 0b11  # HDF5 filter mask: this chunk went through neither shuffle nor gzip
Array = npt.NDArray[Any]


class Rows:
    """The current chunk of one group: `filled` of its `rows` rows, of which `written` are in the file."""

    def __init__(self, group: Group, node: h5py.Group) -> None:
        self.name = group.name
        self.rows = rows = group.chunk_rows
        self.step = Chunk(node, "step", Quantity("updates", dtype="int64"), rows)
        self.columns = {quantity.name: Chunk(node, quantity.name, quantity, rows) for quantity in group.quantities}
        self.last_step = -1
        self.start = self.filled = self.written = 0

    @property
    def is_full(self) -> bool:
        """Whether the chunk has no room for another row."""
        return self.filled == self.rows

    def put_row(self, step: int, values: Mapping[str, object]) -> None:
        """Check one row and add it to the chunk."""
        if step <= self.last_step:
            raise self._not_increasing([step])
        columns, row = self.columns, self.filled
        for name, value in values.items():
            column = columns.get(name)
            if column is None:
                raise self._unknown(name)
            if not (column.takes_floats and isinstance(value, float)):
                value = self._checked(name, value, ())
            column.buffer[row] = value
        if len(values) < len(columns):
            raise self._missing(values)
        self.step.buffer[row] = step
        self.last_step = step
        self.filled += 1

    def check_block(self, step: object, values: Mapping[str, object]) -> tuple[Array, dict[str, Array]]:
        """Return steps and values as arrays, after a check that every row fits."""
        steps = np.asarray(step)
        if steps.ndim != 1 or (steps.dtype.kind not in "iu" and len(steps)):
            raise InputError(
                f"group {self.name!r}, step: got {steps.dtype} of shape {steps.shape}; "
                "expected an integer, or integers of shape (n,)"
            )
        steps = steps.astype(np.int64)
        if np.any(np.diff(steps, prepend=self.last_step) <= 0):
            raise self._not_increasing(steps.tolist())
        for name in values:
            if name not in self.columns:
                raise self._unknown(name)
        if len(values) < len(self.columns):
            raise self._missing(values)
        return steps, {name: self._checked(name, value, steps.shape) for name, value in values.items()}

    def put_rows(self, steps: Array, arrays: Mapping[str, Array], done: int) -> int:
        """Copy rows, from row `done` on, until the chunk is full, and return how many were copied."""
        count = min(self.rows - self.filled, len(steps) - done)
        here, there = slice(self.filled, self.filled + count), slice(done, done + count)
        for name, array in arrays.items():
            self.columns[name].buffer[here] = array[there]
        self.step.buffer[here] = steps[there]
        self.last_step = int(steps[done + count - 1])
        self.filled += count
        return count

    def write_quantities(self, last: bool) -> None:
        """Write the chunk of every dataset but `step`."""
        for column in self.columns.values():
            column.write(self.start, self.filled, self._compressed(last))

    def write_step(self, last: bool) -> None:
        """Write the chunk of `step`, and begin a new chunk if this one is full."""
        self.step.write(self.start, self.filled, self._compressed(last))
        self.written = self.filled
        if self.is_full:
            self.start += self.rows
            self.filled = self.written = 0

    def _compressed(self, last: bool) -> bool:
        return self.is_full or (last and not self.written)

    def _checked(self, name: str, value: object, rows: tuple[int, ...]) -> Array:
        buffer = self.columns[name].buffer
        shape = rows + buffer.shape[1:]
        try:
            array = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"group {self.name!r}, quantity {name!r}: got {type(value).__name__} that NumPy can't read ({error}); "
                f"expected {buffer.dtype} of shape {shape}"
            ) from error
        fits = np.can_cast(array.dtype, buffer.dtype, "same_kind") or not array.size
        if array.shape != shape or not fits:
            raise InputError(
                f"group {self.name!r}, quantity {name!r}: got {array.dtype} of shape {array.shape}; "
                f"expected {buffer.dtype} of shape {shape}"
            )
        return array

    def _not_increasing(self, steps: list[int]) -> InputError:
        given = ", ".join(map(str, steps[:3])) + (", ..." if len(steps) > 3 else "")
        after = f"larger than {self.last_step}, the last one" if self.last_step >= 0 else "not negative"
        return InputError(f"group {self.name!r}, step: got {given}; expected increasing steps, the first {after}")

    def _unknown(self, name: str) -> InputError:
        return unknown_name("quantity", name, self.columns, f"group {self.name!r}")

    def _missing(self, values: Mapping[str, object]) -> InputError:
        missing = ", ".join(repr(name) for name in self.columns if name not in values)
        return InputError(f"group {self.name!r}: no value for quantity {missing}; expected one for each quantity")


class Chunk:
    """The current chunk of one dataset, in memory."""

    def __init__(self, node: h5py.Group, name: str, quantity: Quantity, rows: int) -> None:
        self.node = node.id
        self.name = name.encode()
        self.buffer = np.zeros((rows, *quantity.shape), quantity.dtype)
        self.takes_floats = quantity.dtype == "float64" and not quantity.shape

    def write(self, start: int, rows: int, compressed: bool) -> None:
        """Write the chunk that begins at row `start`.

        A compressed chunk is written once. An unfiltered one always has the same size, so that it can be written
        again in the same place; a compressed one would leave its old place unused in the file each time.
        """
        shape = self.buffer.shape[1:]
        # The dataset is opened for each write: one that stays open remembers how its last chunk was filtered, and other
        # readers in this process would read the next chunk wrongly.
        dataset = h5py.h5d.open(self.node, self.name)
        dataset.set_extent((start + rows, *shape))
        offset = (start, *(0 for _ in shape))
        if compressed:
            shuffled = self.buffer.reshape(-1).view(np.uint8).reshape(-1, self.buffer.itemsize).T.tobytes()
            dataset.write_direct_chunk(offset, zlib.compress(shuffled, 1), 0)
        else:
            dataset.write_direct_chunk(offset, self.buffer.tobytes(), UNFILTERED)
