"""Whether the gradients that were recorded are those that the optimizer gets."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.torch_internals import norms

TOLERANCE, OF_SCALES = 1e-3, 1e-5
"""Largest relative difference of two norms that are called equal, and of their ratio from a power of 2."""
LEAST_SCALE = 2**8
"""Smallest power of 2 that counts as the scale of a gradient scaler."""


AS_THE_OPTIMIZER = "as the optimizer gets them"
"""Value of the root attribute ``gradients`` of gradients that nothing changes before the step."""


class GradientCheck:
    """Compares the norm of all gradients at ``update()`` with that at the step.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        The trainable parameters.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self._parameters = list(parameters.values())
        self._noted = 0.0
        self.found = ""
        """How the gradients recorded and those that the optimizer gets compare; empty before the first step."""

    def note(self) -> None:
        """Note the gradients as they are recorded. Waits for the device."""
        self._noted = self._norm()

    @property
    def were_finite(self) -> bool:
        """Whether the gradients noted were finite; a gradient scaler skips steps with others."""
        return math.isfinite(self._noted)

    def compare(self) -> None:
        """Compare the gradients that the optimizer gets with those noted.

        Raises
        ------
        InputError
            If those noted had not been unscaled yet.
        """
        norm = self._norm()
        ratio = self._noted / norm if norm else 1.0
        self.found = AS_THE_OPTIMIZER if abs(ratio - 1) < TOLERANCE else "before clipping"
        power = 2 ** round(math.log2(ratio)) if 0 < ratio < math.inf else 0
        if power >= LEAST_SCALE and abs(ratio / power - 1) < OF_SCALES:
            raise InputError(
                f"the gradients recorded are {power:,} times those that the optimizer gets: a gradient scaler has "
                "scaled them; call recorder.update() after scaler.unscale_(optimizer), or use recorder.attach()"
            )

    @torch.no_grad()
    def _norm(self) -> float:
        gradients = [p.grad.to_dense() if p.grad.is_sparse else p.grad for p in self._parameters if p.grad is not None]
        if not gradients:
            return 0.0
        return float(torch.stack([norm.double() for norm in norms(gradients)]).norm())
