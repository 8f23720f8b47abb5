"""What can be chosen in the search for slingshots. The defaults need no tuning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from slingshot_analysis.detectors import NormOptions
from slingshot_analysis.errors import InputError, unknown_name

__all__ = ["DEFAULT", "Options"]


@dataclass(frozen=True)
class Options(NormOptions):
    """Choices of the composite detector, beside those of the norm's segmentation, `NormOptions`.

    Parameters
    ----------
    min_spike_ratio : float
        Least rise of the loss at a slingshot; smaller ones happen in any training. The loss spikes that an analysis
        lists, slingshots or not, begin at a twofold rise.
    near : float
        Share of the run within which a spike, its burst of errors and its trace in the norm belong together.
    fitted_loss : float
        Share of its first value below which the loss says that the training set is fitted, where nothing tells of
        misclassification.
    settled : float
        A spike counts from this multiple of the time that fitting took on; before, it belongs to fitting.
    min_confidence : float
        What is less sure is left out.

    Raises
    ------
    InputError
        If a value is out of range.

    Examples
    --------
    >>> Options(min_spike_ratio=5).min_spike_ratio
    5
    """

    min_spike_ratio: float = 10.0
    near: float = 0.005
    fitted_loss: float = 0.01
    settled: float = 1.5
    min_confidence: float = 0.1

    def __post_init__(self) -> None:
        least = {"bins": 4, "penalty": 0.01, "min_spike_ratio": 1.01, "settled": 1.0}
        most = {"near": 0.5, "fitted_loss": 1.0, "min_confidence": 1.0}
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = least.get(field.name, 0), most.get(field.name, float("inf"))
            if not low <= value <= high:
                raise InputError(f"option {field.name}: got {value}; give a number from {low} to {high}")

    def changed(self, settings: Iterable[str]) -> Options:
        """Return the options with settings such as ``"penalty=10"``.

        Raises
        ------
        InputError
            If there is no such option, or its value is no number.

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
