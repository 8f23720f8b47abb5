"""HDF5 files of other programs: each one-dimensional dataset of numbers is a column, named by its path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._gate import check_size, isolated
from slingshot_analysis.readers._parts.points import listed
from slingshot_analysis.readers._raw import Column, RawRun, Reader, plain
from slingshot_analysis.safe_text import in_one_line
from slingshot_analysis.trace.members import HDF5_ERRORS, members
from slingshot_analysis.trace.reader import is_trace

HDF5_HEAD = b"\x89HDF\r\n\x1a\n"
STEPS = ("step", "steps", "iteration", "epoch")
MOST_LEVELS = 20
"""Number of enclosing groups in which the steps of a dataset are looked for."""
SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "eval", "evaluation"}

Numbers = npt.NDArray[np.float64]


class HDF5Reader(Reader):
    """Datasets in groups. A dataset such as ``step`` holds the steps of the datasets of its group and length.

    Groups with the same names in them, such as ``seed_0`` and ``seed_1``, are runs, unless their names are those of
    splits. Scalar numbers and attributes are attributes of the run. Other shapes are left out and noted.
    """

    name = "hdf5"
    suffixes = (".h5", ".hdf5", ".he5")

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Return whether this is an HDF5 file without the root attribute of a trace."""
        return head.startswith(HDF5_HEAD) and not isolated(path, is_trace)

    def read(self, path: Path) -> list[RawRun]:
        """Read the one run, or one for each of the groups that hold the same names.

        Raises
        ------
        InputError
            If the file can't be opened or is damaged, or holds no one-dimensional dataset of numbers.
        """
        columns, attributes, left_out = isolated(path, _read_file)
        notes = [f"datasets that are no one-dimensional numbers were left out: {listed(left_out)}"] if left_out else []
        if not columns:
            what = f"; left out were {listed(left_out)}" if left_out else ""
            raise InputError(
                f"{path}: holds no one-dimensional dataset of numbers{what}; store a column in each dataset"
            )
        base, names = _runs_in(columns)
        runs = []
        for name, mine in _split(columns, base, names).items():
            found, more = _with_steps(mine)
            known = _split(attributes, base, names).get(name, {}) if len(names) > 1 else attributes
            runs.append(RawRun(name, found, known, notes + more))
        return runs


def _read_file(path: Path) -> tuple[dict[str, Numbers], dict[str, Any], list[str]]:
    """Return the columns and the attributes by path, and the paths of all other datasets."""
    columns: dict[str, Numbers] = {}
    attributes: dict[str, Any] = {}
    left_out: list[str] = []
    total = 0
    try:
        with h5py.File(path, "r", locking=False) as file:
            for key, node in _nodes(file, left_out):
                if isinstance(node, h5py.Group):
                    _add_attributes(attributes, node, f"{key}/" if key else "")
                elif node.shape == ():
                    if node.dtype.kind != "O":  # strings of variable length may be damaged where the rest is not
                        attributes[key] = _plain(node[()])
                elif node.ndim == 1 and node.dtype.kind in "iufb":
                    total += 8 * len(node)
                    check_size(path, total, "unpacks to")
                    columns[key] = node[:].astype(np.float64)
                else:
                    left_out.append(f"{key} {node.shape}" if node.shape else key)
    except HDF5_ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise _explained(path, error) from error
    return columns, attributes, left_out


def _nodes(file: h5py.File, left_out: list[str]) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """Yield each group and dataset of the file with its path. What is stored in other files is left out."""
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    seen = set()
    while waiting:
        place, group = waiting.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:  # a group that holds itself
            continue
        seen.add(address)
        yield place, group
        inner = []
        for key, node in members(group, place, left_out):
            if isinstance(node, h5py.Group):
                inner.append((key, node))
            elif isinstance(node, h5py.Dataset):
                yield key, node
        waiting += reversed(inner)


