"""``slingshot report``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from cli._engines import engine_options, slurm_parameters
from cli._messages import analysis_in_options, print_errors, print_note
from cli._reading import Reading, reading_options
from cli._verb import Verb
from slingshot_analysis.analysis import Analysis
from slingshot_analysis.errors import InputError
from slingshot_analysis.many_runs import analyze_files
from slingshot_analysis.rendering import check_templates
from slingshot_analysis.report.page import KeepRun, KeptRun, columns_for, write_report

FILES_SHOWN = 3
"""Files of the command that the page shows."""


@click.command(
    cls=Verb,
    examples=(
        "report runs/*.h5",
        "report metrics.csv train.log -o report.html",
    ),
)
@click.argument("files", nargs=-1, required=True, type=click.Path())
@reading_options
@click.option(
    "-o", "--out", metavar="FILE", default="report.html", show_default=True, type=click.Path(), help="File to write."
)
@click.option(
    "--templates",
    metavar="DIR",
    type=click.Path(),
    help="A folder whose files take the place of the packaged templates, styles and scripts of the same names.",
)
@engine_options(1, "Number of processes.")
def report(
    files: tuple[str, ...],
    reading: Reading,
    out: str,
    templates: str | None,
    jobs: int,
    engine: str,
    scheduler: str | None,
    slurm: tuple[str, ...],
) -> None:
    """Write one HTML page about traces and logs of other tools, to look at and to send.

    The page opens offline and loads nothing. It says what happened and how sure that is, and shows an interactive
    figure of each run, with its events. Of several runs it shows what they have in common, and a table that opens each.

    If a file can't be read, reports it, shows the others, and exits with status 2.
    """
    if Path(out).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out}: the report is a page; give a name that ends in .html")
    if templates is not None:
        check_templates(templates)
    columns = columns_for(len(files))
    found = analyze_files(
        files,
        jobs=jobs,
        engine=engine,
        scheduler=scheduler,
        slurm=slurm_parameters(slurm),
        read=reading.runs_of,
        keep=KeepRun(columns),
    )
    analyses: list[Analysis] = []
    kept: list[KeptRun] = []
    problems: list[str] = []
    for result in found:
        problems += result.problems
        for note in result.notes:
            print_note(note)
        for analysis, own in zip(result.analyses, result.kept, strict=True):
            if own is not None:
                analyses.append(analysis_in_options(analysis))
                kept.append(own)
    print_errors(problems)
    if analyses:
        click.echo(write_report(out, analyses, kept, columns=columns, templates=templates, command=_command(files)))
    if problems or not analyses:
        click.get_current_context().exit(2)


def _command(files: Sequence[str]) -> str:
    """Return the command that was given, with its first files only: the page lists all of them."""
    left_out = set(files[FILES_SHOWN:])
    words = shlex.join(["slingshot", *(word for word in sys.argv[1:] if word not in left_out)])
    return f"{words} and {len(left_out)} more files" if left_out else words
