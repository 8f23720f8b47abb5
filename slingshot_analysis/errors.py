"""The errors of this project, and the wording of messages about unknown names.

Messages name an argument as ``name=``, ``name=True`` or ``name='value'``, so that the command line can translate it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SlingshotError(Exception):
    """Base class of every error that this project raises on purpose."""


class InputError(SlingshotError, ValueError):
    """An input can't be used; the message says which, what is wrong with it, and what to do."""


class NoRunError(InputError):
    """A file written by this project that contains no run; folder readers skip it."""


class OtherFileError(InputError):
    """An intact file of another kind, version or run than the one asked for. It must not be replaced."""


class UnwritableError(InputError):
    """A file can't be written, because of the disk or its permissions, not because of its content."""


def unknown_name(what: str, given: str, allowed: Iterable[str], where: str = "") -> InputError:
    """Return the error for a name that is not one of `allowed`, with the names that resemble it.

    Parameters
    ----------
    what : str
        What the name should be, such as ``"setup"``.
    given : str
        The name that was given.
    allowed : iterable of str
        The names that would have been accepted.
    where : str, optional
        The file or argument where it was given; the message begins with it.

    Returns
    -------
    InputError
        For the caller to raise.

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
