"""HDF5 files of other programs: each one-dimensional dataset of numbers is a column, named by its path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._parts.points import listed
from slingshot_analysis.readers._raw import Column, RawRun, Reader, plain
from slingshot_analysis.trace.schema import FORMAT

__all__ = ["HDF5Reader"]

HDF5_HEAD = b"\x89HDF\r\n\x1a\n"
STEPS = ("step", "steps", "iteration", "epoch")
MOST_ROWS = 10**8  # a length beyond it comes from damage, not from training
SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "eval", "evaluation"}

Numbers = npt.NDArray[np.float64]


class HDF5Reader(Reader):
    """Datasets in groups. A dataset ``step`` or the like gives its steps to the others of its group and length.

    Groups that hold the same names, such as ``seed_0`` and ``seed_1``, are runs, unless they are called like
    splits. Scalar numbers and attributes are attributes of the run. Other shapes are left out and noted.
    """

    name = "hdf5"
    suffixes = (".h5", ".hdf5", ".he5")

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Tell by the head, and by the root attribute that a trace has and these files lack."""
        if not head.startswith(HDF5_HEAD):
            return False
        try:
            with h5py.File(path, "r", locking=False) as file:
                return bool(_plain(file.attrs.get("format")) != FORMAT)
        except (OSError, RuntimeError, KeyError, TypeError, ValueError):
            return FORMAT.encode() not in head

    def read(self, path: Path) -> list[RawRun]:
        """Read the one run, or one for each of the groups that hold the same names.

        Raises
        ------
        InputError
            If the file can't be opened or is damaged, or holds no one-dimensional dataset of numbers.
        """
        columns, attributes, left_out = _read_file(path)
        notes = [f"datasets that are no one-dimensional numbers were left out: {listed(left_out)}"] if left_out else []
        if not columns:
            what = f"; left out were {listed(left_out)}" if left_out else ""
            raise InputError(
                f"{path}: holds no one-dimensional dataset of numbers{what}; store a column in each dataset"
            )
        prefixes = _prefixes(columns)
        runs = []
        for prefix in prefixes:
            others = [other for other in prefixes if other != prefix]
            mine, more = _with_steps(_without(columns, prefix, others))
            name = prefix.rstrip("/").rpartition("/")[2]
            runs.append(RawRun(name, mine, _without(attributes, prefix, others), notes + more))
        return runs


def _read_file(path: Path) -> tuple[dict[str, Numbers], dict[str, Any], list[str]]:
    """Return the columns and attributes by path, and the paths of what is neither."""
    columns: dict[str, Numbers] = {}
    attributes: dict[str, Any] = {}
    left_out: list[str] = []

    def visit(name: str | bytes, node: h5py.Group | h5py.Dataset) -> None:
        key = _plain(name)
        if isinstance(node, h5py.Group):
            _add_attributes(attributes, node, f"{key}/" if key else "")
        elif isinstance(node, h5py.Dataset):
            if node.shape == ():
                if node.dtype.kind != "O":  # HDF5 may never return from a damaged heap, where variable strings stand
                    attributes[key] = _plain(node[()])
            elif node.ndim == 1 and node.dtype.kind in "iufb" and len(node) <= MOST_ROWS:
                columns[key] = node[:].astype(np.float64)
            else:
                left_out.append(f"{key} {node.shape}" if node.shape else key)

    try:
        with h5py.File(path, "r", locking=False) as file:
            visit("", file)
            file.visititems(visit)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, MemoryError) as error:
        raise _explained(path, error) from error
    return columns, attributes, left_out


def _add_attributes(attributes: dict[str, Any], group: h5py.Group, prefix: str) -> None:
    for name in group.attrs:
        value = _plain(group.attrs[name])
        if isinstance(value, str | bool | int | float):
            attributes[prefix + name] = value


def _plain(value: Any) -> Any:
    """Return a scalar as a plain Python value."""
    if isinstance(value, np.generic):
        value = plain(value)
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _prefixes(columns: Iterable[str]) -> list[str]:
    """Return the groups that are runs, with a slash behind; one empty text if the file is one run."""
    base = ""
    while True:
        groups: dict[str, set[str]] = {}
        for key in columns:
            name, inside, rest = key.removeprefix(base).partition("/")
            if inside:
                groups.setdefault(name, set()).add(rest)
            elif name.lower() not in STEPS:
                return [""]
        if len(groups) == 1:
            base += f"{next(iter(groups))}/"
            continue
        first = next(iter(groups.values()), set())
        alike = len(groups) > 1 and all(names == first for names in groups.values())
        return [f"{base}{name}/" for name in groups] if alike and not SPLITS & {*map(str.lower, groups)} else [""]


def _without(items: Mapping[str, Any], prefix: str, others: Sequence[str]) -> dict[str, Any]:
    """Return what belongs to the run of this prefix, or to all of them, with the prefix taken off."""
    around = prefix[: prefix.rstrip("/").rfind("/") + 1]
    return {
        key.removeprefix(prefix if key.startswith(prefix) else around): value
        for key, value in items.items()
        if not key.startswith(tuple(others))
    }


def _with_steps(columns: Mapping[str, Numbers]) -> tuple[dict[str, Column], list[str]]:
    """Give each column its steps; those without any that are not of one length are left out and noted."""
    found = {key: _step_of(key, columns) for key in columns}
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


def _step_of(key: str, columns: Mapping[str, Numbers]) -> str | None:
    """Return the key of the dataset that holds the steps of another: in its group, or one around it."""
    group, _, name = key.rpartition("/")
    better = STEPS[: STEPS.index(name.lower())] if name.lower() in STEPS else STEPS
    while True:
        inside = {other.lower(): other for other in columns if other.rpartition("/")[0] == group}
        for wanted in better:
            step = inside.get(f"{group}/{wanted}".lstrip("/").lower())
            if step is None or len(columns[step]) != len(columns[key]):
                continue
            if wanted != "epoch" or np.all(np.diff(columns[step]) > 0):
                return step
        if not group:
            return None
        group = group.rpartition("/")[0]


def _explained(path: Path, error: Exception) -> InputError:
    if path.is_dir() or not path.exists():
        return InputError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; give an HDF5 file")
    if not path.stat().st_size:
        return InputError(f"{path}: is empty: its writer was killed before it began; give another file")
    if not h5py.is_hdf5(path):
        return InputError(f"{path}: is not an HDF5 file; give one that ends in .h5 or .hdf5")
    reason = " ".join(str(error).split())
    return InputError(f"{path}: can't be read ({reason}); it is damaged or still being written, so close or restore it")
