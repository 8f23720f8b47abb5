"""What the page says of one run: the answer in words, its diagnosis, its events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from markupsafe import Markup

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.report._diagnosis_text import REMEDIES, SHOWN
from slingshot_analysis.report._run_text import is_eventful, other_facts, what_happened
from slingshot_analysis.report._words import sentence, step_words
from slingshot_analysis.report.page.cycles import aligned_context, order_context
from slingshot_analysis.report.page.events import events_of, number_of_events
from slingshot_analysis.report.page.kept import KeptRun

UNCHECKED = 6
"""Largest number of signals that are listed because they would tell more."""


def run_context(number: int, analysis: Analysis, kept: KeptRun) -> dict[str, Any]:
    """Return what the template of a run names.

    Parameters
    ----------
    number : int
        Of the run in the page.
    analysis : Analysis
        What was found in it.
    kept : KeptRun
        What was kept of its signals.
    """
    causes = analysis.diagnosis.causes[:SHOWN]
    remedies = {remedy.what: remedy for cause in causes for remedy in cause.remedies}
    events = events_of(analysis)
    return {
        "number": number,
        "name": analysis.name or "run",
        "span": " to ".join(map(step_words, analysis.steps)),
        "verdict": analysis.verdict,
        "happened": what_happened(analysis),
        "standfirst": _standfirst(analysis),
        "facts": [sentence(words) for words in other_facts(analysis)],
        "causes": list(_causes(analysis)),
        "remedies": list(remedies.values())[:REMEDIES],
        "events": [
            asdict(event)
            | {
                "step_words": step_words(event.step),
                "confidence_words": "" if event.confidence is None else f"{event.confidence:.2f}",
            }
            for event in events
        ],
        "aligned": [aligned_context(found) for found in kept.aligned],
        "order": order_context(analysis.order),
        "all_events": number_of_events(analysis),
        "unchecked": [f"{check.signal}: {check.tells}" for check in analysis.diagnosis.unchecked[:UNCHECKED]],
        "notes": [*analysis.notes, *_skipped(analysis)],
        "figure": Markup(kept.figure),
    }


def _standfirst(analysis: Analysis) -> str:
    """Say in one sentence why it happened, or that this is not known."""
    causes, decided = analysis.diagnosis.causes, analysis.diagnosis.decided
    if causes:
        words = "The likely cause is" if decided else "The cause is not decided. The first candidate is"
        return f"{words} {causes[0].title}."
    if is_eventful(analysis):
        return "The cause is not decided: nothing in this log speaks for one of the known causes."
    return ""


def _skipped(analysis: Analysis) -> list[str]:
    """Say what was not analyzed and why, what has the same reason together."""
    by_reason: dict[str, list[str]] = {}
    for one in analysis.skipped:
        by_reason.setdefault(one.why, []).append(one.what)
    return [f"{', '.join(what)}: {why}" for why, what in by_reason.items()]


def _causes(analysis: Analysis) -> Iterator[dict[str, Any]]:
    """Yield the candidate causes with what is said of each."""
    decided = analysis.diagnosis.decided
    for place, cause in enumerate(analysis.diagnosis.causes[:SHOWN]):
        other = "Also possible" if decided else "Second candidate"
        yield {
            "heading": other if place else "What speaks for it",
            "title": cause.title,
            "speaks_for": cause.speaks_for,
            "speaks_against": cause.speaks_against,
        }
