"""``slingshot analyze``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import click

from cli._console import open_console
from cli._engines import engine_options, slurm_parameters
from cli._keeping import Keep
from cli._messages import analysis_in_options, in_options, print_errors, print_note
from cli._progress import track
from cli._reading import Reading, reading_options
from cli._verb import Verb
from slingshot_analysis.analysis import Analysis
from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.many_runs import (
    analyze_files,
    check_table_path,
    runs_table,
    split_against,
    titles_of_files,
    write_table,
)
from slingshot_analysis.report.document import to_json
from slingshot_analysis.report.folder import picture_folder
from slingshot_analysis.report.text import print_analyses
from slingshot_analysis.signal import Signal
from slingshot_analysis.slingshots import Options, Verdict

LARGEST = 100
"""Longest side of a picture, in inches."""
VERDICTS = get_args(Verdict)


class _WithSettings(Verb):
    """The verb with the settings of the detectors at the end of its help."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        defaults = Options()
        rows = [(f"{name}={getattr(defaults, name):g}", words) for name, words in Options.meanings().items()]
        with formatter.section("Settings of --option with their defaults"):
            formatter.write_dl(rows)


@click.command(
    cls=_WithSettings,
    examples=("analyze runs/*.h5", "analyze train.log --plot figures --fail-on diverged,unstable"),
)
@click.argument("files", nargs=-1, required=True, type=click.Path())
@reading_options
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--option",
    "settings",
    metavar="NAME=NUMBER",
    multiple=True,
    help="Override a setting of the detectors, which are listed below; repeatable.",
)
@click.option(
    "--plot", metavar="DIR", type=click.Path(file_okay=False), help="Draw a picture of each run into this folder."
)
@click.option(
    "--plot-format", type=click.Choice(["png", "svg", "pdf"]), default="png", show_default=True, help="For --plot."
)
@click.option(
    "--plot-size",
    metavar="WIDTHxHEIGHT",
    callback=lambda context, option, value: _size(value),
    help="For --plot: inches, such as 6.5x4; by default as the panels need.",
)
@click.option(
    "--panels",
    metavar="NAME[,NAME]",
    help="For --plot: what to draw, from top to bottom: norm, loss, gradient, accuracy, features, curvature, or any "
    "recorded signal; by default all of the former that there are.",
)
@click.option(
    "--plot-across",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Draw pictures of all runs together into this folder: curves over seeds, slingshots against grokking, dose "
    "response, heatmap.",
)
@click.option(
    "--against",
    metavar="KEY[,KEY]",
    multiple=True,
    help="With --plot-across: a number of the configuration, such as optimizer.eps, for a dose response, or two for a "
    "heatmap; repeatable. By default, the numbers that differ between the runs.",
)
@click.option(
    "--table",
    metavar="FILE",
    type=click.Path(),
    help="Write a table with one row for each run: FILE.csv or FILE.parquet.",
)
@click.option(
    "--fail-on",
    metavar="VERDICT[,VERDICT]",
    help=f"Exit with status 1 if a run has one of these verdicts: {', '.join(VERDICTS)}.",
)
@click.option("--full", is_flag=True, help="Print all rows of the tables of each run.")
@engine_options(1, "Number of processes.")
def analyze(
    files: tuple[str, ...],
    reading: Reading,
    form: str,
    settings: tuple[str, ...],
    plot: str | None,
    plot_format: str,
    plot_size: tuple[float, float] | None,
    panels: str | None,
    plot_across: str | None,
    against: tuple[str, ...],
    table: str | None,
    fail_on: str | None,
    full: bool,
    jobs: int,
    engine: str,
    scheduler: str | None,
    slurm: tuple[str, ...],
) -> None:
    """Find the slingshots in traces and in logs of other tools.

    Prints the results of each run, and tables over all runs; with more than 20 runs only the tables. Applies the labels
    that `slingshot label` wrote. If a file can't be read, reports it, analyzes the others, and exits with status 2.
    """
    failing = _verdicts(fail_on)
    if table is not None:
        check_table_path(table)
    if against and plot_across is None:
        raise InputError(f"--against {against[0]}: works only with --plot-across DIR; give that too, or leave it out")
    for words in against:
        split_against(words)
    for folder in (plot, plot_across):
        if folder is not None:
            picture_folder(folder)
    titles = {} if plot is None else titles_of_files(files)
    found = analyze_files(
        files,
        jobs=jobs,
        engine=engine,
        scheduler=scheduler,
        slurm=slurm_parameters(slurm),
        read=reading.runs_of,
        keep=Keep(plot, plot_across is not None, plot_format, _names(panels), plot_size, titles),
        options=Options().changed(settings),
    )
    analyses: list[Analysis] = []
    curves: list[Mapping[str, Signal]] = []
    problems: list[str] = []
    figures: list[Path] = []
    done, stopped = 0, False
    try:
        for result in track(found, len(files), "analyzing"):
            done += 1
            problems += result.problems
            for note in result.notes:
                print_note(note)
            for analysis, kept in zip(result.analyses, result.kept, strict=True):
                analyses.append(analysis)
                curves.append({} if kept is None else kept.curves)
                if plot is not None and kept is not None:
                    target = _unused(Path(plot) / f"{_safe(analysis.name)}{kept.picture.suffix}", figures)
                    figures.append(kept.picture.replace(target))
    except KeyboardInterrupt:
        stopped = True
        problems.append(f"stopped after {done} of {len(files)} files; what is printed and written is of these alone")
    if form == "json":
        if analyses:
            click.echo(to_json(analyses))
    else:
        console = open_console()
        with console.capture() as text:
            print_analyses([analysis_in_options(analysis) for analysis in analyses], console, full=full)
        click.echo(in_options(text.get()), nl=False)
    for figure in figures:
        click.echo(f"picture: {figure}", err=form == "json")
    print_errors(problems)
    if analyses:
        _write_across(analyses, curves, table, plot_across, against, form)
    if problems:
        click.get_current_context().exit(130 if stopped else 2)
    if any(analysis.verdict in failing for analysis in analyses):
        click.get_current_context().exit(1)


