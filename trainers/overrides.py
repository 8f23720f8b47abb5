"""Change the optimizer or single fields of a setup, given as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from slingshot_analysis.errors import InputError, unknown_name
from trainers.optimizers import OPTIMIZERS, as_kind
from trainers.setup import Setup, settings_of

Value = TypeVar("Value")


def with_optimizer(setup: Setup, name: str) -> Setup:
    """Return the setup with an optimizer of another kind.

    Fields that both kinds have, such as the learning rate, keep their value. Other fields get their defaults.

    Raises
    ------
    InputError
        If `name` is not one of ``trainers.optimizers.OPTIMIZERS``; the message names similar ones.

    Examples
    --------
    >>> from trainers.setups import find_setup
    >>> with_optimizer(find_setup("parity_3_50"), "rmsprop").optimizer
    RMSProp(lr=0.004, alpha=0.99, momentum=0.0, eps=1e-08, warmup=0)
    """
    if name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS)
    return dataclasses.replace(setup, optimizer=as_kind(setup.optimizer, OPTIMIZERS[name]))


def override_all(setup: Setup, assignments: Iterable[str], where: str = "") -> Setup:
    """Return the setup with each ``key=value`` of `assignments` applied.

    Parameters
    ----------
    setup : Setup
        The setup, which is not changed.
    assignments : iterable of str
        Such as ``optimizer.eps=1e-7``: the dotted name of a field and its value.
    where : str, optional
        Where the assignments were given, for the messages.

    Raises
    ------
    InputError
        If an assignment has no ``=`` or names no field, or its value does not fit the field.

    Examples
    --------
    >>> from trainers.setups import find_setup
    >>> override_all(find_setup("parity_3_50"), ["optimizer.eps=1e-7"]).optimizer
    Adam(lr=0.004, betas=(0.9, 0.999), eps=1e-07, warmup=0)
    """
    for assignment in assignments:
        place = f"{where} {assignment}".lstrip()
        key, separator, text = assignment.partition("=")
        if not separator:
            raise InputError(f"{place}: write it as key=value, such as optimizer.eps=1e-7")
        if key == "optimizer":
            raise InputError(
                f"{place}: the kind of optimizer is chosen with optimizer={text!r}, and in a sweep with the key "
                "optimizer of grid="
            )
        names = settings_of(setup)
        if key not in names:
            raise unknown_name("key", key, names, place)
        try:
            setup = override(setup, key.split("."), text)
        except ValueError as error:
            raise InputError(f"{place}: {error}") from None
    return setup


def override(value: Value, path: Sequence[str], text: str) -> Value:
    """Return a copy of a nested frozen dataclass in which the field at `path` is parsed from `text`."""
    name, *rest = path
    if rest:
        new = override(getattr(value, name), rest, text)
    else:
        new = _parse(get_type_hints(type(value))[name], text)
    return dataclasses.replace(value, **{name: new})  # type: ignore[type-var]


def _parse(kind: Any, text: str) -> Any:
    if get_origin(kind) is tuple:
        kinds, parts = get_args(kind), text.strip("()").split(",")
        if len(parts) != len(kinds):
            raise ValueError(f"{len(kinds)} numbers are needed, separated by commas")
        return tuple(_parse(k, part.strip()) for k, part in zip(kinds, parts, strict=True))
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError("give true or false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"not a valid {kind.__name__}") from None
