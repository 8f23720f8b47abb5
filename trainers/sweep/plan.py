"""Plan the runs of a sweep: all combinations of a grid, random draws, or a list."""

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

Assignment = tuple[str, str, str]
"""Place where it was given (for messages), key, and value as text."""

DISTRIBUTIONS = ("uniform", "loguniform", "integers", "choice")
SIGNIFICANT_DIGITS = 6
"""Significant digits of random numbers, which become a part of file names."""


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
    """Return the setups of all runs.

    These are all combinations of the grid with each draw, followed by the runs of the list. Each is made with each
    seed. If `setup` is not registered, the fields in which a run differs from it are added to the run's name.

    Parameters
    ----------
    setup : Setup
        The setup that the runs vary.
    grid : mapping of str to sequence, optional
        Values by dotted name of a field, such as ``{"optimizer.eps": [1e-8, 1e-7]}``. The key ``optimizer`` varies the
        kind of optimizer.
    draw : mapping of str to str, optional
        Distributions by dotted name, such as ``{"optimizer.lr": "loguniform(1e-4, 1e-2)"}``: see `draw_values`.
    draws : int, optional
        Number of draws. Each combination of the grid gets the same draws.
    draw_seed : int, optional
        Seed of the draws. With the same seed, a larger number of draws begins with those of a smaller number.
    runs : iterable of mapping, optional
        Additional runs: values by dotted name of a field. A run that sets ``seed`` is made only with this seed.
    seeds : iterable of int, optional
        Seeds of every run; by default the seed of `setup`.
    places : mapping of str to str, optional
        Where the keys of grid and draw, ``"seeds"`` and ``"runs"`` were given, for messages; by default the argument.

    Returns
    -------
    list of Setup
        The setups, without duplicates.

    Raises
    ------
    InputError
        If a key is unknown or given twice, a value does not fit its field, or two runs have the same name.

    Examples
    --------
    >>> from trainers.setups import find_setup
    >>> runs = plan_runs(find_setup("parity_3_50"), {"optimizer.eps": [1e-8, 1e-7]}, seeds=range(5))
    >>> len(runs), default_name(runs[-1])
    (10, 'parity_3_50-s4-optimizer.eps=1e-07.h5')
    """
    grid, draw, places = grid or {}, draw or {}, places or {}
    place_of_seeds, place_of_runs = places.get("seeds", "seeds"), places.get("runs", "runs")
    if seeds is not None and "seed" in {**grid, **draw}:
        raise InputError(f"{place_of_seeds}: the seed is also given by the grid or drawn; leave one of them out")
    listed = [[(place_of_runs, key, as_text(value)) for key, value in changes.items()] for changes in runs]
    points = _points(grid, draw, draws, draw_seed, places) if grid or draw or not listed else []
    every_seed = _seeds(seeds, place_of_seeds)
    planned = []
    for point in points + listed:
        varied = _vary(setup, point)
        if every_seed is None or any(key == "seed" for _, key, _ in point):
            planned.append(varied)
        else:
            planned += [_with_seed(varied, seed, place_of_seeds) for seed in every_seed]
    if setup.name not in SETUPS:
        planned = [replace(varied, name=f"{setup.name}{differences(varied, setup)}") for varied in planned]
    return list(by_name(planned).values())


def by_name(setups: Iterable[Setup]) -> dict[str, Setup]:
    """Return setups by the file name of their trace, without duplicates.

    Raises
    ------
    InputError
        If two different setups have the same file name.
    """
    planned: dict[str, Setup] = {}
    for setup in setups:
        name = default_name(setup)
        if planned.setdefault(name, setup) != setup:
            raise InputError(
                f"two runs would be written to {name}; give them different names, as in dataclasses.replace(setup, "
                "name=...), or different folders"
            )
    return planned


def _points(
    grid: Mapping[str, Sequence[Any]],
    draw: Mapping[str, str],
    draws: int,
    draw_seed: int,
    places: Mapping[str, str],
) -> list[list[Assignment]]:
    """Return the assignments of each combination of the grid with each draw."""
    columns = []
    for key, values in grid.items():
        place = places.get(key, "grid")
        if isinstance(values, str | Mapping) or not isinstance(values, Iterable) or not (values := list(values)):
            raise InputError(f"{place} {key}: is {values!r}; give a list of values, such as [1e-8, 1e-7]")
        columns.append([(place, key, as_text(value)) for value in values])
    drawn = _draw_points(draw, draws, draw_seed, places)
    for key in draw:
        if key in grid:
            raise InputError(f"{places.get(key, 'draw')} {key}: is also in the grid; leave one of them out")
    return [[*values, *point] for values in itertools.product(*columns) for point in drawn]


def _draw_points(draw: Mapping[str, str], draws: int, seed: int, places: Mapping[str, str]) -> list[list[Assignment]]:
    if draws < 1 or seed < 0:
        raise InputError(f"draws={draws} and draw_seed={seed}: give at least 1 and at least 0")
    columns = [
        [(place, key, value) for value in draw_values(text, draws, seed, key, place)]
        for key, text in draw.items()
        for place in [places.get(key, "draw")]
    ]
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[]]


def _seeds(seeds: object, place: str) -> list[int] | None:
    if seeds is None:
        return None
    found = list(seeds) if isinstance(seeds, Iterable) and not isinstance(seeds, str) else []
    if not found or not all(isinstance(seed, int | np.integer) for seed in found):
        raise InputError(f"{place}: is {seeds!r}; give seeds, such as range(5) or [0, 3]")
    return [int(seed) for seed in found]


def _with_seed(setup: Setup, seed: int, place: str) -> Setup:
    try:
        return replace(setup, seed=seed)
    except InputError as error:
        raise InputError(f"{place} {seed}: {error}") from None


def _vary(setup: Setup, point: Sequence[Assignment]) -> Setup:
    """Return the setup with these assignments. The kind of optimizer comes first, because others may be its fields."""
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
        ``uniform(low, high)``, ``loguniform(low, high)``, ``integers(low, high)`` including both ends, or
        ``choice(a, b, …)``. Values that contain commas are separated by semicolons: ``choice(a; b; …)``.
    draws : int
        Number of values.
    seed : int, optional
        Seed; each `key` has random numbers of its own.
    key : str, optional
        Dotted name of the field.
    place : str, optional
        Where the text was given, for messages.

    Raises
    ------
    InputError
        If the distribution is unknown, or its arguments are not allowed.

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
    return [f"{value:.{SIGNIFICANT_DIGITS}g}" for value in values]


def parse_values(setup: Setup, assignment: str, place: str = "grid") -> tuple[str, list[str]]:
    """Return key and values of ``key=a,b,c``. Values that contain commas are separated by semicolons.

    Raises
    ------
    InputError
        If there is no ``=``, or a value is empty.

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
        Seeds and ranges, which include both ends.
    place : str, optional
        Where the text was given, for messages.

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
    """Return a value as text that `override_all` reads.

    Examples
    --------
    >>> as_text((0.9, 0.999)), as_text(True), as_text(1e-8)
    ('0.9,0.999', 'true', '1e-08')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(as_text, value)) if isinstance(value, list | tuple) else str(value)
