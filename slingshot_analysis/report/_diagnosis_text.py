"""A diagnosis as text: the likely cause or the candidates, what speaks for and against each, and what people do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

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
        Whether the loss or the norm shows anything to explain. A cause may be seen without it.
    """
    if not (happened or diagnosis.causes):
        return
    shown = diagnosis.causes[:SHOWN]
    if not shown:
        yield "cause: not decided; nothing in this log speaks for one of the known causes"
        return
    first, *others = shown
    if not happened:
        yield f"but {'likely' if diagnosis.decided else 'perhaps'}: {first.title}"
    elif diagnosis.decided:
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


def describe_unchecked(diagnoses: Sequence[Diagnosis]) -> Iterator[str]:
    """Yield lines that say what to log in order to tell more, once for all runs.

    Parameters
    ----------
    diagnoses : sequence of Diagnosis
        One for each run.
    """
    checks = Counter(check for diagnosis in diagnoses for check in diagnosis.unchecked)
    if checks:
        yield "not logged, and would tell more:"
    for check, runs in checks.items():
        where = f" (in {runs} of {len(diagnoses)} runs)" if runs < len(diagnoses) else ""
        yield f"  {check.signal}{where}: {check.tells}"


def _signs(cause: Cause) -> Iterator[str]:
    yield f"  for: {'; '.join(cause.speaks_for)}"
    if cause.speaks_against:
        yield f"  against: {'; '.join(cause.speaks_against)}"
