"""The claims of the paper by name. Every module of this package is one, unless its name begins with an underscore."""

from importlib import import_module
from pkgutil import iter_modules

from slingshot_analysis.errors import unknown_name
from trainers.claims._claim import Claim, Finding, Measured, Scale, Verdict
from trainers.claims._reproduce import Result, plan_sweep, planned_runs, reproduce

__all__ = [
    "CLAIMS",
    "Claim",
    "Finding",
    "Measured",
    "Result",
    "Scale",
    "Verdict",
    "find_claim",
    "plan_sweep",
    "planned_runs",
    "reproduce",
]

CLAIMS: dict[str, Claim] = {
    module.name: import_module(f"{__name__}.{module.name}").CLAIM
    for module in iter_modules(__path__)
    if not module.name.startswith("_")
}


def find_claim(name: str) -> Claim:
    """Return the claim of this name.

    Raises
    ------
    InputError
        If there is no such claim; the message names similar ones.
    """
    if name not in CLAIMS:
        raise unknown_name("claim", name, CLAIMS)
    return CLAIMS[name]
