"""A list of everything that can be recorded: each probe with its quantities, cost and source."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slingshot_analysis.recording.probes import PROBES
from slingshot_analysis.recording.probes._bundles import BUNDLES
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.losses import cross_entropy
from slingshot_analysis.trace import Quantity


@dataclass(frozen=True)
class CatalogueEntry:
    """A probe, as ``slingshot probes`` lists it.

    Parameters
    ----------
    name : str
        The name that ``Recorder(probes=...)`` takes.
    every : str
        Its default schedule, in words.
    bundles : tuple of str
        Names of the bundles that contain it.
    quantities : tuple of Quantity
        What it writes, with units.
    cost, source : str
        What a measurement costs, and where the quantity is defined.
    """

    name: str
    every: str
    bundles: tuple[str, ...]
    quantities: tuple[Quantity, ...]
    cost: str
    source: str


def catalogue() -> list[CatalogueEntry]:
    """Return all probes, with the quantities that they declare for a small Transformer trained by Adam.

    Those of the bundles come first, in the order of the bundles.

    Examples
    --------
    >>> [(quantity.name, quantity.unit) for quantity in catalogue()[3].quantities]
    [('update_norm', '')]
    """
    model = nn.Sequential(nn.TransformerEncoderLayer(2, 1, 2), nn.ReLU(), nn.Linear(2, 2))
    data = [(torch.zeros(2, 2), torch.zeros(2, dtype=torch.long))]
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    optimizer = torch.optim.Adam(model.parameters())
    scaler = torch.amp.GradScaler("cpu")
    entries = []
    of_bundles = [entry.partition(":")[0] for names in BUNDLES.values() for entry in names]
    for name in dict.fromkeys([*of_bundles, *PROBES]):
        subject = Subject(
            model, parameters, "2", ["1"], cross_entropy, data[0][0], data, data, optimizer, scaler=scaler
        )
        probe = PROBES[name]()
        _, quantities = probe.attach(subject)
        of = tuple(bundle for bundle, names in BUNDLES.items() if name in [n.partition(":")[0] for n in names])
        entries.append(CatalogueEntry(name, str(probe.every), of, tuple(quantities), probe.cost, probe.source))
    return entries
