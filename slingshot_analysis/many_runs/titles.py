"""Titles of traces that are shown side by side: the entries in which their configurations differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from slingshot_analysis.configuration import Plain, configuration, is_seed
from slingshot_analysis.errors import SlingshotError
from slingshot_analysis.many_runs.groups import LISTED_IN_FULL, short_names, shown_value
from slingshot_analysis.readers import isolated, one_child
from slingshot_analysis.trace import open_trace
from slingshot_analysis.trace.reader import is_trace


def titles_of_files(files: Sequence[str | Path]) -> dict[str, str]:
    """Return for each trace the entries of its configuration that differ between the traces.

    Only configurations are read, no rows.

    Parameters
    ----------
    files : sequence of path-like
        Traces and logs. Those without a configuration, and those that can't be read, are left out.

    Returns
    -------
    dict of str to str
        By path, such as ``"seed 3, eps 1e-06"``. Empty if there are fewer than two traces, if they differ in more than
        three entries, or if two are alike.
    """
    known = {}
    with one_child():
        for path in dict.fromkeys(map(Path, files)):
            with suppress(SlingshotError):
                if path.is_file() and (found := isolated(path, _configuration)):
                    known[str(path)] = found
    return _differences(known)


def _configuration(path: Path) -> dict[str, Plain]:
    return configuration(open_trace(path)) if is_trace(path) else {}


def _differences(known: Mapping[str, Mapping[str, Plain]]) -> dict[str, str]:
    """Name each configuration by the entries in which they differ.

    Examples
    --------
    >>> _differences({"a.h5": {"o.eps": 1e-6, "o.lr": 0.1, "seed": 3}, "b.h5": {"o.eps": 0, "o.lr": 0.1, "seed": 4}})
    {'a.h5': 'seed 3, eps 1e-06', 'b.h5': 'seed 4, eps 0'}
    """
    keys = dict.fromkeys(key for found in known.values() for key in found)
    differing = [key for key in keys if len({found.get(key) for found in known.values()}) > 1]
    differing.sort(key=is_seed, reverse=True)
    short = short_names(differing)
    titles = {
        path: ", ".join(f"{short[key]} {shown_value(found.get(key))}" for key in differing)
        for path, found in known.items()
    }
    tells = len(differing) <= LISTED_IN_FULL and len(set(titles.values())) == len(titles) > 1
    return titles if tells else {}
