"""Which runs a sweep makes: every combination of a grid, random draws, or a list."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from slingshot_analysis.errors import InputError, unknown_name
from trainers.overrides import override_all, with_optimizer
from trainers.recorded_run import default_name, differences
from trainers.setup import Setup, settings_of
from trainers.setups import SETUPS

__all__ = ["DISTRIBUTIONS", "by_name", "draw_values", "parse_seeds", "parse_values", "plan_runs"]

Assignment = tuple[str, str, str]
"""Where it was given, key, and value as text."""

DISTRIBUTIONS = ("uniform", "loguniform", "integers", "choice")
DIGITS = 6
"""Significant digits of a number that is drawn: it stands in the name of the trace."""


def plan_runs(
    setup: Setup,
    grid: Mapping[str, Sequence[Any]] | None = None,
    *,
    draw: Mapping[str, str] | None = None,
    draws: int = 1,
    draw_seed: int = 0,
    runs: Iterable[Mapping[str, Any]] = (),
    seeds: Iterable[int] | None = None,
    places: Mapping[str, str] | None = None,
) -> list[Setup]:
    """Return the setup of each run: each combination of the grid with each draw, then the list; each with each seed.

    What differs from a setup that is not registered is added to its name.

    Parameters
    ----------
    setup : Setup
        What does not vary.
    grid : mapping of str to sequence, optional
        Values by dotted name of a field, such as ``{"optimizer.eps": [1e-8, 1e-7]}``; ``optimizer`` is the kind.
    draw : mapping of str to str, optional
        Distributions by dotted name, such as ``{"optimizer.lr": "loguniform(1e-4, 1e-2)"}``: see `draw_values`.
    draws : int, optional
        Number of draws, the same for each combination of the grid.
    draw_seed : int, optional
        Seed of the draws. More draws of the same seed begin with those of fewer.
    runs : iterable of mapping, optional
        Runs of a list, each with what it changes. One that gives a ``seed`` is made with this seed only.
    seeds : iterable of int, optional
        The setup's own by default.
    places : mapping of str to str, optional
        Where a key of grid or draw, ``"seeds"`` or ``"runs"`` was given, for the messages; by default the argument.

    Returns
    -------
    list of Setup
        Without repetitions.

    Raises
    ------
    InputError
        If a key is unknown or given twice, a value does not fit its field, or two runs have one name.

    Examples
    --------
    >>> from trainers.setups import find_setup
    >>> runs = plan_runs(find_setup("parity_3_50"), {"optimizer.eps": [1e-8, 1e-7]}, seeds=range(5))
    >>> len(runs), default_name(runs[-1])
    (10, 'parity_3_50-s4-optimizer.eps=1e-07.h5')
    """
    grid, draw, places = grid or {}, draw or {}, places or {}
    of_seeds = places.get("seeds", "seeds")
    if seeds is not None and "seed" in {**grid, **draw}:
        raise InputError(f"{of_seeds}: the seed is in the grid or drawn too; leave one of them out")
    listed = [[(places.get("runs", "runs"), key, as_text(value)) for key, value in run.items()] for run in runs]
    points = _points(grid, draw, draws, draw_seed, places) if grid or draw or not listed else []
    every_seed = _seeds(seeds, of_seeds)
    planned = []
    for point in points + listed:
        run = _vary(setup, point)
        own = any(key == "seed" for _, key, _ in point)
        planned += [run] if own or every_seed is None else [_with_seed(run, seed, of_seeds) for seed in every_seed]
    if setup.name not in SETUPS:
        planned = [replace(run, name=f"{setup.name}{differences(run, setup)}") for run in planned]
    return list(by_name(planned).values())


def by_name(setups: Iterable[Setup]) -> dict[str, Setup]:
    """Return runs by the name of their trace, equal ones once.

    Raises
    ------
    InputError
        If two runs would be written to one file.
    """
    planned: dict[str, Setup] = {}
    for setup in setups:
        name = default_name(setup)
        if planned.setdefault(name, setup) != setup:
            raise InputError(
                f"two runs would be written to {name}; give them other names, as in dataclasses.replace(setup, "
                "name=...), or make them in two folders"
            )
    return planned


def _points(
    grid: Mapping[str, Sequence[Any]],
    draw: Mapping[str, str],
    draws: int,
    draw_seed: int,
    places: Mapping[str, str],
) -> list[list[Assignment]]:
    """Return what each combination of the grid with each draw changes."""
    columns = []
    for key, values in grid.items():
        place = places.get(key, "grid")
        if isinstance(values, str | Mapping) or not isinstance(values, Iterable) or not (values := list(values)):
            raise InputError(f"{place} {key}: is {values!r}; give a list of values, such as [1e-8, 1e-7]")
        columns.append([(place, key, as_text(value)) for value in values])
    drawn = _draw_points(draw, draws, draw_seed, places)
    for key in draw:
        if key in grid:
            raise InputError(f"{places.get(key, 'draw')} {key}: is in the grid too; leave one of them out")
    return [[*values, *point] for values in itertools.product(*columns) for point in drawn]


def _draw_points(draw: Mapping[str, str], draws: int, seed: int, places: Mapping[str, str]) -> list[list[Assignment]]:
    if draws < 1 or seed < 0:
        raise InputError(f"draws is {draws} and draw_seed {seed}; at least 1 draw and a seed of at least 0 are needed")
    columns = [
        [(place, key, value) for value in draw_values(text, draws, seed, key, place)]
        for key, text in draw.items()
        for place in [places.get(key, "draw")]
    ]
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[]]


def _seeds(seeds: Iterable[int] | None, place: str) -> list[int] | None:
    if seeds is None:
        return None
    found = list(seeds) if isinstance(seeds, Iterable) and not isinstance(seeds, str) else []
    if not found or not all(isinstance(seed, int | np.integer) for seed in found):
        raise InputError(f"{place}: is {seeds!r}; give seeds, such as range(5) or [0, 3]")
    return [int(seed) for seed in found]


def _with_seed(run: Setup, seed: int, place: str) -> Setup:
    try:
        return replace(run, seed=seed)
    except InputError as error:
        raise InputError(f"{place} {seed}: {error}") from None


def _vary(setup: Setup, point: Sequence[Assignment]) -> Setup:
    """Return the setup with what a point changes, the kind of optimizer first: others may be fields of it."""
    for place, key, text in sorted(point, key=lambda assignment: assignment[1] != "optimizer"):
        if key == "optimizer":
            setup = with_optimizer(setup, text)
        else:
            setup = override_all(setup, [f"{key}={text}"], place)
    return setup


def draw_values(text: str, draws: int, seed: int = 0, key: str = "", place: str = "draw") -> list[str]:
    """Return random values, as text.

    Parameters
    ----------
    text : str
        ``uniform(low, high)``, ``loguniform(low, high)``, ``integers(low, high)`` with both ends, or
        ``choice(a, b, …)``, or ``choice(a; b; …)`` of values that hold commas.
    draws : int
        How many.
    seed : int, optional
        With `key`, the root of the random state.
    key : str, optional
        Of which field the values are.
    place : str, optional
        Where the text was given, for the messages.

    Raises
    ------
    InputError
        If the distribution is unknown or its numbers are none.

    Examples
    --------
    >>> draw_values("loguniform(1e-4, 1e-2)", 3)
    ['0.00187899', '0.000346396', '0.000120767']
    """
    where = f"{place} {key}={text}"
    match = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", text) if isinstance(text, str) else None
    if match is None:
        raise InputError(f"{where}: write a distribution, such as loguniform(1e-4, 1e-2)")
    name, arguments = match[1], [part.strip() for part in match[2].split(";" if ";" in match[2] else ",")]
    if name not in DISTRIBUTIONS:
        raise unknown_name("distribution", name, DISTRIBUTIONS, where)
    random = np.random.default_rng([seed, zlib.crc32(key.encode())])
    if name == "choice":
        return [arguments[int(random.random() * len(arguments))] for _ in range(draws)]
    try:
        low, high = (float(part) for part in arguments)
    except ValueError:
        raise InputError(f"{where}: {name} needs two numbers, as in {name}(1, 10)") from None
    if not (low < high and (low > 0 or name != "loguniform") and np.isfinite([low, high]).all()):
        positive = " and above 0" if name == "loguniform" else ""
        raise InputError(f"{where}: the first number must be below the second{positive}, and both finite")
    shares = random.random(draws)
    if name == "integers" and not (low.is_integer() and high.is_integer()):
        raise InputError(f"{where}: integers needs two whole numbers, as in integers(1, 10)")
    if name == "integers":
        return [str(int(low) + int(share * (int(high) - int(low) + 1))) for share in shares]
    values = low * (high / low) ** shares if name == "loguniform" else low + (high - low) * shares
    return [f"{value:.{DIGITS}g}" for value in values]


def parse_values(setup: Setup, assignment: str, place: str = "grid") -> tuple[str, list[str]]:
    """Return key and values of ``key=a,b,c``; values that hold commas themselves are separated by semicolons.

    Raises
    ------
    InputError
        If there is no ``=``, no value or an empty one.

    Examples
    --------
    >>> from trainers.setups import find_setup
    >>> parse_values(find_setup("parity_3_50"), "optimizer.betas=0.9,0.999;0.9,0.99")
    ('optimizer.betas', ['0.9,0.999', '0.9,0.99'])
    """
    key, separator, text = assignment.partition("=")
    several = ";" in text or isinstance(settings_of(setup).get(key), tuple)
    values = [part.strip() for part in text.split(";" if several else ",")]
    if not separator or not all(values):
        raise InputError(f"{place} {assignment}: write it as key=value,value, such as optimizer.eps=1e-8,1e-7")
    return key, values


def parse_seeds(text: str, place: str = "seeds") -> list[int]:
    """Return the seeds of a text such as ``0-4,7``.

    Parameters
    ----------
    text : str
        Seeds and ranges with both ends.
    place : str, optional
        Where the text was given, for the messages.

    Raises
    ------
    InputError
        If a part is neither a number nor a range.

    Examples
    --------
    >>> parse_seeds("0-4,7")
    [0, 1, 2, 3, 4, 7]
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise InputError(f"{place} {text}: {part!r} is neither a seed nor a range; write it as 0-4 or 0,3,7-9")
        seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))


def as_text(value: Any) -> str:
    """Return a value as ``--set`` takes it.

    Examples
    --------
    >>> as_text((0.9, 0.999)), as_text(True), as_text(1e-8)
    ('0.9,0.999', 'true', '1e-08')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(as_text, value)) if isinstance(value, list | tuple) else str(value)
