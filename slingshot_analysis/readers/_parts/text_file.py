"""Read a file as text, whatever its compression and encoding, and refuse what is no text."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import IO

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._gate import check_kind, check_size, most_bytes

GZIP = b"\x1f\x8b"
HEAD, LONGEST_HEAD = 1 << 16, 1 << 21
"""Bytes from which a format is told, and at most where they hold no three lines; what is so long may end in a line."""
MOST_CONTROLS = 0.01
"""Share of control characters in a text, at most; more are a binary file."""
MARKUP = ("<!doctype", "<html", "<?xml", "<svg", "<head", "<body")


def read_text(path: Path) -> str:
    r"""Return the text of a file with ``\n`` as the end of each line.

    Parameters
    ----------
    path : Path
        UTF-8, UTF-16 with a byte order mark, or else Latin-1; plain or gzip-compressed.

    Returns
    -------
    str
        Never blank.

    Raises
    ------
    InputError
        If the file can't be read, is empty, binary, or a web page.
    """
    return decoded(path, read_bytes(path))


def decoded(path: Path, data: bytes) -> str:
    r"""Return the text of a file from its content, as `read_text` does.

    Raises
    ------
    InputError
        If it is binary, blank, or a web page.
    """
    text = _decode(data)
    if text is None:
        raise InputError(f"{path}: this is a binary file, not text; give the log itself, or name its format")
    if _is_markup(text):
        raise InputError(f"{path}: line 1: this is a web page, not a log; download the file itself again")
    if text.isspace():
        raise _empty(path)
    if "\r" not in text:
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, decompressed if it is gzip.

    Raises
    ------
    InputError
        If the file can't be read, is empty, or its compressed content is cut short.
    """
    data = read_raw(path)
    if data.startswith(GZIP):
        try:
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(most_bytes() + 1)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path}: the compressed file is damaged or cut short ({error}); copy it again") from error
        check_size(path, len(data), "unpacks to at least")
    if not data:
        raise _empty(path)
    return data


def open_bytes(path: Path) -> IO[bytes]:
    """Open the content of a file, which is decompressed if it is gzip, for who reads it part by part.

    Raises
    ------
    InputError
        If it is no file, can't be read or is larger than the limit, or its compressed content is cut short.
    """
    file = _opened(path)
    if file.peek(len(GZIP)).startswith(GZIP):
        with file:
            return io.BytesIO(read_bytes(path))
    return file


def read_raw(path: Path) -> bytes:
    """Return the content of a file as it is.

    Raises
    ------
    InputError
        If it is no file, can't be read or is larger than the limit.
    """
    try:
        with _opened(path) as file:
            return file.read()
    except OSError as error:
        raise _unreadable(path, error) from error


def _opened(path: Path) -> io.BufferedReader:
    """Open a file that is no larger than the limit."""
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; give one file of it")
    check_kind(path)
    try:
        check_size(path, path.stat().st_size)
        return path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from error


def head_text(head: bytes) -> str:
    """Return the text at the start of a file, up to its last whole line; empty if it is not text."""
    if head.startswith(GZIP):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, LONGEST_HEAD)
        except zlib.error:
            return ""
    text = _decode(head) or ""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _is_markup(text):
        return ""
    return text if "\n" not in text else text[: text.rindex("\n") + 1] if len(head) >= HEAD else text


def plain_suffix(path: Path) -> str:
    """Return the end of a file's name, lower-case, without that of its compression.

    Examples
    --------
    >>> plain_suffix(Path("metrics.CSV.gz"))
    '.csv'
    """
    name = Path(path.name.lower())
    return Path(name.stem).suffix if name.suffix == ".gz" else name.suffix


def _decode(data: bytes) -> str | None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data or sum(data[:4096].count(code) for code in range(1, 8)) > MOST_CONTROLS * len(data[:4096]):
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _is_markup(text: str) -> bool:
    return text[:1000].lstrip()[:9].lower().startswith(MARKUP)


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: can't be read ({error.strerror or error}); check the path")


def _empty(path: Path) -> InputError:
    return InputError(f"{path}: the file is empty; nothing was logged to it")
