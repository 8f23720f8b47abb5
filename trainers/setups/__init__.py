"""The setups by name. Every module of this package is a family of setups, unless its name begins with an underscore."""

from importlib import import_module
from pkgutil import iter_modules

from slingshot_analysis.errors import unknown_name
from trainers.setup import Setup

__all__ = ["SETUPS", "find_setup"]

FAMILIES = [
    import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__) if not module.name.startswith("_")
]
SETUPS: dict[str, Setup] = {setup.name: setup for family in FAMILIES for setup in family.SETUPS}


def find_setup(name: str) -> Setup:
    """Return the setup of this name.

    Raises
    ------
    InputError
        If there is no such setup; the message names similar ones.
    """
    if name not in SETUPS:
        raise unknown_name("setup", name, SETUPS)
    return SETUPS[name]
