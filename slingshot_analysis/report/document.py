"""The JSON document of one or more analyses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from slingshot_analysis.analysis import Analysis, finite
from slingshot_analysis.many_runs import compare_runs, summarize_runs

FORMAT = "slingshot-analysis"
SCHEMA_VERSION = 2
"""Version of the keys of the document and their meaning. Keys may be added without a new version."""


def document(analyses: Sequence[Analysis]) -> dict[str, Any]:
    """Return the document as plain Python values, with None for numbers that are not finite."""
    across: dict[str, Any] = finite(summarize_runs(analyses))
    if len(analyses) > 1:
        across["comparison"] = compare_runs(analyses).to_dict()
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "runs": [analysis.to_dict() for analysis in analyses],
        "across_runs": across,
    }


def to_json(analyses: Sequence[Analysis]) -> str:
    """Return the document as JSON text."""
    return json.dumps(document(analyses), indent=2, allow_nan=False)