def _add_attributes(attributes: dict[str, Any], group: h5py.Group, prefix: str) -> None:
    for name in group.attrs:
        try:
            value = _plain(group.attrs[name])
        except HDF5_ERRORS:
            continue
        if isinstance(value, str | bool | int | float):
            attributes[prefix + name] = value


def _plain(value: Any) -> Any:
    """Return a scalar as a plain Python value."""
    if isinstance(value, np.generic):
        value = plain(value)
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _runs_in(columns: Iterable[str]) -> tuple[str, list[str]]:
    """Return the path of the group that holds the runs, and their names. A file with one run has one empty name."""
    base, keys = "", list(columns)
    while True:
        groups: dict[str, set[str]] = {}
        for key in keys:
            name, inside, rest = key[len(base) :].partition("/")
            if inside:
                groups.setdefault(name, set()).add(rest)
            elif name.lower() not in STEPS:
                return "", [""]
        if len(groups) == 1:
            base += f"{next(iter(groups))}/"
            keys = [key for key in keys if key.startswith(base)]
            continue
        first = next(iter(groups.values()), set())
        alike = len(groups) > 1 and all(names == first for names in groups.values())
        return (base, list(groups)) if alike and not SPLITS & {*map(str.lower, groups)} else ("", [""])


def _split(items: Mapping[str, Any], base: str, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the items of each run, by their path within the run. Items that belong to no run are in all of them."""
    if len(names) == 1:
        return {"": dict(items)}
    parts: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in items.items():
        name, inside, rest = key.removeprefix(base).partition("/")
        if inside and name in parts and key.startswith(base):
            parts[name][rest] = value
        else:
            for part in parts.values():
                part[key.removeprefix(base)] = value
    return parts


def _with_steps(columns: Mapping[str, Numbers]) -> tuple[dict[str, Column], list[str]]:
    """Give each column its steps. Of columns without steps, those of the most common length are kept."""
    groups: dict[str, dict[str, str]] = {}
    for key in columns:
        group, _, name = key.rpartition("/")
        groups.setdefault(group, {})[name.lower()] = key
    found = {key: _step_of(key, columns, groups) for key in columns}
    used = {step for step in found.values() if step}
    bare = [key for key, step in found.items() if not step and key not in used]
    length = Counter(len(columns[key]) for key in bare).most_common(1)[0][0] if bare else 0
    odd = [key for key in bare if len(columns[key]) != length]
    result = {
        key: Column(columns[key], columns[step] if step else None)
        for key, step in found.items()
        if key not in used and key not in odd
    }
    note = f"datasets without steps and not of the common length {length} were left out: {listed(odd)}"
    return result, [note] if odd else []


def _step_of(key: str, columns: Mapping[str, Numbers], groups: Mapping[str, Mapping[str, str]]) -> str | None:
    """Return the key of the dataset that holds the steps of another: in its group, or one around it."""
    group, _, name = key.rpartition("/")
    better = STEPS[: STEPS.index(name.lower())] if name.lower() in STEPS else STEPS
    for _ in range(MOST_LEVELS):
        for wanted in better:
            step = groups.get(group, {}).get(wanted)
            if step is None or len(columns[step]) != len(columns[key]):
                continue
            if wanted != "epoch" or np.all(np.diff(columns[step]) > 0):
                return step
        if not group:
            return None
        group = group.rpartition("/")[0]
    return None


def _explained(path: Path, error: Exception) -> InputError:
    if path.is_dir() or not path.exists():
        return InputError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; give an HDF5 file")
    if not path.stat().st_size:
        return InputError(f"{path}: is empty: its writer was killed before it began; give another file")
    if not h5py.is_hdf5(path):
        return InputError(f"{path}: is not an HDF5 file; give one that ends in .h5 or .hdf5")
    return InputError(
        f"{path}: can't be read ({in_one_line(error)}); it is damaged or still being written, so close or restore it"
    )
