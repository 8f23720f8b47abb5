"""``slingshot figure``."""

from __future__ import annotations

import click

from cli._completion import complete_figures
from cli._messages import print_errors
from cli._progress import track
from cli._verb import Verb
from slingshot_analysis.errors import InputError

FORMATS = "png,pdf,svg"


def formats_of(text: str) -> list[str]:
    """Return the formats that a text such as "pdf,png" names.

    Raises
    ------
    InputError
        If it names another one.
    """
    kinds = [kind.strip() for kind in text.split(",")]
    if unknown := [kind for kind in kinds if kind not in FORMATS.split(",")]:
        raise InputError(f"unknown format {unknown[0]!r} of a figure; give one or more of {FORMATS}")
    return kinds


@click.command(cls=Verb, examples=("figure --list", "figure features runs/*.h5 --formats pdf --out figures"))
@click.argument("name", required=False, shell_complete=complete_figures)
@click.argument("files", nargs=-1, type=click.Path())
@click.option("--list", "listing", is_flag=True, help="List the figures, and stop.")
@click.option("--formats", default=FORMATS, show_default=True, metavar="KINDS", help="The files to write.")
@click.option("--out", default="figures", show_default=True, metavar="DIR", help="Folder of the figures.")
def figure(name: str | None, files: tuple[str, ...], listing: bool, formats: str, out: str) -> None:
    """Draw a figure of the paper from recorded runs."""
    from slingshot_analysis.report.paper import FIGURES, PaperRun, save_figure, shows

    if listing:
        width = max(map(len, FIGURES))
        for one in FIGURES:
            click.echo(f"{one:<{width}}  {shows(one)}")
        return
    if name is None or not files:
        raise InputError("a name and files are needed: slingshot figure NAME runs/*.h5; --list has the names")
    from slingshot_analysis.analysis import analyze
    from slingshot_analysis.readers import read_log

    kinds, runs, problems = formats_of(formats), [], []
    for file in track(files, len(files), "analyzing"):
        try:
            runs += [PaperRun(run, analyze(run)) for run in read_log(file)]
        except InputError as error:
            problems.append(str(error))
    print_errors(problems)
    for written in save_figure(name, runs, out, name, kinds):
        click.echo(written)
    if problems:
        click.get_current_context().exit(2)
