"""``slingshot analyze``."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
from rich.console import Console

from cli.logs import reading_options, runs_of
from slingshot_analysis.analysis import analyze as analyze_trace
from slingshot_analysis.detectors import Options
from slingshot_analysis.errors import InputError
from slingshot_analysis.report.document import to_json
from slingshot_analysis.report.text import print_analyses

PIPED_WIDTH = 160
"""Columns where the output goes into a file or another program."""


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@reading_options
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--option",
    "settings",
    metavar="NAME=NUMBER",
    multiple=True,
    help=f"Choose otherwise than the detectors do: {', '.join(field.name for field in fields(Options))}; repeatable.",
)
@click.option("--plot", metavar="DIR", type=click.Path(file_okay=False), help="Draw each run into this folder.")
def analyze(
    files: tuple[str, ...],
    mapping: tuple[str, ...],
    names: str | None,
    input_format: str | None,
    form: str,
    settings: tuple[str, ...],
    plot: str | None,
) -> None:
    """Find the slingshots in traces and in logs of other tools.

    Prints a table per run and one across runs. What `slingshot label` has written beside a run is heeded. A file that
    can't be read is reported and the others are analyzed all the same; the exit status is then 2.
    """
    options = Options().changed(settings)
    analyses, problems, figures = [], [], []
    for file in files:
        try:
            runs = runs_of(file, mapping, names, input_format)
        except InputError as error:
            problems.append(str(error))
            continue
        for run in runs:
            try:
                analysis = analyze_trace(run, options=options)
            except InputError as error:
                problems.append(str(error) if file in str(error) else f"{file}: {error}")
                continue
            analyses.append(analysis)
            if plot is not None:
                from slingshot_analysis.report.figure import draw

                figures.append(draw(analysis, run, unused(Path(plot) / f"{safe(analysis.name)}.png", figures)))
    if form == "json":
        if analyses:
            click.echo(to_json(analyses))
    else:
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = PIPED_WIDTH
        print_analyses(analyses, console)
    for figure in figures:
        click.echo(f"picture: {figure}", err=form == "json")
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        click.get_current_context().exit(2)


def safe(name: str) -> str:
    """Return the name of a run as that of a file."""
    return re.sub(r"[^\w=.+-]+", "-", name).strip("-") or "run"


def unused(path: Path, taken: list[Path]) -> Path:
    """Number a picture whose name another run of the same call has."""
    number = 2
    while path in taken:
        path = path.with_stem(f"{path.stem.removesuffix(f'-{number - 1}')}-{number}")
        number += 1
    return path
