"""What the shell completes: setups, probes, sweeps, claims and figures.

The names are kept (`cli._cache`), so that a press of the tab key does not wait for PyTorch.
"""

from __future__ import annotations

from typing import Any

import click

from cli._cache import kept

BUNDLES = ("light", "standard", "full", "stability")


def complete_setups(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a setup."""
    names = kept("setup-names", ("trainers",), _setups)
    return [name for name in names if name.startswith(incomplete)]


def complete_probes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the last of some names of probes and bundles."""
    before, comma, last = incomplete.rpartition(",")
    names = [*BUNDLES, *(entry["name"] for entry in kept("probes", ("slingshot_analysis/recording",), probe_catalogue))]
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


def complete_sweeps(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Complete a sweep that comes with the package, or a file."""
    from click.shell_completion import CompletionItem

    names = [name for name in kept("sweep-names", ("trainers",), _sweeps) if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def complete_claims(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a claim."""
    return [name for name in kept("claim-names", ("trainers",), _claims) if name.startswith(incomplete)]


def complete_figures(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a figure of the paper."""
    names = kept("figure-names", ("slingshot_analysis/report",), _figures)
    return [name for name in names if name.startswith(incomplete)]


def probe_catalogue() -> list[dict[str, Any]]:
    """Return what can be recorded, as plain values."""
    import dataclasses

    from slingshot_analysis.recording import catalogue

    return [dataclasses.asdict(entry) for entry in catalogue()]


def _setups() -> list[str]:
    from trainers.setups import SETUPS

    return list(SETUPS)


def _sweeps() -> list[str]:
    from trainers.sweep import shipped_sweeps

    return list(shipped_sweeps())


def _claims() -> list[str]:
    from trainers.claims import CLAIMS

    return list(CLAIMS)


def _figures() -> list[str]:
    from slingshot_analysis.report.paper import FIGURES

    return list(FIGURES)
