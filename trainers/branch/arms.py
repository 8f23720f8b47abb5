"""The arms of a branch: what each changes, and the run with which it begins."""

from __future__ import annotations

import copy
import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from slingshot_analysis.branching import RESETS, perturb
from slingshot_analysis.errors import InputError, unknown_name
from trainers.overrides import override_all, with_optimizer
from trainers.run import BatchOrder, Run
from trainers.setup import Setup, settings_of

CONTROL = "control"

FIELDS = {
    "loss": "loss",
    "loss_dtype": "loss_dtype",
    "dtype": "dtype",
    "autocast": "autocast",
    "label_smoothing": "label_smoothing",
    "z_loss": "z_loss",
    "temperature": "temperature",
    "clip_gradient": "interventions.clip_gradient",
    "clip_update": "interventions.clip_update",
    "freeze": "interventions.freeze",
    "perpendicular": "orthogonal_gradient",
}
"""Fields of a setup by the key of an arm, besides those of the optimizer."""

LIKE_ADAM = "Adam", "AdamW", "GenericAdaptive"
"""Optimizers whose states have the same meaning, so that one goes on with that of another."""


@dataclass(frozen=True)
class Arm:
    """One way in which a branch goes on.

    Parameters
    ----------
    name : str
        The change as it was given, ``control``, or ``null-1`` and so on. The trace is named after it.
    change : str
        What differs from the parent, in words for the header of the trace; empty for the control.
    setup : Setup
        The setup from the branch point on.
    reset : str
        Which state of the optimizer becomes zero, a key of `RESETS`; empty for none. "moments" begins the count of
        updates anew too, as a new optimizer does.
    skip : int, batches
        Number of batches that are left out at the branch point.
    order : int or None
        Seed of another order of batches.
    clamp : bool
        Whether the norm of the last layer is held at most at its value at the branch point.
    null : int or None
        Seed that chooses the weight whose last digit changes.
    """

    name: str
    change: str
    setup: Setup
    reset: str = ""
    skip: int = 0
    order: int | None = None
    clamp: bool = False
    null: int | None = None

    @property
    def file(self) -> str:
        """File name of the trace."""
        return f"{self.name.replace(os.sep, '_')}.h5"

    def begin(self, parent: Setup, state: Mapping[str, Any], device: torch.device, last_layer: str) -> Run:
        """Return the run at the branch point, after what happens only once.

        Parameters
        ----------
        parent : Setup
            The setup of the parent.
        state : mapping
            Its state, see :func:`~trainers.branch.parent.state_at`.
        device : torch.device
            Where to train.
        last_layer : str
            Name of the last layer, as the trace of the parent gives it.
        """
        setup, state = self.setup, copy.deepcopy(dict(state))  # an optimizer goes on with the tensors it is given
        if self.clamp:
            limit = state["model"][_weight_name(last_layer, state["model"])].norm().item()
            limits = dataclasses.replace(setup.interventions, clamped_layer=last_layer, largest_norm=limit)
            setup = dataclasses.replace(setup, interventions=limits)
        run = Run(setup, device)
        adapted = {**state, "optimizer": _optimizer_state(run.optimizer, setup, parent, state["optimizer"])}
        if run.scaler is not None:
            adapted.setdefault("scaler", run.scaler.state_dict())
        run.load_state_dict(adapted)
        for values in run.optimizer.state.values():
            for name in RESETS.get(self.reset, ()):
                if isinstance(values.get(name), Tensor):
                    values[name].zero_()
            if self.reset == "moments" and "step" in values:
                values["step"] = values["step"] * 0
        if self.order is not None:
            samples = len(run.data.train_inputs)
            run.batches = BatchOrder(samples, setup.batch_size, self.order, device, setup.drop_last)
        for _ in range(self.skip):
            next(run.batches)
        if self.null is not None:
            _perturb(run.model.state_dict()[_weight_name(last_layer, state["model"])], self.null)
        return run


