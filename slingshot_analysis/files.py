"""Replace a file by a complete new one, so that no reader ever sees half of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a path to write to, and move what was written there to `path` when the block ends.

    If the block fails, what it has written is deleted and the file at `path` stays as it was. A process that is killed
    in the block leaves a hidden file ``.NAME.PID.tmp`` beside `path`.

    Parameters
    ----------
    path : Path
        The file to make or to replace; its folder exists.

    Yields
    ------
    Path
        In the same folder.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "settings.json"
    >>> with replaced(path) as aside:
    ...     _ = aside.write_text("{}")
    >>> [file.name for file in path.parent.iterdir()]
    ['settings.json']
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
