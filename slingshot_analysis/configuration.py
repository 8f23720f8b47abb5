"""The configuration of a run as flat names and plain values, by which runs are compared and grouped."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from slingshot_analysis.nested import flatten
from slingshot_analysis.trace import Trace

Plain = bool | int | float | str

SEEDS = {"seed", "seeds", "random_seed", "data_seed", "init_seed"}
"""Last parts of the names of seeds. Runs that differ only in these have the same configuration."""

PROVENANCE = {
    *("format", "version", "start_time", "finished", "creator", "device", "threads", "cpu_kernels", "flush_denormal"),
    *("libraries", "git_revision", "command", "last_layer", "resumed", "thinned", "run_id", "experiment", "results"),
}
"""Attributes that say where a file comes from or how the run went; they do not describe what was trained."""

RESULTS = re.compile(
    r"final_(.*_)?(loss|acc|accuracy|error|perplexity|norm_value|step|gini)(es|s)?(_(?!weight|scale|size|factor|rate).*)?"
    r"|.*_per_seed|total_flos|global_step",
    re.IGNORECASE,
)
"""Last parts of the names of results of a run."""

SETUP_KIND, DESCRIPTIONS = "Setup", {"kind", "name", "title", "figures"}
"""Value of ``kind`` in the configuration of a registered setup, and its entries that only describe the setup in words:
the attribute ``setup`` names it already. In any other configuration these are keys like all others."""


def configuration(run: Trace) -> dict[str, Plain]:
    """Return the configuration of a run by dotted names, such as ``optimizer.eps``.

    It consists of the attribute ``config`` of a trace and of every other attribute that says what was trained, such as
    ``setup`` and the parameters of an MLflow run. A pair ``betas`` becomes ``beta1`` and ``beta2``. Any other list
    becomes JSON text, and text that is a number becomes a number. None is left out, and so are results, such as
    ``final_loss``.

    Parameters
    ----------
    run : Trace
        A trace, or a log of another tool.

    Returns
    -------
    dict of str to bool, int, float or str
        Empty where nothing was recorded.

    Raises
    ------
    InputError
        If ``config`` is no JSON object.
    """
    config = run.config
    described = DESCRIPTIONS if config.get("kind") == SETUP_KIND and "setup" in run.attributes else set()
    entries = _flat({name: value for name, value in config.items() if name not in described})
    others = [name for name in run.attributes if name not in PROVENANCE and name != "config"]
    attributes = {name: run.attributes[name] for name in others if not RESULTS.fullmatch(name.rpartition(".")[2])}
    first = {"setup": attributes.pop("setup")} if "setup" in attributes else {}
    return _flat(first) | entries | {k: v for k, v in _flat(attributes).items() if k not in entries}


def is_seed(name: str) -> bool:
    """Return whether a dotted name is that of a seed.

    Examples
    --------
    >>> is_seed("data.seed"), is_seed("optimizer.eps")
    (True, False)
    """
    return name.rpartition(".")[2].lower() in SEEDS


def _flat(entries: Mapping[str, Any]) -> dict[str, Plain]:
    flat: dict[str, Plain] = {}
    for name, value in flatten(entries).items():
        place, dot, last = name.rpartition(".")
        if last == "betas" and isinstance(value, list | tuple) and len(value) == 2:
            betas = {f"{place}{dot}beta1": value[0], f"{place}{dot}beta2": value[1]}
            flat |= {key: _plain(beta) for key, beta in betas.items() if beta is not None}
        elif value is not None:
            flat[name] = _plain(value)
    return flat


def _plain(value: Any) -> Plain:
    if isinstance(value, np.generic):
        value = float(str(value)) if isinstance(value, np.floating) else value.item()
    if isinstance(value, bool | int | float):
        return value
    if not isinstance(value, str):
        return json.dumps(value, default=str)
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    return value
