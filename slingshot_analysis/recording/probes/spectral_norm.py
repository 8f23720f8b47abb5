"""Largest singular value and stable rank of each weight matrix."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe, dtype_name
from slingshot_analysis.recording.probes._parameter_norms import norm_dtype
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity


class SpectralNorm(Probe):
    """`spectral_norm`: ‖W‖₂, and `stable_rank`: ‖W‖_F²/‖W‖₂², of each weight matrix W.

    A parameter of more than two dimensions is flattened to a matrix with one row for each index of its first dimension,
    such as a convolution's output channel. ‖W‖₂² is computed in float64, as the largest eigenvalue of the smaller of
    W Wᵀ and WᵀW. The stable rank lies between 1 and the rank; it is NaN for a matrix of zeros. Both are NaN where the
    matrix is not finite. On a GPU the eigenvalues are computed there, but PyTorch waits for them.

    References
    ----------
    Rudelson and Vershynin 2007, "Sampling from large matrices", arXiv math/0503442 (stable rank).
    """

    name = "spectral_norm"
    default_schedule = Every(1000)
    cost = "a product of each weight matrix with itself, and the eigenvalues of that"
    source = "arXiv math/0503442"
    waits = True

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        matrices = {name: parameter for name, parameter in subject.parameters.items() if parameter.ndim >= 2}
        self._matrices = list(matrices.values())
        self._dtype = norm_dtype(self._matrices)
        axis, dtype = Axis("matrix", list(matrices)), dtype_name(self._dtype)
        quantities = [
            Quantity("spectral_norm", "", "largest singular value of each weight matrix", (axis,), dtype),
            Quantity("stable_rank", "", "squared ratio of the norm to the largest singular value", (axis,), dtype),
        ]
        return [Buffer(quantity.name, (len(matrices),), self._dtype) for quantity in quantities], quantities

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        for i, matrix in enumerate(self._matrices):
            flat = matrix.detach().flatten(1).to(torch.float64)
            gram = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
            finite = gram.isfinite().all()
            values = torch.linalg.eigvalsh(
                torch.where(finite, gram, 0)
            )  # eigvalsh refuses matrices that are not finite
            squared = torch.where(finite, values[-1].clamp(min=0), torch.nan)
            slots[0][i] = squared.sqrt()
            slots[1][i] = gram.trace() / squared
