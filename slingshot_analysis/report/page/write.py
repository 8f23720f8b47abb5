"""Write the page."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from markupsafe import Markup

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.errors import InputError
from slingshot_analysis.files import replaced
from slingshot_analysis.many_runs import compare_runs
from slingshot_analysis.rendering import check_templates, render, script_hash, source
from slingshot_analysis.report._run_text import what_happened
from slingshot_analysis.report._runs_text import answer
from slingshot_analysis.report.page.across import across_context
from slingshot_analysis.report.page.kept import KeptRun
from slingshot_analysis.report.page.run import run_context

SCRIPTS = ("vendor/uPlot.iife.min.js", "figure.js", "zoom.js", "report.js")
STYLES = ("vendor/uPlot.min.css", "style.css")
LIBRARIES = ("slingshot-analysis", "numpy", "scipy", "pandas", "ruptures", "h5py")


def write_report(
    path: str | Path,
    analyses: Sequence[Analysis],
    kept: Sequence[KeptRun],
    *,
    columns: int,
    templates: str | Path | None = None,
    command: str = "",
) -> Path:
    """Write one HTML file that shows runs, and needs nothing else.

    Parameters
    ----------
    path : path-like
        The file. Missing folders are made, and an existing file is replaced.
    analyses : sequence of Analysis
        One for each run, at least one.
    kept : sequence of KeptRun
        What was kept of each.
    columns : int
        Number of parts into which their signals were thinned.
    templates : path-like, optional
        A folder whose files take the place of the packaged templates, styles and scripts of the same names.
    command : str, optional
        What made the page, so that a reader can repeat it.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If there is no run, there is no such folder of templates, or the file can't be written.
    """
    if templates is not None:
        check_templates(templates)
    if not analyses:
        raise InputError("report: no run could be analyzed, so there is nothing to show")
    path = Path(path)
    page = _page(analyses, kept, columns, templates, command)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as aside:
            aside.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: can't be written ({error.strerror or error}); choose another file") from error
    return path


def _page(
    analyses: Sequence[Analysis], kept: Sequence[KeptRun], columns: int, templates: str | Path | None, command: str
) -> str:
    script = "\n".join(source(name, templates) for name in SCRIPTS)
    runs = [run_context(number, *both) for number, both in enumerate(zip(analyses, kept, strict=True), start=1)]
    values: dict[str, Any] = {
        "runs": runs,
        "opened": _most_telling(analyses),
        "across": None,
        "headline": f"{runs[0]['name']}: {what_happened(analyses[0])}",
        "columns": columns,
        "command": command,
        "files": list(dict.fromkeys(analysis.path for analysis in analyses if analysis.path)),
        "versions": {name: version(name) for name in LIBRARIES} | {"Python": platform.python_version()},
        "date": f"{datetime.datetime.now(tz=datetime.UTC):%-d %B %Y}",
        "script": Markup(script),
        "script_hash": Markup(script_hash(script)),
        "style": Markup("\n".join(source(name, templates) for name in STYLES)),
    }
    if len(analyses) > 1:
        found = compare_runs(analyses)
        across = across_context(analyses, [own.curves for own in kept], found)
        values |= {"headline": next(answer(analyses, found)), "across": across}
    values["title"] = f"{values['headline']} - slingshot report"
    return render("report.html", templates, **values)


def _most_telling(analyses: Sequence[Analysis]) -> int:
    """Return the number of the run that is open at first: the first with slingshots, or else with spikes."""
    for verdict in ("slingshots", "diverged", "unstable", "spikes"):
        for number, analysis in enumerate(analyses, start=1):
            if analysis.verdict == verdict:
                return number
    return 1
