"""The errors of this project, and the helper that words messages about unknown names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["InputError", "NoRunError", "OtherFileError", "SlingshotError", "UnwritableError", "unknown_name"]


class SlingshotError(Exception):
    """Base of every error that this project raises on purpose."""


class InputError(SlingshotError, ValueError):
    """Something the user gave can't be used; the message says what, where, and what to do next."""


class NoRunError(InputError):
    """A file written by this project that contains no run; folder readers skip it."""


class OtherFileError(InputError):
    """An intact file of another kind, version or run than the one asked for. It must not be replaced."""


class UnwritableError(InputError):
    """A file can't be written, because of the disk or its permissions, not because of its content."""


def unknown_name(what: str, given: str, allowed: Iterable[str], where: str = "") -> InputError:
    """Word the error for a name that is not one of `allowed`.

    Parameters
    ----------
    what : str
        What the name stands for, such as ``"setup"``.
    given : str
        The name that was given.
    allowed : iterable of str
        The names that would have been accepted.
    where : str, optional
        A file or option to name first.

    Returns
    -------
    InputError
        To be raised by the caller.

    Examples
    --------
    >>> print(unknown_name("setup", "parity_3_5", ["parity_3_50", "hypercube"]))
    unknown setup 'parity_3_5'; did you mean 'parity_3_50'? Allowed: hypercube, parity_3_50
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.5)
    hint = "; did you mean " + " or ".join(repr(name) for name in near) + "?" if near else "."
    prefix = f"{where}: " if where else ""
    return InputError(f"{prefix}unknown {what} {given!r}{hint} Allowed: {', '.join(names) or 'none'}")
