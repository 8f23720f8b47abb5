"""Options of the composite detector. The defaults need no tuning."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from slingshot_analysis.detectors import NormOptions
from slingshot_analysis.errors import InputError, unknown_name

PARAMETER = re.compile(r"^(\w+) : \w+\n((?:    .+\n?)+)", re.MULTILINE)
"""An entry of the section on parameters of a docstring: its name and what it means."""


@dataclass(frozen=True)
class Options(NormOptions):
    """Options of the composite detector, in addition to those of the segmentation of the norm, `NormOptions`.

    Parameters
    ----------
    min_spike_ratio : float
        Minimum rise of the loss at a slingshot. Smaller rises occur in any training. The list of loss spikes in an
        analysis is independent of this option and begins at twofold rises.
    transition_share : float
        Maximum distance of the signs of one transition (loss spike, misclassified samples, break of the norm), as a
        share of the run.
    fitted_loss : float
        The training set counts as fitted when the loss is below this share of its first value. Used only if no signal
        tells how many training samples are misclassified.
    settled : float
        Earliest spike that counts, as a multiple of the time that fitting took. Earlier spikes belong to fitting.
    min_confidence : float
        Minimum confidence of the events that are listed.

    Raises
    ------
    InputError
        If a value is out of its range.

    Examples
    --------
    >>> Options(min_spike_ratio=5).min_spike_ratio
    5
    """

    min_spike_ratio: float = 10.0
    transition_share: float = 0.005
    fitted_loss: float = 0.01
    settled: float = 1.5
    min_confidence: float = 0.1

    def __post_init__(self) -> None:
        least = {"bins": 4, "penalty": 0.01, "min_spike_ratio": 1.01, "settled": 1.0}
        most = {"transition_share": 0.5, "fitted_loss": 1.0, "min_confidence": 1.0}
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = least.get(field.name, 0), most.get(field.name, float("inf"))
            if not low <= value <= high:
                raise InputError(f"option {field.name}: got {value}; give a number from {low} to {high}")

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """Return what each option means, as the documentation of its class says.

        Examples
        --------
        >>> Options.meanings()["min_spike_ratio"]
        'Minimum rise of the loss at a slingshot. Smaller rises occur in any training. The list of loss spikes in an \
analysis is independent of this option and begins at twofold rises.'
        """
        found: dict[str, str] = {}
        for documented in (NormOptions, cls):
            for name, text in PARAMETER.findall(inspect.getdoc(documented) or ""):
                found[name] = " ".join(text.split())
        return {field.name: found[field.name] for field in fields(cls)}

    def changed(self, settings: Iterable[str]) -> Options:
        """Return the options with settings such as ``"penalty=10"``.

        Raises
        ------
        InputError
            If there is no such option, or its value is not a number.

        Examples
        --------
        >>> Options().changed(["bins=500"]).bins
        500
        """
        kinds = {name: type(value) for name, value in vars(self).items()}
        values: dict[str, float] = {}
        for setting in settings:
            name, _, value = setting.partition("=")
            if name not in kinds:
                raise unknown_name("option", name, kinds)
            try:
                values[name] = kinds[name](value)
            except ValueError as error:
                raise InputError(f"option {name}: got {value!r}; give {name}=NUMBER") from error
        return replace(self, **values)  # type: ignore[arg-type]


DEFAULT = Options()
