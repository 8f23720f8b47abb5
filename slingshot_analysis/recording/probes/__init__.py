"""The probes. Each module of this package without a leading underscore defines one, and is found automatically."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from slingshot_analysis.recording.probes._base import Probe

__all__ = ["PROBES"]


def _find_probes() -> dict[str, type[Probe]]:
    names = [module.name for module in iter_modules(__path__) if not module.name.startswith("_")]
    modules = [import_module(f"{__name__}.{name}") for name in names]
    return {
        kind.name: kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Probe) and kind.__module__ == module.__name__
    }


PROBES = _find_probes()
"""The class of every probe by its name, which ``Recorder(probes=[...])`` takes."""
