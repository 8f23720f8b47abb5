"""``slingshot analyze``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

import click

from cli.console import open_console
from cli.engines import engine_options, slurm_parameters
from cli.logs import reading_options, runs_of
from cli.pictures import Keep
from slingshot_analysis.analysis import Analysis
from slingshot_analysis.errors import InputError
from slingshot_analysis.many_runs import check_table_path, runs_table, split_against, write_table
from slingshot_analysis.many_runs.files import analyze_files
from slingshot_analysis.report.document import to_json
from slingshot_analysis.report.folder import picture_folder
from slingshot_analysis.report.text import print_analyses
from slingshot_analysis.signal import Signal
from slingshot_analysis.slingshots import Options


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@reading_options
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--option",
    "settings",
    metavar="NAME=NUMBER",
    multiple=True,
    help=f"Override a detector setting: {', '.join(field.name for field in fields(Options))}; repeatable.",
)
@click.option("--plot", metavar="DIR", type=click.Path(file_okay=False), help="Draw each run into this folder.")
@click.option(
    "--plot-across",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Draw what the runs show together: curves over seeds, slingshots against grokking, dose response, heatmap.",
)
@click.option(
    "--against",
    metavar="KEY[,KEY]",
    multiple=True,
    help="With --plot-across: the number of the configuration to draw against, such as optimizer.eps, or two for a "
    "heatmap; repeatable. By default what varies.",
)
@click.option("--table", metavar="FILE", type=click.Path(), help="Write one row per run: FILE.csv or FILE.parquet.")
@engine_options(1, "Processes at once.")
def analyze(
    files: tuple[str, ...],
    mapping: tuple[str, ...],
    names: str | None,
    input_format: str | None,
    form: str,
    settings: tuple[str, ...],
    plot: str | None,
    plot_across: str | None,
    against: tuple[str, ...],
    table: str | None,
    jobs: int,
    engine: str,
    scheduler: str | None,
    slurm: tuple[str, ...],
) -> None:
    """Find the slingshots in traces and in logs of other tools.

    Prints a table per run and one across runs; of more than 20 runs only the latter. What `slingshot label` has written
    beside a run is heeded. A file that can't be read is reported and the others are analyzed all the same; the exit
    status is then 2.
    """
    if table is not None:
        check_table_path(table)
    if against and plot_across is None:
        raise InputError(f"--against {against[0]}: is for the figures across runs; give --plot-across DIR too")
    for words in against:
        split_against(words)
    for folder in (plot, plot_across):
        if folder is not None:
            picture_folder(folder)
    found = analyze_files(
        files,
        jobs=jobs,
        engine=engine,
        scheduler=scheduler,
        slurm=slurm_parameters(slurm),
        read=partial(runs_of, mapping=mapping, names=names, input_format=input_format),
        keep=Keep(plot, plot_across is not None),
        options=Options().changed(settings),
    )
    analyses: list[Analysis] = []
    curves: list[Mapping[str, Signal]] = []
    problems: list[str] = []
    figures: list[Path] = []
    for result in found:
        problems += result.problems
        for note in result.notes:
            click.echo(f"Note: {note}", err=True)
        for analysis, kept in zip(result.analyses, result.kept, strict=True):
            analyses.append(analysis)
            curves.append({} if kept is None else kept.curves)
            if plot is not None and kept is not None:
                figures.append(kept.picture.replace(unused(Path(plot) / f"{safe(analysis.name)}.png", figures)))
    if form == "json":
        if analyses:
            click.echo(to_json(analyses))
    else:
        print_analyses(analyses, open_console())
    for figure in figures:
        click.echo(f"picture: {figure}", err=form == "json")
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if analyses:
        write_across(analyses, curves, table, plot_across, against, form)
    if problems:
        click.get_current_context().exit(2)


def write_across(
    analyses: Sequence[Analysis],
    curves: Sequence[Mapping[str, Signal]],
    table: str | None,
    plot_across: str | None,
    against: Sequence[str],
    form: str,
) -> None:
    """Write table and figures of all runs, as far as they are asked for."""
    if table is None and plot_across is None:
        return
    runs = runs_table(analyses)
    if table is not None:
        click.echo(f"table: {write_table(runs, table)}", err=form == "json")
    if plot_across is not None:
        from slingshot_analysis.report.across import draw_across_runs

        for figure in draw_across_runs(runs, curves, plot_across, against):
            click.echo(f"picture: {figure}", err=form == "json")


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
