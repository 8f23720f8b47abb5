"""A diagnosis as text: the likely cause or the candidates, what speaks for and against each, and what people do."""

from __future__ import annotations

from collections.abc import Iterator

from slingshot_analysis.diagnosis import Cause, Diagnosis

SHOWN = 2
"""Number of candidates that are shown."""
REMEDIES = 3
"""Number of remedies that are shown."""


def describe_diagnosis(diagnosis: Diagnosis, *, happened: bool) -> Iterator[str]:
    """Yield lines that say why the loss spiked, as far as the log tells.

    Parameters
    ----------
    diagnosis : Diagnosis
        Of one run.
    happened : bool
        Whether there is anything to explain.
    """
    if not happened:
        return
    shown = diagnosis.causes[:SHOWN]
    if not shown:
        yield "cause: not decided; nothing in this log speaks for one of the known causes"
        return
    first, *others = shown
    if diagnosis.decided:
        yield f"likely cause: {first.title}"
    else:
        yield f"cause: not decided; first candidate: {first.title}"
    yield from _signs(first)
    for other in others:
        yield f"{'also possible' if diagnosis.decided else 'second candidate'}: {other.title}"
        yield from _signs(other)
    found = {remedy.what: remedy for cause in shown for remedy in cause.remedies}
    if found:
        yield "what people do:"
        for remedy in list(found.values())[:REMEDIES]:
            yield f"  {remedy.what} ({remedy.source})"


def describe_unchecked(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield a line that says what to log in order to tell more."""
    if diagnosis.unchecked:
        checks = "; ".join(f"{check.signal} ({check.tells})" for check in diagnosis.unchecked)
        yield f"not logged, and would tell more: {checks}"


def _signs(cause: Cause) -> Iterator[str]:
    yield f"  for: {'; '.join(cause.speaks_for)}"
    if cause.speaks_against:
        yield f"  against: {'; '.join(cause.speaks_against)}"
