"""``slingshot analyze``."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from slingshot_analysis.analysis import analyze as analyze_trace
from slingshot_analysis.errors import InputError
from slingshot_analysis.report.document import to_json
from slingshot_analysis.report.text import print_analyses
from slingshot_analysis.trace import open_trace


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--plot", metavar="DIR", type=click.Path(file_okay=False), help="Draw each run into this folder.")
def analyze(files: tuple[str, ...], form: str, plot: str | None) -> None:
    """Find the slingshots in traces.

    Prints a table per run and one across runs. A file that can't be read is reported and the others are analyzed
    all the same; the exit status is then 2.
    """
    analyses, problems, figures = [], [], []
    for file in files:
        try:
            trace = open_trace(file)
            analysis = analyze_trace(trace)
        except InputError as error:
            problems.append(error)
            continue
        analyses.append(analysis)
        if plot is not None:
            from slingshot_analysis.report.figure import draw

            figures.append(draw(analysis, trace, Path(plot) / f"{analysis.name}.png"))
    if form == "json":
        if analyses:
            click.echo(to_json(analyses))
    else:
        print_analyses(analyses, Console(highlight=False))
    for figure in figures:
        click.echo(f"picture: {figure}", err=form == "json")
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        click.get_current_context().exit(2)