def _names(given: str | None) -> tuple[str, ...]:
    return () if given is None else tuple(name.strip() for name in given.split(","))


def _size(given: str | None) -> tuple[float, float] | None:
    """Return the width and the height of a text such as ``"6.5x4"``."""
    if given is None:
        return None
    found = re.fullmatch(r"(\d+\.?\d*)x(\d+\.?\d*)", given)
    size = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if not all(1 <= length <= LARGEST for length in size):
        raise InputError(f"--plot-size {given}: give WIDTHxHEIGHT from 1 to {LARGEST} inches, such as 6.5x4")
    return size


def _verdicts(given: str | None) -> list[str]:
    """Return the verdicts that make the command fail."""
    found = [] if given is None else [verdict.strip() for verdict in given.split(",")]
    for verdict in found:
        if verdict not in VERDICTS:
            raise unknown_name("verdict", verdict, VERDICTS, "--fail-on")
    return found


def _write_across(
    analyses: Sequence[Analysis],
    curves: Sequence[Mapping[str, Signal]],
    table: str | None,
    plot_across: str | None,
    against: Sequence[str],
    form: str,
) -> None:
    """Write the table and the pictures of all runs that were asked for."""
    if table is None and plot_across is None:
        return
    runs = runs_table(analyses)
    if table is not None:
        click.echo(f"table: {write_table(runs, table)}", err=form == "json")
    if plot_across is not None:
        from slingshot_analysis.report.across import draw_across_runs

        for figure in draw_across_runs(runs, curves, plot_across, against):
            click.echo(f"picture: {figure}", err=form == "json")


def _safe(name: str) -> str:
    """Return the name of a run with every character replaced that a file name should not have."""
    return re.sub(r"[^\w=.+-]+", "-", name).strip("-") or "run"


def _unused(path: Path, taken: list[Path]) -> Path:
    """Return the path, with a number if another run of this call has a picture of that name."""
    number = 2
    while path in taken:
        path = path.with_stem(f"{path.stem.removesuffix(f'-{number - 1}')}-{number}")
        number += 1
    return path
