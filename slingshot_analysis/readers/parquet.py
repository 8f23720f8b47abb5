"""Tables in Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._gate import check_size, isolated
from slingshot_analysis.readers._parts.points import unique_names
from slingshot_analysis.readers._parts.tables import runs_of_table
from slingshot_analysis.readers._parts.text_file import read_bytes
from slingshot_analysis.readers._raw import RawRun, Reader
from slingshot_analysis.safe_text import in_one_line

if TYPE_CHECKING:
    import pandas as pd

MAGIC = b"PAR1"


class ParquetReader(Reader):
    """A Parquet file with a table of any layout that is read from text."""

    name = "parquet"
    suffixes = (".parquet", ".pq")

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Return whether the first bytes are those of Parquet."""
        return head.startswith(MAGIC)

    def read(self, path: Path) -> list[RawRun]:
        """Read all runs of a table.

        Raises
        ------
        InputError
            If the file is not Parquet or is damaged, pyarrow is not installed, or there is no table of numbers.
        """
        frame, literals = isolated(path, _read_table)
        names, notes = unique_names(_joined(name) for name in frame.columns)
        literals = {
            new: literals[str(old)] for new, old in zip(names, frame.columns, strict=True) if str(old) in literals
        }
        return runs_of_table(frame.set_axis(names, axis="columns"), path, notes=notes, literals=literals)


def _read_table(path: Path) -> tuple[pd.DataFrame, dict[str, npt.NDArray[np.bool_]]]:
    """Return the table with its index as columns, and for each column the rows that hold NaN and not null."""
    data = read_bytes(path)
    if not data.startswith(MAGIC):
        raise InputError(f"{path}: is not Parquet; give the right file, or name its format")
    try:
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(io.BytesIO(data)) as file:
            check_size(path, 8 * file.metadata.num_rows * file.metadata.num_columns, "unpacks to")
            check_size(path, sum(_row_groups(file)), "unpacks to")
            table = file.read(use_threads=False)
    except ImportError as error:
        raise InputError(f'{path}: needs pyarrow: pip install "slingshot-analysis[parquet]"') from error
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise InputError(f"{path}: is damaged or cut short ({in_one_line(error)}); copy it again") from error
    frame = table.to_pandas(use_threads=False)
    literals: dict[str, npt.NDArray[np.bool_]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pyarrow.types.is_floating(column.type):
            values = column.to_numpy()
            literals[name] = np.isnan(values) & ~column.is_null().to_numpy()
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    return frame, literals


def _row_groups(file: Any) -> Iterator[int]:
    return (file.metadata.row_group(number).total_byte_size for number in range(file.metadata.num_row_groups))


def _joined(name: object) -> str:
    return "/".join(map(str, name)) if isinstance(name, tuple) else str(name)