def parse_arm(text: str, setup: Setup, steps: int) -> Arm:
    """Return the arm of a text such as ``optimizer.eps=1e-6`` or ``loss=stablemax,loss_dtype=float64``.

    Parameters
    ----------
    text : str
        Changes, ``KEY=VALUE`` with commas between them.
    setup : Setup
        The setup of the parent.
    steps : int, updates
        Number of updates of the parent at the end of the arm.

    Raises
    ------
    InputError
        If a key or a value is not allowed; the message names it.

    Examples
    --------
    >>> from trainers.setups import find_setup
    >>> parse_arm("optimizer.betas=0.9,0.99,loss=stablemax", find_setup("parity_3_50"), 100).setup.optimizer
    Adam(lr=0.004, betas=(0.9, 0.99), eps=1e-08, warmup=0)
    """
    place, found = f"arms={text!r}", Arm(text, text, dataclasses.replace(setup, steps=steps))
    for part in re.split(r",(?=[a-z_.]+=|perpendicular)", text):
        key, equals, value = part.partition("=")
        if key == "perpendicular" and not equals:
            value = "true"
        elif not equals:
            raise InputError(f"{place}: write it as KEY=VALUE, such as optimizer.eps=1e-6")
        found = _changed(found, key, value, place)
    return found


def control_arm(setup: Setup, steps: int) -> Arm:
    """Return the arm that changes nothing."""
    return Arm(CONTROL, "", dataclasses.replace(setup, steps=steps))


def null_arms(setup: Setup, steps: int, count: int) -> list[Arm]:
    """Return arms that change the last digit of one weight of the last layer: they drift apart by chance alone."""
    same = dataclasses.replace(setup, steps=steps)
    return [
        Arm(f"null-{i}", "the last digit of one weight of the last layer", same, null=i) for i in range(1, count + 1)
    ]


def _changed(arm: Arm, key: str, value: str, place: str) -> Arm:
    if key == "optimizer":
        return dataclasses.replace(arm, setup=with_optimizer(arm.setup, value))
    if key.startswith("optimizer.") or key in FIELDS:
        name = FIELDS.get(key, key)
        if name not in settings_of(arm.setup):
            raise unknown_name("key", name, [k for k in settings_of(arm.setup) if k.startswith("optimizer.")], place)
        return dataclasses.replace(arm, setup=override_all(arm.setup, [f"{name}={value}"], place))
    if key == "norm" and value == "clamp":
        return dataclasses.replace(arm, clamp=True)
    if key == "reset" and value in RESETS:
        return dataclasses.replace(arm, reset=value)
    if key == "skip" and value.isdecimal():
        return dataclasses.replace(arm, skip=int(value))
    if key == "order" and value.isdecimal():
        return dataclasses.replace(arm, order=int(value))
    allowed = {"norm": "clamp", "reset": " or ".join(RESETS), "skip": "a number", "order": "a seed"}
    if key in allowed:
        raise InputError(f"{place}: {key} is {value!r}; give {allowed[key]}")
    raise unknown_name("key", key, ["optimizer", "optimizer.eps", "optimizer.lr", *FIELDS, *allowed], place)


def _optimizer_state(
    optimizer: torch.optim.Optimizer, setup: Setup, parent: Setup, state: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the state of the parent's optimizer for the optimizer of an arm, with the settings of the arm."""
    own = optimizer.state_dict()["param_groups"]
    kind, before = type(setup.optimizer).__name__, type(parent.optimizer).__name__
    if kind == before:
        (plain,) = parent.optimizer.build([nn.Parameter(torch.zeros(1))]).param_groups
        groups = [
            saved | {name: value for name, value in group.items() if name != "params" and value != plain[name]}
            for saved, group in zip(state["param_groups"], own, strict=True)
        ]
        return {"state": state["state"], "param_groups": groups}
    states = state["state"] if kind in LIKE_ADAM and before in LIKE_ADAM else {}
    counted = {key: values | {"step": _as_count(values["step"], kind)} for key, values in states.items()}
    return {"state": counted, "param_groups": own}


def _as_count(step: Any, kind: str) -> Any:
    """Return a number of updates as the optimizer of a kind keeps it."""
    return int(step) if kind == "GenericAdaptive" else torch.tensor(float(step))


def _weight_name(layer: str, weights: Mapping[str, Tensor]) -> str:
    """Return the name of the weight of a layer, which may itself be the name of a parameter."""
    for name in (layer, f"{layer}.weight"):
        if name in weights:
            return name
    raise unknown_name("layer", layer, weights)


def _perturb(weight: Tensor, seed: int) -> None:
    """Change the last digit of one of the larger half of the weights; the smaller ones may belong to dead units."""
    flat = weight.view(-1)
    larger = flat.abs().argsort(descending=True)[: max(1, flat.numel() // 2)]
    perturb(flat, int(larger[torch.randint(len(larger), (), generator=torch.Generator().manual_seed(seed))]))
