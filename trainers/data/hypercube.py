"""Clusters at the corners of a hypercube, with additional random features."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from slingshot_analysis.errors import InputError
from trainers.data.dataset import Dataset


@dataclass(frozen=True)
class Hypercube:
    """Normal clusters, one per class, at the corners of a hypercube; all other features are standard normal.

    The samples are drawn by scikit-learn's ``make_classification`` with one cluster per class and without redundant or
    repeated features. By its defaults, corners are at ±1, 1% of the samples have a random class, and samples and
    features are shuffled. Training and validation samples come from the same draw.

    Parameters
    ----------
    dimensions : int
        Features of a sample.
    informative : int
        Features that depend on the class, which is the dimension of the hypercube.
    classes : int
        Number of classes, at most one per corner.
    train, val : int
        Number of training and of validation samples.

    References
    ----------
    Thilak et al. 2022, appendix A.9, arXiv 2206.04817; Guyon 2003, "Design of experiments for the NIPS 2003
    variable selection benchmark".

    Examples
    --------
    >>> data = Hypercube(train=256, val=16).make(torch.Generator().manual_seed(0))
    >>> data.train_inputs.shape, data.classes
    (torch.Size([256, 128]), 8)
    """

    dimensions: int = 128
    informative: int = 3
    classes: int = 8
    train: int = 256
    val: int = 256

    def __post_init__(self) -> None:
        if not 1 <= self.informative <= self.dimensions or not 2 <= self.classes <= 2**self.informative:
            raise InputError(
                f"hypercube needs 1 <= informative <= dimensions and 2 <= classes <= 2**informative, got {self!r}"
            )
        if self.train < 1 or self.val < 1:
            raise InputError(f"hypercube needs at least one training and one validation sample, got {self!r}")

    def make(self, generator: torch.Generator) -> Dataset:
        """Draw the data.

        Raises
        ------
        InputError
            If scikit-learn is not installed.
        """
        try:
            from sklearn.datasets import make_classification
        except ImportError as error:
            raise InputError(
                'the hypercube data needs scikit-learn: pip install "slingshot-analysis[trainers]"'
            ) from error

        samples, labels = make_classification(
            n_samples=self.train + self.val,
            n_features=self.dimensions,
            n_informative=self.informative,
            n_redundant=0,
            n_repeated=0,
            n_classes=self.classes,
            n_clusters_per_class=1,
            hypercube=True,
            random_state=int(torch.randint(2**31, (1,), generator=generator)),
        )
        inputs, targets = torch.from_numpy(samples).float(), torch.from_numpy(labels).long()
        n = self.train
        return Dataset(inputs[:n], targets[:n], inputs[n:], targets[n:], classes=self.classes)
