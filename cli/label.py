"""``slingshot label``."""

from __future__ import annotations

import click

from cli.logs import reading_options, runs_of
from slingshot_analysis.errors import unknown_name
from slingshot_analysis.labels import read_labels, write_labels


@click.command()
@click.argument("file", type=click.Path())
@reading_options
@click.option("--add", type=int, multiple=True, metavar="STEP", help="There is a slingshot here; repeatable.")
@click.option("--remove", type=int, multiple=True, metavar="STEP", help="There is none here; repeatable.")
@click.option("--run", metavar="NAME", help="The run, where the file holds several.")
def label(
    file: str,
    mapping: tuple[str, ...],
    names: str | None,
    input_format: str | None,
    add: tuple[int, ...],
    remove: tuple[int, ...],
    run: str | None,
) -> None:
    """Correct what was found in a run.

    Writes FILE.labels.json beside it, which `analyze` and `evaluate` use. Without --add and --remove it shows what
    stands there.
    """
    runs = {trace.name: trace for trace in runs_of(file, mapping, names, input_format)}
    if run is not None and run not in runs:
        raise unknown_name("run", run, runs, file)
    if run is None and len(runs) > 1 and (add or remove):
        raise unknown_name("run", "", runs, f"{file}: holds {len(runs)} runs; name one with --run")
    for name, trace in runs.items():
        if run in (None, name):
            labels = read_labels(trace)
            if add or remove:
                labels = labels.change(add, remove)
                click.echo(f"written: {write_labels(trace, labels)}")
            click.echo(f"{name}: added {list(labels.added)}, removed {list(labels.removed)}")
