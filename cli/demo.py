"""``slingshot demo``."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli._console import open_console
from cli._verb import Verb
from cli.record import Progress
from slingshot_analysis.errors import InputError

if TYPE_CHECKING:
    from slingshot_analysis.trace import Trace

TRACE = "parity_3_50.h5"
UPDATES = 40_000
NEXT = """
What to try next:
  slingshot analyze metrics.csv         the same for a log of yours: CSV, JSONL, TensorBoard, a trainer's output, …
  slingshot watch runs --web            runs while they are recorded, on a page that updates itself
  slingshot demo --record               the same with a run that is trained now; takes about a minute
  slingshot setups                      the experiments of the paper; slingshot record --setup NAME trains one
"""


@click.command(
    cls=Verb,
    examples=(
        "demo",
        "demo --record --out mine",
    ),
)
@click.option("--record", "fresh", is_flag=True, help="Train and record a run in place of the one that is shipped.")
@click.option(
    "-o", "--out", metavar="DIR", default="slingshot-demo", show_default=True, type=click.Path(file_okay=False)
)
def demo(fresh: bool, out: str) -> None:
    """Show what there is with a recorded run: its analysis, its report, and what to try next.

    The run is that of parity, with seed 3 and 40,000 updates: its last layer's norm grows, the loss spikes at 19,081,
    and the validation accuracy climbs. It was thinned, with all rows around the transition.
    """
    from slingshot_analysis.analysis import analyze
    from slingshot_analysis.readers import read_log
    from slingshot_analysis.report.page import KeepRun, columns_for, write_report
    from slingshot_analysis.report.text import print_analyses

    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trace = _recorded(folder) if fresh else _shipped(folder)
    except OSError as error:
        raise InputError(f"--out {out}: can't be written ({error.strerror}); give another folder") from error
    run: Trace
    (run,) = read_log(trace)
    analysis = analyze(run)
    click.echo(f"$ slingshot analyze {trace}\n")
    print_analyses([analysis], open_console())
    columns = columns_for(1)
    page = write_report(
        folder / "report.html", [analysis], [KeepRun(columns)(run, analysis)], columns=columns, command="slingshot demo"
    )
    click.echo(f"\nThe run: {trace}\nThe report, to open in a browser: {page}")
    click.echo(NEXT.rstrip("\n"))


def _shipped(folder: Path) -> Path:
    """Copy the trace that is shipped into the folder."""
    with as_file(files("cli") / "demo_files" / TRACE) as trace:
        return Path(shutil.copyfile(trace, folder / TRACE))


def _recorded(folder: Path) -> Path:
    """Train and record the run."""
    import dataclasses

    from trainers.recorded_run import record
    from trainers.setups import find_setup

    run = dataclasses.replace(find_setup("parity_3_50"), steps=UPDATES)
    return Path(record(run, str(folder), overwrite=True, progress=Progress(run.steps)))
