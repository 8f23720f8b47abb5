"""Packages that only some of the functions need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from slingshot_analysis.errors import SlingshotError


def needed(module: str, extra: str) -> ModuleType:
    """Import a module of an optional package.

    Parameters
    ----------
    module : str
        Its name; one inside the package, where a folder of the user could have the name of the package.
    extra : str
        The extra of this project that installs the package.

    Raises
    ------
    SlingshotError
        If the package is not installed; the message says how to install it.

    Examples
    --------
    >>> needed("no_such_package", "xarray")
    Traceback (most recent call last):
    slingshot_analysis.errors.SlingshotError: no_such_package is not installed: pip install "slingshot-analysis[xarray]"
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise SlingshotError(
            f'{module.partition(".")[0]} is not installed: pip install "slingshot-analysis[{extra}]"'
        ) from error
