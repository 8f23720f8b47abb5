"""The setups by name. To add a family, write its file and name it here."""

from slingshot_analysis.errors import unknown_name
from trainers.setup import Setup
from trainers.setups import parity

__all__ = ["SETUPS", "find_setup"]

SETUPS: dict[str, Setup] = {setup.name: setup for family in (parity,) for setup in family.SETUPS}


def find_setup(name: str) -> Setup:
    """Return the setup of that name.

    Raises
    ------
    InputError
        If there is none; the message names the near ones.
    """
    if name not in SETUPS:
        raise unknown_name("setup", name, SETUPS)
    return SETUPS[name]
