"""Whether the gradients that were recorded are those that the optimizer gets."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.torch_internals import norm_of_gradients

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
    follows_clipping : bool
        Whether clipping is recorded, so that it must not come after ``update()``.
    """

    def __init__(self, parameters: Mapping[str, Tensor], follows_clipping: bool = False) -> None:
        self._follows_clipping = follows_clipping
        self._parameters = list(parameters.values())
        self._noted = 0.0
        self.found = ""
        """How the gradients recorded and those that the optimizer gets compare; empty before the first step."""

    def note(self) -> None:
        """Note the gradients as they are recorded. Waits for the device."""
        self._noted = float(norm_of_gradients(self._parameters))

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
        norm = float(norm_of_gradients(self._parameters))
        ratio = self._noted / norm if norm else 1.0
        self.found = AS_THE_OPTIMIZER if abs(ratio - 1) < TOLERANCE else "before clipping"
        power = scale_in(ratio)
        if power:
            raise InputError(
                f"the gradients recorded are {power:,} times those that the optimizer gets: a gradient scaler has "
                "scaled them; call recorder.update() after scaler.unscale_(optimizer), or use recorder.attach()"
            )
        if self._follows_clipping and self.found != AS_THE_OPTIMIZER:
            warnings.warn(
                "clip_coefficient leaves out the clipping after recorder.update(): call that after clipping, or use "
                "recorder.attach()",
                stacklevel=2,
            )

    def compare_unclipped(self, norm: Tensor) -> None:
        """Compare the gradients of a step with their norm at the end of the backward pass.

        Raises
        ------
        InputError
            If that was scaled, and the scale is not known.
        """
        now = float(norm_of_gradients(self._parameters))
        ratio = float(norm) / now if now else 1.0
        power = scale_in(ratio)
        if power:
            raise InputError(
                f"the gradients of the backward pass are {power:,} times those of the step: a gradient scaler has "
                "scaled them; give the recorder scaler=, or leave the probe 'clip_coefficient' out of probes="
            )
        if ratio > LEAST_SCALE:
            warnings.warn(
                f"the gradients of the backward pass are {ratio:,.0f} times those of the step: if a gradient scaler is "
                "used besides clipping, give the recorder scaler=",
                stacklevel=2,
            )


def scale_in(ratio: float) -> int:
    """Return the ratio of two norms if it is the scale of a gradient scaler, a large power of 2, else 0.

    Examples
    --------
    >>> scale_in(65536.01), scale_in(4.0), scale_in(1000.0)
    (65536, 0, 0)
    """
    power: int = 2 ** round(math.log2(ratio)) if 0 < ratio < math.inf else 0
    return power if power >= LEAST_SCALE and abs(ratio / power - 1) < OF_SCALES else 0
