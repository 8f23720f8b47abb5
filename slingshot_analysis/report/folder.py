"""Folders for pictures, and the errors of writing into them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slingshot_analysis.errors import InputError


def picture_folder(folder: str | Path) -> Path:
    """Make a folder for pictures if it is missing, and return it.

    Raises
    ------
    InputError
        If it can't be made or written into.
    """
    folder = Path(folder)
    with writing_pictures(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(None, "no permission to write")
    return folder


@contextmanager
def writing_pictures(folder: Path) -> Iterator[None]:
    """Turn errors of writing pictures into an error that names the folder.

    Raises
    ------
    InputError
        In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder}: pictures can't be written ({error.strerror}); choose another folder") from error
