"""``slingshot sweep``."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cli._completion import complete_probes, complete_setups, complete_sweeps
from cli._engines import engine_options, slurm_parameters
from cli._messages import in_options
from cli._verb import Verb, is_quiet
from cli.record import probe_names

if TYPE_CHECKING:
    from rich.table import Table

    from trainers.sweep import Status

SHOWN_RUNS = 12
LOG_SECONDS = 5.0


@click.command(
    cls=Verb,
    examples=(
        "sweep --setup parity_3_50 --grid optimizer.eps=1e-8,1e-7 --seeds 0-4",
        "sweep --config parity_epsilon --jobs 8 --out runs/epsilon",
    ),
)
@click.option("--setup", shell_complete=complete_setups, help="A name of `slingshot setups`.")
@click.option(
    "--grid",
    multiple=True,
    metavar="KEY=A,B,…",
    help="Values of a field, such as optimizer.eps=1e-8,1e-7 or optimizer=adam,sgd. Semicolons separate values with "
    "commas: optimizer.betas=0.9,0.999;0.9,0.99. Repeatable: every combination is run.",
)
@click.option(
    "--draw",
    multiple=True,
    metavar="KEY=DISTRIBUTION",
    help="Random values of a field: uniform(a,b), loguniform(a,b), integers(a,b) or choice(a,b,…), such as "
    "optimizer.lr=loguniform(1e-4,1e-2); repeatable.",
)
@click.option("--draws", type=click.IntRange(min=1), metavar="N", help="Number of random draws.")
@click.option("--draw-seed", type=click.IntRange(min=0), metavar="N", help="Seed of the draws; 0 by default.")
@click.option(
    "--seeds", metavar="SEEDS", help="Seeds of each combination, such as 0-4 or 0,3,7-9; by default the setup's."
)
@click.option("--steps", type=click.IntRange(min=1), help="Number of updates of each run; by default the setup's.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a field in every run; repeatable."
)
@click.option(
    "--config",
    metavar="FILE",
    shell_complete=complete_sweeps,
    help="A TOML file with these options as keys, and with single runs: see docs/sweeps.md. Or a name of --list.",
)
@click.option("--list", "listing", is_flag=True, help="List the sweeps behind the paper's figures, and stop.")
@click.option(
    "--probes",
    metavar="NAMES",
    shell_complete=complete_probes,
    help="What to record, as in `slingshot record`; by default the file's, or light.",
)
@click.option(
    "--out", default="runs", show_default=True, metavar="DIR", type=click.Path(), help="Folder of traces and manifest."
)
@engine_options(
    None,
    "Number of processes, by default one per CPU. With dask and slurm, the smallest number of parts into which the "
    "runs are divided.",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Largest number of runs that one process trains together.",
)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Updates between two checkpoints, which is the most that a stopped run loses.",
)
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N; auto takes a GPU if there is one."
)
@click.option(
    "--data-dir",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Folder of the data files, for setups that read files.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def sweep(
    setup: str | None,
    grid: tuple[str, ...],
    draw: tuple[str, ...],
    draws: int | None,
    draw_seed: int | None,
    seeds: str | None,
    steps: int | None,
    assignments: tuple[str, ...],
    config: str | None,
    listing: bool,
    probes: str | None,
    out: str,
    engine: str,
    jobs: int | None,
    scheduler: str | None,
    slurm: tuple[str, ...],
    batch: int,
    checkpoint_every: int,
    device: str,
    data_dir: str | None,
    form: str,
) -> None:
    """Train many runs: every combination of values and seeds, random draws, or a list.

    The same command, given again, continues a sweep that was stopped. Finished runs are not trained again.
    """
    if listing:
        _list_sweeps(form)
        return
    from cli._sweep_plan import Options, plan
    from slingshot_analysis.analysis import finite
    from trainers.sweep import SweepConfig, read_config
    from trainers.sweep import sweep as run_sweep

    file = SweepConfig() if config is None else read_config(config)
    runs = plan(file, Options(config, setup, steps, assignments, data_dir, grid, draw, draws, draw_seed, seeds))
    with Progress() as show:
        try:
            table = run_sweep(
                runs,
                out,
                engine=engine,
                jobs=jobs,
                scheduler=scheduler,
                slurm=slurm_parameters(slurm),
                batch=batch,
                probes=probe_names(probes or file.probes or "light"),
                checkpoint_every=checkpoint_every,
                device=device,
                progress=show,
            )
        except KeyboardInterrupt:
            show.close()
            click.echo(f"Stopped. The same command continues the sweep; {out}/manifest.json has its state.", err=True)
            sys.exit(130)
    failed = table[table["state"] == "failed"]
    for file_name, error in failed["error"].items():
        click.echo(f"Failed: {file_name}: {in_options(error)}", err=True)
    if form == "json":
        click.echo(json.dumps(finite(table.reset_index().to_dict("records")), indent=2))
    else:
        counts = ", ".join(f"{count} {state}" for state, count in table["state"].value_counts().items())
        click.echo(f"{out}: {_runs(len(table))}: {counts}")
    if len(failed):
        sys.exit(1)


def _list_sweeps(form: str) -> None:
    from trainers.sweep import shipped_sweeps

    rows = [_row(name) for name in shipped_sweeps()]
    if form == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    from cli._console import open_console

    table = Table(box=None, pad_edge=False)
    for heading in ("name", "figures"):
        table.add_column(heading, no_wrap=True)
    for heading in ("runs", "updates in all"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("title", overflow="fold")
    for row in rows:
        table.add_row(row["name"], row["figures"], f"{row['runs']:,}", f"{row['updates']:,}", row["title"])
    open_console().print(table)


def _row(name: str) -> dict[str, Any]:
    from cli._sweep_plan import Options, plan
    from trainers.sweep import read_config

    file = read_config(name)
    runs = plan(file, Options(name))
    updates = sum(run.steps for run in runs)
    return {"name": name, "figures": file.figures, "runs": len(runs), "updates": updates, "title": file.title}


class Progress:
    """Shows a sweep on standard error: in a terminal as a table that changes, otherwise as a line every few seconds."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        self._quiet = is_quiet()
        self._live = Live(console=console, transient=True) if console.is_terminal and not self._quiet else None
        self._next = 0.0
        self._start = time.monotonic()

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the table."""
        if self._live:
            self._live.stop()

    def __call__(self, status: Status) -> None:
        """Show how far the sweep has come."""
        if self._quiet:
            return
        from rich.console import Group
        from rich.text import Text

        line = self._line(status)
        if self._live:
            self._live.update(Group(Text(line), *_running(status)))
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + LOG_SECONDS
            click.echo(line, err=True)

    def _line(self, status: Status) -> str:
        from slingshot_analysis.markup import duration_words

        counts = "  ".join(f"{count} {state}" for state, count in sorted(status.counts.items()))
        left = f"  {duration_words(status.left)} left" if math.isfinite(status.left) else ""
        gone = duration_words(time.monotonic() - self._start)
        return f"{_runs(len(status.runs))}: {counts}  {status.rate:,.0f} updates/s  {gone}{left}"


def _running(status: Status) -> list[Table]:
    from rich.table import Table
    from rich.text import Text

    running = [(name, run) for name, run in status.runs.items() if run.state == "running"]
    if not running:
        return []
    table = Table(box=None, pad_edge=False)
    table.add_column("running")
    for heading in ("updates", "of"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, run in running[:SHOWN_RUNS]:
        table.add_row(Text(name, no_wrap=True, overflow="ellipsis"), f"{run.step:,}", f"{run.steps:,}")
    if len(running) > SHOWN_RUNS:
        table.add_row(f"and {len(running) - SHOWN_RUNS} more")
    return [table]


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
