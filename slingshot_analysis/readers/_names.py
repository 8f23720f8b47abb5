"""The table that says which canonical signal a column of a log is, by the column's name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import InputError, unknown_name

LAYER_NORM = re.compile(
    r"(?:.*[/.])?(?:param(?:eter)?s?|weights?|w)_?(?:norms?|l2(?:_norm)?)[/._\[\- ](?P<parameter>.+?)\]?", re.IGNORECASE
)
"""A column such as ``paramnorm_mlp.6.weight``, ``weight_norm/fc2`` or ``weights_l2/layers.3.weight``."""

LAYER = r"(?:W_\w+?|(?:[\w.]*[._/])?(?:fc|conv|linear|layers?\W?\d|blocks?\W?\d|embed|attn|mlp|[\w.]+\.weight)[\w.]*?)"
NAMED_LAYER = re.compile(
    rf"(?P<parameter>{LAYER})[/._ -](?:weights?_|param(?:eter)?_)?(?:norm|l2)|norms?[/._](?P<other>{LAYER})",
    re.IGNORECASE,
)
"""A column such as ``W_E_norm`` or ``fc1_norm``: the norm of one layer, named after it."""

OF_OTHERS = re.compile(r"grad|update|delta|activation|moment|feature|ratio|change|diff|rate|running", re.IGNORECASE)
"""Words in names of norms that are not norms of weights."""

SYNONYMS = {
    **{"training": "train", "valid": "val", "validation": "val", "evaluation": "eval", "testing": "test"},
    **{"losses": "loss", "accs": "acc", "accuracies": "accuracy", "norms": "norm", "grads": "grad", "iters": "iter"},
}
"""Synonyms of words in names: other names of a split, and plurals."""

TASK = re.compile(r"(?<=\w)[_/.\- ]+[^\w\s)\]}]+$")
"""An operator at the end of a name, as in ``train_loss_+``: the loss on one of several tasks."""


@dataclass(frozen=True)
class Names:
    """A table of canonical signals and the names that logs give them.

    Parameters
    ----------
    signals : mapping of str to sequence of str
        Names of each canonical signal, the best first; ``*`` matches any text.
    step : sequence of str
        Names of the step axis, the best first.
    """

    signals: Mapping[str, tuple[str, ...]]
    step: tuple[str, ...]

    @classmethod
    def read(cls, path: str | Path) -> Names:
        """Read a table in TOML, of the form of the built-in ``readers/names.toml``.

        Raises
        ------
        InputError
            If the file can't be read, or holds anything but lists of names of known signals.
        """
        try:
            table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: can't be read ({error.strerror})") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: is not TOML ({error})") from error
        return cls._of(table, str(path), built_in_names().signals)

    @classmethod
    def _of(cls, table: Mapping[str, Any], where: str, known: Iterable[str] | None = None) -> Names:
        for key in table:
            if key not in ("signals", "step"):
                raise unknown_name("table", key, ["signals", "step"], where)
            if not isinstance(table[key], dict):
                raise InputError(f"{where}: {key} is a table: write [{key}] and its names below it")
        signals, step = table.get("signals", {}), table.get("step", {}).get("names", [])
        for name, given in {**signals, "step.names": step}.items():
            if known is not None and name != "step.names" and name not in known:
                raise unknown_name("signal", name, known, where)
            if not isinstance(given, list) or not all(isinstance(pattern, str) for pattern in given):
                raise InputError(f"{where}: {name}: give a list of names in quotation marks")
        return cls({name: tuple(map(_plain, given)) for name, given in signals.items()}, tuple(map(_plain, step)))

    def before(self, other: Names) -> Names:
        """Return a table that prefers these names to those of another table."""
        signals = {
            name: (*self.signals.get(name, ()), *other.signals.get(name, ()))
            for name in {**other.signals, **self.signals}
        }
        return Names(signals, (*self.step, *other.step))

    def assign(self, columns: Iterable[str]) -> dict[str, str]:
        """Return for each signal the column whose name comes first among its names.

        A column becomes at most one signal: the first in the table that has its name.

        Examples
        --------
        >>> built_in_names().assign(["step", "Loss/train", "Accuracy/test", "paramnorm_mlp.6.weight"])
        {'train_loss': 'Loss/train', 'val_accuracy': 'Accuracy/test'}
        """
        free = {column: _plain(column) for column in columns}
        found: dict[str, str] = {}
        for signal, patterns in self.signals.items():
            ranked = [(rank, column) for column, name in free.items() if (rank := _rank(name, patterns)) is not None]
            if ranked:
                found[signal] = min(ranked, key=lambda pair: pair[0])[1]
                del free[found[signal]]
        return found

    def is_pattern(self, signal: str, column: str) -> bool:
        """Return whether a column's name matches a signal only by a name with ``*``."""
        patterns = self.signals.get(signal, ())
        rank = _rank(_plain(column), patterns)
        return rank is not None and rank >= len(patterns)

    def step_of(self, columns: Iterable[str]) -> str | None:
        """Return the column whose name is the best name of the step axis, None if there is none."""
        ranked = [(rank, column) for column in columns if (rank := self._place_of_step(_plain(column))) is not None]
        return min(ranked, default=(0, None), key=lambda pair: pair[0])[1]

    def _place_of_step(self, name: str) -> int | None:
        """Return the place of the first name of the step axis that a name matches, with ``*`` or without."""
        return next((place for place, pattern in enumerate(self.step) if fnmatchcase(name, pattern)), None)


@cache
def built_in_names() -> Names:
    """Return the table ``names.toml`` of this package."""
    text = files(__package__).joinpath("names.toml").read_text(encoding="utf-8")
    return Names._of(tomllib.loads(text), "names.toml")


def parameter_of(column: str) -> str | None:
    """Return the parameter whose norm a column holds. None if its name contains no parameter.

    Examples
    --------
    >>> parameter_of("paramnorm_mlp.6.weight"), parameter_of("train_loss")
    ('mlp.6.weight', None)
    """
    if found := LAYER_NORM.fullmatch(column):
        return found["parameter"]
    found = None if OF_OTHERS.search(column) else NAMED_LAYER.fullmatch(column)
    return (found["parameter"] or found["other"]) if found else None


def _rank(name: str, patterns: tuple[str, ...]) -> int | None:
    """Return the place of the first pattern that a name matches; patterns without ``*`` come first."""
    if name in patterns:
        return patterns.index(name)
    if not _with_wildcards(patterns).fullmatch(name):
        return None
    return next(
        len(patterns) + rank for rank, pattern in enumerate(patterns) if "*" in pattern and fnmatchcase(name, pattern)
    )


@cache
def _with_wildcards(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Return one regular expression for all patterns with ``*``, which is fast for thousands of columns."""
    return re.compile("|".join(translate(pattern) for pattern in patterns if "*" in pattern) or r"(?!)")


COMPARED = 1000
"""Maximum length of a name in characters. A longer name is no signal."""


@cache
def _plain(name: str) -> str:
    """Return a name in the form in which names are compared.

    Examples
    --------
    >>> _plain("Loss/train"), _plain("validation/main/accuracy"), _plain("val_losses/dataloader_idx_0")
    ('loss_train', 'val_accuracy', 'val_loss')
    >>> _plain("train_loss_+")
    'train_loss_task'
    """
    name = TASK.sub("_task", name[:COMPARED].lower().strip())
    name = re.sub(r"[/_.]dataloader_idx_0$", "", name)
    words = [word for word in re.sub(r"[^a-z0-9*]+", "_", name).strip("_").split("_") if word != "main"]
    return "_".join(SYNONYMS.get(word, word) for word in words) or "main"
