"""``slingshot export``."""

from __future__ import annotations

import click

from cli._messages import print_errors, print_note
from cli._progress import track
from cli._reading import Reading, reading_options
from cli._verb import Verb
from slingshot_analysis.export import FORMATS, export_runs


@click.command(
    cls=Verb,
    examples=(
        "export runs/*.h5 --to parquet -o tables",
        "export metrics.csv --to tensorboard -o events --signals train_loss,val_accuracy",
    ),
)
@click.argument("files", nargs=-1, required=True, type=click.Path())
@reading_options
@click.option("--to", type=click.Choice(list(FORMATS)), required=True, help="Format to write.")
@click.option(
    "-o",
    "--out",
    metavar="OUT",
    required=True,
    type=click.Path(),
    help="Folder in which each run gets a file or folder of its name; or, for one run, a file that ends in .csv, "
    ".parquet or .nc.",
)
@click.option("--signals", metavar="NAME[,NAME]", multiple=True, help="Only these signals; repeatable.")
@click.option(
    "--by-group", is_flag=True, help="For csv and parquet: a table for each group of signals that share their steps."
)
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
def export(
    files: tuple[str, ...],
    reading: Reading,
    to: str,
    out: str,
    signals: tuple[str, ...],
    by_group: bool,
    overwrite: bool,
) -> None:
    """Write traces and logs of other tools in another format.

    csv and parquet are one table for each run, joined by step: what was not measured at a step is an empty cell.
    netcdf is for xarray: a group for each cadence, with units. tensorboard is a folder for each run; its numbers are
    float32. wandb is an offline run for `wandb sync`. A signal with axes becomes a column for each label, such as
    parameter_norm[0.weight], except in netcdf; one with more than 200 columns is then written only if --signals names
    it.

    Of a log, columns of numbers that are no signal are written too. If a file can't be read, reports it, writes the
    others, and exits with status 2.
    """
    runs, problems = reading.runs_of_all(files)
    chosen = [name.strip() for names in signals for name in names.split(",")]
    done, stopped = 0, False
    try:
        found = export_runs(runs, to, out, signals=chosen, by_group=by_group, overwrite=overwrite) if runs else ()
        for written in track(found, None if by_group else len(runs), "writing"):
            done += 1
            click.echo(written.path)
            for name in written.left_out:
                print_note(f"left out of {written.path}: {name}, of too many columns; --signals {name} writes it")
    except KeyboardInterrupt:
        stopped = True
        problems.append(f"stopped; {done} {'is' if done == 1 else 'are'} written whole, and listed above")
    print_errors(problems)
    if problems:
        click.get_current_context().exit(130 if stopped else 2)
