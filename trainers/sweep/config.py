"""The configuration file of a sweep."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.nested import flatten


@dataclass(frozen=True)
class SweepConfig:
    """Contents of a configuration file; every key is optional.

    Parameters
    ----------
    title, figures : str
        What the sweep shows, and the figures of the paper that show it.
    setup : str or list of str
        Name of the setup, or of several that are varied in the same way.
    steps : int, updates
        Length of each run.
    seeds : str, int or list of int
        Seeds of each run, such as ``"0-4"``.
    set, grid, draw : dict
        Value, list of values, or distribution of a field, by its dotted name.
    draws, draw_seed : int
        Number and seed of the random draws.
    runs : list of dict
        Additional runs: values by dotted name of a field. The key ``setup`` names another setup for this run alone.
    probes : str
        What to record.
    """

    title: str | None = None
    figures: str | None = None
    setup: str | list[str] | None = None
    steps: int | None = None
    seeds: str | int | list[int] | None = None
    set: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, Any] = field(default_factory=dict)
    draw: dict[str, Any] = field(default_factory=dict)
    draws: int | None = None
    draw_seed: int | None = None
    runs: list[dict[str, Any]] = field(default_factory=list)
    probes: str | None = None

    @property
    def setups(self) -> list[str]:
        """Names of the setups that set, grid and draw vary."""
        return [self.setup] if isinstance(self.setup, str) else self.setup or []


FOLDER = Path(__file__).parent / "files"


def shipped_sweeps() -> list[str]:
    """Return the names of the sweeps that come with the package: the runs behind the paper's figures.

    Examples
    --------
    >>> "datasets" in shipped_sweeps()
    True
    """
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_config(path: str | Path) -> SweepConfig:
    """Read the configuration of a sweep from a TOML file.

    Parameters
    ----------
    path : path-like
        The file, or a name of :func:`shipped_sweeps`.

    Raises
    ------
    InputError
        If the file can't be read or is not TOML, a key is unknown, or a value has the wrong type.
    """
    file = FOLDER / f"{path}.toml" if path in shipped_sweeps() else Path(path)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: can't be read ({error.strerror}); give a TOML file, or one of {', '.join(shipped_sweeps())}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not TOML: {error}") from None
    names = [f.name for f in fields(SweepConfig)]
    for key, value in content.items():
        if key not in names:
            raise unknown_name("key", key, names, where=f"{path}")
        _check(path, key, value)
    for key in ("set", "grid", "draw"):
        content[key] = flatten(content.get(key, {}))
    for key, values in content["grid"].items():
        if not isinstance(values, list) or not values:
            raise InputError(f"{path}: grid: {key} is {values!r}; give a list of values")
    for key, text in content["draw"].items():
        if not isinstance(text, str):
            raise InputError(f'{path}: draw: {key} is {text!r}; give a distribution, such as "uniform(0, 1)"')
    for key, least in (("draws", 1), ("draw_seed", 0)):
        if content.get(key, least) < least:
            raise InputError(f"{path}: {key} is {content[key]}; give at least {least}")
    content["runs"] = [flatten(run) for run in content.get("runs", [])]
    return SweepConfig(**content)


TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "title": (str, "a text"),
    "figures": (str, "a text"),
    "probes": (str, "names, such as 'light,hessian:50'"),
    "setup": ((str, list), "the name of a setup, or a list of names"),
    "steps": (int, "a number of updates"),
    "seeds": ((str, int, list), 'seeds, such as "0-4" or [0, 1]'),
    "set": (dict, "a table of values by key"),
    "grid": (dict, "a table of lists by key"),
    "draw": (dict, "a table of distributions by key"),
    "draws": (int, "a number of draws"),
    "draw_seed": (int, "a seed"),
    "runs": (list, "tables, each under the heading [[runs]]"),
}
"""Types of a key's value, and their description for messages."""


def _check(path: str | Path, key: str, value: Any) -> None:
    kinds, what = TYPES[key]
    listed = key == "runs" and not (isinstance(value, list) and all(isinstance(run, dict) for run in value))
    if isinstance(value, bool) or not isinstance(value, kinds) or listed:
        raise InputError(f"{path}: {key} is {value!r}; give {what}")
