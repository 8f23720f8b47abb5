"""What is said about a candidate cause: what speaks for it and against it, what could not be checked, what helps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LIKELY, POSSIBLE = 4.0, 2.0
"""Least score of a likely and of a possible cause."""


@dataclass(frozen=True)
class Sign:
    """One observation in a log.

    Parameters
    ----------
    text : str
        In words, with its numbers.
    weight : float
        How much it speaks for the cause, or against it if negative. 1 is a hint, 2 is what is rarely seen without the
        cause, 4 is nearly the thing itself.
    """

    text: str
    weight: float


@dataclass(frozen=True)
class Check:
    """A check that this log does not allow.

    Parameters
    ----------
    signal : str
        What would have to be logged.
    tells : str
        What it would tell.
    """

    signal: str
    tells: str


@dataclass(frozen=True)
class Remedy:
    """What people do about a cause.

    Parameters
    ----------
    what : str
        In the imperative.
    evidence : str
        What it rests on.
    source : str
        Where that stands: arXiv id or DOI.
    """

    what: str
    evidence: str
    source: str


@dataclass(frozen=True)
class Cause:
    """A candidate cause, judged by one log.

    Parameters
    ----------
    name : str
        Short and stable.
    title : str
        In words.
    signs : tuple of Sign
        What speaks for it and against it.
    unchecked : tuple of Check
        What could not be checked.
    remedies : tuple of Remedy
        What people do about it.
    """

    name: str
    title: str
    signs: tuple[Sign, ...]
    unchecked: tuple[Check, ...] = ()
    remedies: tuple[Remedy, ...] = ()

    @property
    def score(self) -> float:
        """Sum of the weights of all signs."""
        return sum(sign.weight for sign in self.signs)

    @property
    def speaks_for(self) -> tuple[str, ...]:
        """What speaks for it, the strongest first."""
        return tuple(sign.text for sign in sorted(self.signs, key=lambda sign: -sign.weight) if sign.weight > 0)

    @property
    def speaks_against(self) -> tuple[str, ...]:
        """What speaks against it, the strongest first."""
        return tuple(sign.text for sign in sorted(self.signs, key=lambda sign: sign.weight) if sign.weight < 0)

    @property
    def grade(self) -> Literal["likely", "possible", "unlikely"]:
        """How far the evidence goes."""
        if not self.speaks_for or self.score < POSSIBLE:
            return "unlikely"
        return "likely" if self.score >= LIKELY else "possible"
