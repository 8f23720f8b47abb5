"""Tables in Parquet."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._parts.tables import runs_of_table, unique_names
from slingshot_analysis.readers._parts.text_file import read_bytes
from slingshot_analysis.readers._raw import RawRun, Reader
from slingshot_analysis.safe_text import in_one_line

__all__ = ["ParquetReader"]

MAGIC = b"PAR1"


class ParquetReader(Reader):
    """A Parquet file, of the forms that tables of text have."""

    name = "parquet"
    suffixes = (".parquet", ".pq")

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Tell by the first bytes."""
        return head.startswith(MAGIC)

    def read(self, path: Path) -> list[RawRun]:
        """Read all runs of a table.

        Raises
        ------
        InputError
            If the file is not Parquet or is damaged, pyarrow is not installed, or there is no table of numbers.
        """
        data = read_bytes(path)
        if not data.startswith(MAGIC):
            raise InputError(f"{path}: is not Parquet; give the right file, or name its format")
        try:
            frame = pd.read_parquet(io.BytesIO(data), engine="pyarrow")
        except ImportError as error:
            raise InputError(f'{path}: needs pyarrow: pip install "slingshot-analysis[parquet]"') from error
        except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
            raise InputError(f"{path}: is damaged or cut short ({in_one_line(error)}); copy it again") from error
        if any(name is not None for name in frame.index.names):
            frame = frame.reset_index()
        names, notes = unique_names(_joined(name) for name in frame.columns)
        return runs_of_table(frame.set_axis(names, axis="columns"), path, notes=notes)


def _joined(name: object) -> str:
    return "/".join(map(str, name)) if isinstance(name, tuple) else str(name)
