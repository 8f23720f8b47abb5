"""Changes of gradients, updates and norms that people try against slingshots and loss spikes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.recording.torch_internals import foreach, norms


@dataclass(frozen=True)
class Interventions:
    """Limits that each update keeps to. Those that are 0 or empty are off, as all are by default.

    Parameters
    ----------
    clip_gradient : float, loss per norm
        Largest norm of the gradient of all parameters; a longer one is scaled down (Pascanu et al. 2013,
        arXiv 1211.5063).
    clip_update : float, norm
        Largest norm of the change of all parameters in an update; a longer one is scaled down.
    clamped_layer : str
        Module or parameter whose weight is held at most at `largest_norm`.
    largest_norm : float, norm
        After each update, a longer weight of `clamped_layer` is scaled down to this norm.
    freeze : str
        Modules or parameters, with + between them, that updates leave as they are; their gradients are still computed
        and recorded.

    Raises
    ------
    InputError
        If a limit is negative or not finite, or only one of `clamped_layer` and `largest_norm` is given.
    """

    clip_gradient: float = 0.0
    clip_update: float = 0.0
    clamped_layer: str = ""
    largest_norm: float = 0.0
    freeze: str = ""

    def __post_init__(self) -> None:
        for name in ("clip_gradient", "clip_update", "largest_norm"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} is {getattr(self, name)}; give a positive number, or 0 for no limit")
        if bool(self.clamped_layer) != bool(self.largest_norm):
            raise InputError("clamped_layer= and largest_norm= belong together; give both or none")


class Intervening:
    """Applies the interventions of a setup to the updates of one run: a call before and a call after each.

    Parameters
    ----------
    interventions : Interventions
        What to do.
    orthogonal : bool
        Whether gradients are made orthogonal to their parameters first.
    parameters : mapping of str to nn.Parameter
        The parameters of the model by name.

    Raises
    ------
    InputError
        If the model has no layer of a name.
    """

    def __init__(self, interventions: Interventions, orthogonal: bool, parameters: Mapping[str, nn.Parameter]) -> None:
        self._limits, self._orthogonal, self._all = interventions, orthogonal, list(parameters.values())
        self._frozen = [
            p for name in filter(None, interventions.freeze.split("+")) for p in _of_layer(name, parameters)
        ]
        clamped = _of_layer(interventions.clamped_layer, parameters) if interventions.clamped_layer else []
        self._clamped = max(clamped, key=lambda parameter: parameter.ndim, default=None)
        self._compared = self._all if interventions.clip_update else self._frozen
        self.is_needed = orthogonal or interventions != Interventions()
        """Whether there is anything to do."""

    @torch.no_grad()
    def before_update(self) -> None:
        """Change the gradients, and keep what :meth:`after_update` compares with."""
        if self._orthogonal:
            orthogonalize_gradients(self._all)
        if self._limits.clip_gradient:
            torch.nn.utils.clip_grad_norm_(self._all, self._limits.clip_gradient)
        self._before = {parameter: parameter.clone() for parameter in self._compared}

    @torch.no_grad()
    def after_update(self) -> None:
        """Change the weights."""
        if self._limits.clip_update:
            moves = [weight - before for weight, before in self._before.items()]
            share = self._limits.clip_update / torch.stack(norms(moves)).norm()
            for (weight, before), move in zip(self._before.items(), moves, strict=True):
                # an update within the limit stays as it is, to the bit
                weight.copy_(torch.where(share < 1, before + share * move, weight))
        for weight in self._frozen:
            weight.copy_(self._before[weight])
        if self._clamped is not None:
            share = self._limits.largest_norm / self._clamped.norm()
            self._clamped.copy_(torch.where(share < 1, share * self._clamped, self._clamped))


def _of_layer(name: str, parameters: Mapping[str, nn.Parameter]) -> list[nn.Parameter]:
    """Return the parameters of a module, or the parameter of this name."""
    found = [parameter for key, parameter in parameters.items() if key == name or key.startswith(f"{name}.")]
    if not found:
        raise unknown_name("layer", name, parameters)
    return found


@torch.no_grad()
def orthogonalize_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """⊥Grad: replace each gradient by its component orthogonal to the parameter, rescaled to the gradient's norm.

    For a parameter w with gradient g, both as flat vectors::

        g_⊥ = g − (w·g / w·w) w,    g ← ‖g‖ g_⊥ / ‖g_⊥‖

    This removes the direction that only scales the logits up ("naive loss minimisation"). The paper's equation defines
    g_⊥; the rescaling is in the authors' code. A parameter that is zero keeps its gradient. If a gradient is parallel
    to its parameter, g_⊥ is rounding noise, which the rescaling brings to the norm of g. The function does not wait for
    the device.

    Parameters
    ----------
    parameters : iterable of nn.Parameter
        The parameters, whose gradients are changed in place. Parameters without a gradient are ignored.

    References
    ----------
    Prieto et al. 2025, arXiv 2501.04697, section 5; github.com/LucasPrietoAl/
    grokking-at-the-edge-of-numerical-stability.

    Examples
    --------
    >>> weight = nn.Parameter(torch.tensor([1.0, 0.0]))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> orthogonalize_gradients([weight])
    >>> weight.grad
    tensor([0., 5.])
    """
    weights: list[Tensor] = [p for p in parameters if p.grad is not None]
    gradients = [p.grad for p in weights if p.grad is not None]
    tiny = torch.finfo(gradients[0].dtype).tiny
    lengths = norms(gradients)
    shares = [product.sum() for product in foreach("mul", weights, gradients)]
    squares = [square.sum() for square in foreach("mul", weights, weights)]
    foreach("div_", shares, foreach("clamp_min", squares, tiny))
    foreach("sub_", gradients, foreach("mul", weights, shares))
    foreach("div_", lengths, foreach("clamp_min", norms(gradients), tiny))
    foreach("mul_", gradients, lengths)
