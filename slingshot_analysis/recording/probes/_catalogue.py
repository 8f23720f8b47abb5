"""What there is to record: every probe with its quantities, cost and source."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slingshot_analysis.recording.probes import PROBES
from slingshot_analysis.recording.probes._bundles import BUNDLES
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.losses import cross_entropy
from slingshot_analysis.trace import Quantity

__all__ = ["CatalogueEntry", "catalogue"]


@dataclass(frozen=True)
class CatalogueEntry:
    """A probe, as ``slingshot probes`` lists it.

    Parameters
    ----------
    name : str
        By which ``Recorder(probes=...)`` and ``--probes`` know it.
    every : str
        Its own cadence, in words.
    bundles : tuple of str
        Those it belongs to.
    quantities : tuple of Quantity
        What it writes, with units.
    cost, source : str
        What a measurement costs; where the quantity is defined.
    """

    name: str
    every: str
    bundles: tuple[str, ...]
    quantities: tuple[Quantity, ...]
    cost: str
    source: str


def catalogue() -> list[CatalogueEntry]:
    """Return all probes; their quantities are what they declare for a small network trained by Adam.

    Examples
    --------
    >>> [(quantity.name, quantity.unit) for quantity in catalogue()[2].quantities]
    [('update_norm', '')]
    """
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    data = [(torch.zeros(2, 2), torch.zeros(2, dtype=torch.long))]
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    optimizer = torch.optim.Adam(model.parameters())
    entries = []
    for name, kind in PROBES.items():
        subject = Subject(model, parameters, "2", ["1"], cross_entropy, data[0][0], data, data, optimizer)
        probe = kind()
        _, quantities = probe.attach(subject)
        of = tuple(bundle for bundle, names in BUNDLES.items() if name in [n.partition(":")[0] for n in names])
        entries.append(CatalogueEntry(name, str(probe.every), of, tuple(quantities), kind.cost, kind.source))
    return entries
