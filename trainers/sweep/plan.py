"""Which runs a sweep makes: every combination of a grid, random draws, or a list."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from slingshot_analysis.errors import InputError, unknown_name
from trainers.overrides import override_all, with_optimizer
from trainers.record import default_name
from trainers.setup import Setup, flatten

__all__ = ["DISTRIBUTIONS", "draw_values", "parse_seeds", "parse_values", "plan_runs"]

Assignments = dict[str, str]

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
) -> list[Setup]:
    """Return the setup of each run: each combination of the grid with each draw, then the list; each with each seed.

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

    Returns
    -------
    list of Setup
        Without repetitions.

    Raises
    ------
    InputError
        If a key is unknown or given twice, or a value does not fit its field.

    Examples
    --------
    >>> from trainers.setups import find_setup
    >>> runs = plan_runs(find_setup("parity_3_50"), {"optimizer.eps": [1e-8, 1e-7]}, seeds=range(5))
    >>> len(runs), default_name(runs[-1])
    (10, 'parity_3_50-s4-optimizer.eps=1e-07.h5')
    """
    if seeds is not None and "seed" in {**(grid or {}), **(draw or {})}:
        raise InputError("--seeds: the seed is in the grid or drawn too; leave one of them out")
    seeds = list(seeds) if seeds is not None else [setup.seed]
    points: list[tuple[str, Assignments]] = []
    listed = [("runs", {key: as_text(value) for key, value in run.items()}) for run in runs]
    if grid or draw or not listed:
        keys = {key: [as_text(value) for value in values] for key, values in (grid or {}).items()}
        for key in keys:
            if key in (draw or {}):
                raise InputError(f"--draw {key}: is in the grid too; leave one of them out")
        drawn = _draw_points(draw, draws, draw_seed) if draw else [{}]
        points += [
            ("--grid", dict(zip(keys, values, strict=True)) | point)
            for values in itertools.product(*keys.values())
            for point in drawn
        ]
    planned: dict[str, Setup] = {}
    for option, point in points + listed:
        for seed in [point["seed"]] if "seed" in point else seeds:
            run = _vary(setup, {**point, "seed": str(seed)}, option)
            planned[default_name(run)] = run
    return list(planned.values())


def _vary(setup: Setup, point: Assignments, option: str) -> Setup:
    rest = dict(point)
    kind = rest.pop("optimizer", None)
    if kind is not None:
        setup = with_optimizer(setup, kind)
    return override_all(setup, [f"{key}={text}" for key, text in rest.items()], option)


def _draw_points(draw: Mapping[str, str], draws: int, seed: int) -> list[Assignments]:
    if draws < 1:
        raise InputError(f"--draws {draws}: at least 1 draw is needed")
    columns = {key: draw_values(text, draws, seed, key) for key, text in draw.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def draw_values(text: str, draws: int, seed: int = 0, key: str = "") -> list[str]:
    """Return random values, as text.

    Parameters
    ----------
    text : str
        ``uniform(low, high)``, ``loguniform(low, high)``, ``integers(low, high)`` with both ends, or
        ``choice(a, b, …)``.
    draws : int
        How many.
    seed : int, optional
        With `key`, the root of the random state.
    key : str, optional
        Of which field the values are.

    Raises
    ------
    InputError
        If the distribution is unknown or its numbers are none.

    Examples
    --------
    >>> draw_values("loguniform(1e-4, 1e-2)", 3)
    ['0.00187899', '0.000346396', '0.000120767']
    """
    where = f"--draw {key}={text}"
    match = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", text)
    if match is None:
        raise InputError(f"{where}: write a distribution, such as loguniform(1e-4, 1e-2)")
    name, arguments = match[1], [part.strip() for part in match[2].split(",")]
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


def parse_values(setup: Setup, assignment: str) -> tuple[str, list[str]]:
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
    several = ";" in text or isinstance(flatten(setup).get(key), tuple)
    values = [part.strip() for part in text.split(";" if several else ",")]
    if not separator or not all(values):
        raise InputError(f"--grid {assignment}: write it as key=value,value, such as optimizer.eps=1e-8,1e-7")
    return key, values


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of a text such as ``0-4,7``.

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
            raise InputError(f"--seeds {text}: {part!r} is neither a seed nor a range; write it as 0-4 or 0,3,7-9")
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
