"""Rules that several claims share."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Finding, Measured, Verdict

GENERALISES = 0.95
"""Validation accuracy from which a run counts as one that generalises."""


def verdict(claimed: bool) -> Verdict:
    """Return the verdict of runs that decide."""
    return "holds" if claimed else "does not hold"


def too_few(found: int, enough: int, what: str) -> Finding:
    """Return the finding of runs that show too little of what the rule is about."""
    because = f"only {found} of the {enough} {what} that the rule needs"
    return Finding("not decided", because, f"{what}: {found}", {"n": found})


def at_least(outcomes: Sequence[bool], least: float, what: str, does: str, enough: int) -> Finding:
    """Decide by the share of cases that behave as claimed.

    Parameters
    ----------
    outcomes : sequence of bool
        Whether each case does.
    least : float, fraction in [0, 1]
        Smallest share with which the claim holds.
    what : str
        The cases, in the plural.
    does : str
        What they do if they behave as claimed.
    enough : int
        Smallest number of cases that decides.

    Examples
    --------
    >>> at_least([True] * 9 + [False], 0.9, "transitions", "have a peak", 5).because
    '9 of 10 transitions have a peak (0.90)'
    >>> at_least([True], 0.9, "transitions", "have a peak", 5).verdict
    'not decided'
    """
    n, true = len(outcomes), sum(outcomes)
    if n < enough:
        return too_few(n, enough, what)
    share = true / n
    return Finding(
        verdict(share >= least), f"{true} of {n} {what} {does} ({share:.2f})", f"{n} {what}", {"n": n, "true": true}
    )


def none_with_slingshots(runs: Sequence[Measured], what: str, enough: int) -> Finding:
    """Decide that no run has a slingshot."""
    counts = [run.slingshots for run in runs]
    if len(counts) < enough:
        return too_few(len(counts), enough, what)
    slung = sum(count > 0 for count in counts)
    because = f"{slung} of {len(counts)} {what} have slingshots, {sum(counts)} in all"
    return Finding(
        verdict(not slung), because, f"{len(counts)} {what}", {"n": len(counts), "with": slung, "all": sum(counts)}
    )


def all_with_slingshots(runs: Sequence[Measured], what: str, enough: int) -> Finding:
    """Decide that every run has a slingshot."""
    return at_least([run.slingshots > 0 for run in runs], 1.0, what, "have slingshots", enough)


def by_test(p_value: float | None, smallest: float | None, level: float, because: str, n: str) -> Finding:
    """Decide by a test: the claim holds below the level, and is not decided if so few cases can't reach it.

    Examples
    --------
    >>> by_test(0.004, 0.001, 0.01, "5 of 5 against 0 of 5", "10 runs").because
    '5 of 5 against 0 of 5, p = 0.004'
    >>> by_test(0.1, 0.1, 0.01, "3 of 3 against 0 of 3", "6 runs").verdict
    'not decided'
    """
    if p_value is None:
        return Finding("not decided", f"{because}; no test is possible", n)
    words = f"{because}, p = {p_value:.2g}"
    numbers = {"p_value": p_value, "smallest": smallest}
    if p_value < level:
        return Finding("holds", words, n, numbers)
    if smallest is not None and smallest >= level:
        return Finding("not decided", f"{words}; so few cases give {smallest:.2g} at best", n, numbers)
    return Finding("does not hold", words, n, numbers)


def with_value(runs: Sequence[Measured], **wanted: object) -> list[Measured]:
    """Return the runs whose configuration has these values; a double underscore stands for a dot of the name."""
    return [run for run in runs if all(run.config.get(k.replace("__", ".")) == v for k, v in wanted.items())]
