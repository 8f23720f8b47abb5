"""What a trace holds: groups, one for each cadence, of named quantities."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.signal import Axis

FORMAT = "slingshot-trace"
VERSION = 1
CHUNK_ROWS = 4096
"""Rows in a chunk of what is measured at every update. Reading takes 2.6 times as long in chunks of 512."""
SPARSE_CHUNK_ROWS = 512
"""Rows in a chunk of what is measured less often. The last chunk of a dataset may stay at its full size."""
EVERY_UPDATE = "every 1"
"""Schedule of a group that is measured at every update."""
CHUNK_BYTES = 2**18
"""Maximum size of a chunk of more than one row."""
LIBVER = ("v110", "v110")  # the oldest format that knows SWMR: HDF5 1.10 and later can read it
DTYPES = ("float32", "float64", "int64")


def fitting_rows(row_bytes: int) -> int:
    """Return the number of rows that fit into a chunk, at least one."""
    return max(1, CHUNK_BYTES // row_bytes)


@dataclass(frozen=True)
class Quantity:
    """One quantity that is measured along a run.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and underscores, such as ``"last_layer_norm"``. Occurs once in a file.
    unit : str, optional
        Unit of the values; empty for pure numbers.
    description : str, optional
        One sentence on what is measured.
    axes : sequence of Axis, optional
        What the axes after step run over; none for a scalar quantity.
    dtype : {"float64", "float32", "int64"}, optional
        How the values are stored. NaN needs a float.

    Raises
    ------
    InputError
        If a name, an axis or the dtype is not allowed.

    Examples
    --------
    >>> Quantity("feature_change", axes=[Axis("layer", ["0", "2", "4"])]).shape
    (3,)
    """

    name: str
    unit: str = ""
    description: str = ""
    axes: Sequence[Axis] = ()
    dtype: str = "float64"

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))
        check_name("quantity", self.name, reserved=("step",))
        if self.dtype not in DTYPES:
            raise unknown_name("dtype", str(self.dtype), DTYPES, f"quantity {self.name!r}")
        for axis in self.axes:
            check_name(f"axis of quantity {self.name!r}", axis.name, reserved=("step",))
            if not axis.labels or not all(isinstance(label, str) for label in axis.labels):
                raise InputError(
                    f"quantity {self.name!r}, axis {axis.name!r}: labels are {list(axis.labels)!r}; "
                    "expected one or more strings"
                )
        for what, names in [
            ("axes", [axis.name for axis in self.axes]),
            *((f"labels of axis {axis.name!r}", axis.labels) for axis in self.axes),
        ]:
            if twice := _first_repeated(names):
                raise InputError(f"quantity {self.name!r}: {twice!r} occurs twice among its {what}; give each once")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row: empty for a scalar quantity."""
        return tuple(len(axis.labels) for axis in self.axes)

    @property
    def row_bytes(self) -> int:
        """Size of one row."""
        return math.prod(self.shape) * int(self.dtype[-2:]) // 8


@dataclass(frozen=True)
class Group:
    """Quantities that are measured at the same steps.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and underscores, such as ``"every_10"``.
    quantities : sequence of Quantity
        At least one.
    schedule : str, optional
        When the group is measured, in words, such as ``"every 10"``. Groups of ``"every 1"`` have long chunks.

    Raises
    ------
    InputError
        If the name is not allowed, there is no quantity, or a name occurs twice.

    Examples
    --------
    >>> group = Group("every_1", [Quantity("batch_loss", "nat"), Quantity("last_layer_norm", "norm")], "every 1")
    >>> [quantity.name for quantity in group.quantities]
    ['batch_loss', 'last_layer_norm']
    """

    name: str
    quantities: Sequence[Quantity]
    schedule: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "quantities", tuple(self.quantities))
        check_name("group", self.name, reserved=("axes",))
        if not self.quantities:
            raise InputError(f"group {self.name!r} has no quantities; give at least one")
        check_groups([self])

    @property
    def chunk_rows(self) -> int:
        """Number of rows in a chunk of each of the group's datasets."""
        rows = CHUNK_ROWS if self.schedule == EVERY_UPDATE else SPARSE_CHUNK_ROWS
        return min(rows, fitting_rows(max(quantity.row_bytes for quantity in self.quantities)))

    @property
    def axes(self) -> dict[str, Axis]:
        """The axes of all its quantities, by name."""
        return {axis.name: axis for quantity in self.quantities for axis in quantity.axes}


def check_groups(groups: Iterable[Group]) -> None:
    """Raise InputError unless these groups can stand in one file."""
    groups = list(groups)
    if not groups:
        raise InputError("a trace needs at least one group; got none")
    if twice := _first_repeated([group.name for group in groups]):
        raise InputError(f"group {twice!r} is given twice; join the two or rename one")
    if twice := _first_repeated([quantity.name for group in groups for quantity in group.quantities]):
        where = [group.name for group in groups if twice in [quantity.name for quantity in group.quantities]]
        raise InputError(
            f"quantity {twice!r} is given twice (group {', '.join(where)}); a name occurs once in a file, so rename one"
        )
    names_of_axes = {name for group in groups for name in group.axes}
    labels: dict[str, tuple[str, Sequence[str]]] = {}
    for group in groups:
        for quantity in group.quantities:
            if quantity.name in names_of_axes:
                raise InputError(f"group {group.name!r}: {quantity.name!r} names a quantity and an axis; rename one")
            for axis in quantity.axes:
                other, known = labels.setdefault(axis.name, (quantity.name, axis.labels))
                if known != axis.labels:
                    raise InputError(
                        f"axis {axis.name!r} has other labels in quantity {quantity.name!r} than in {other!r}; "
                        "rename one of the two axes"
                    )


def check_name(what: str, name: str, reserved: Sequence[str] = ()) -> None:
    """Raise InputError unless `name` can name something in a trace."""
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise InputError(
            f"{what} {name!r}: expected a name of lower-case letters, digits and underscores that begins with a letter"
        )
    if name in reserved:
        raise InputError(f"{what} {name!r}: this name is taken by the trace format; choose another")


def _first_repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]
