"""The setups by name. To add a family, write its file and name it here."""

from slingshot_analysis.errors import unknown_name
from trainers.setup import Setup
from trainers.setups import cifar10_mlp, cifar10_vgg, cifar10_vit, hypercube, modular, parity, quadratic

__all__ = ["SETUPS", "find_setup"]

FAMILIES = (parity, modular, hypercube, cifar10_mlp, cifar10_vgg, cifar10_vit, quadratic)
SETUPS: dict[str, Setup] = {setup.name: setup for family in FAMILIES for setup in family.SETUPS}


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
