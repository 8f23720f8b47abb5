"""``slingshot sweep``."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from cli._engines import engine_options, slurm_parameters
from cli._messages import in_options
from cli.record import complete_setups, probe_names, with_data_folder
from slingshot_analysis.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from trainers.setup import Setup
    from trainers.sweep import Status, SweepConfig

SHOWN_RUNS = 12
LOG_SECONDS = 5.0

Value = TypeVar("Value")


@click.command()
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
    help="A TOML file with these options as keys, and with single runs: see docs/sweeps.md.",
)
@click.option(
    "--probes", default="light", show_default=True, metavar="NAMES", help="What to record, as in `slingshot record`."
)
@click.option("--out", default="runs", show_default=True, metavar="DIR", help="Folder of traces and manifest.")
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
@click.option("--data-dir", metavar="DIR", help="Folder of the data files, for setups that read files.")
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
    probes: str,
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
    from slingshot_analysis.analysis import finite
    from trainers.sweep import SweepConfig, read_config
    from trainers.sweep import sweep as run_sweep

    file = SweepConfig() if config is None else read_config(config)
    common = _common(file, config, setup, steps, assignments, data_dir)
    fixed = {text.partition("=")[0]: "--set" for text in assignments}
    fixed |= {} if steps is None else {"steps": "--steps"}
    fixed |= {} if data_dir is None else {"data.folder": "--data-dir"}
    runs = _plan(common, file, config, fixed, grid, draw, draws, draw_seed, seeds)
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
                probes=probe_names(probes),
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


def _common(
    file: SweepConfig,
    config: str | None,
    name: str | None,
    steps: int | None,
    assignments: tuple[str, ...],
    data_dir: str | None,
) -> Setup:
    """Return the setup with the changes that every run has; the command line comes before the file."""
    from trainers.overrides import override_all
    from trainers.setups import find_setup
    from trainers.sweep.plan import as_text

    name = name or file.setup
    if name is None:
        raise InputError("--setup is missing; see `slingshot setups`")
    of_file = [f"{key}={as_text(value)}" for key, value in file.set.items()]
    setup = override_all(find_setup(name), of_file, f"--config {config}: set")
    setup = setup if file.steps is None else dataclasses.replace(setup, steps=file.steps)
    setup = override_all(with_data_folder(setup, data_dir), assignments, "--set")
    return setup if steps is None else dataclasses.replace(setup, steps=steps)


def _plan(
    setup: Setup,
    file: SweepConfig,
    config: str | None,
    fixed: Mapping[str, str],
    grid: Sequence[str],
    draw: Sequence[str],
    draws: int | None,
    draw_seed: int | None,
    seeds: str | None,
) -> list[Setup]:
    """Return the runs.

    `fixed` names, for each field to which the command line gives one value in all runs, the option that does so.
    """
    from trainers.sweep import parse_seeds, parse_values, plan_runs
    from trainers.sweep.plan import as_text

    grids = _once("--grid", [parse_values(setup, text, "--grid") for text in grid])
    drawn = _once("--draw", [_pair("--draw", text) for text in draw])
    part = {field.name: f"--config {config}: {field.name}" for field in dataclasses.fields(file)}
    of_draws = {"--draws": draws, "--draw-seed": draw_seed}
    of_draws |= {part["draws"]: file.draws, part["draw_seed"]: file.draw_seed}
    for place, number in of_draws.items():
        if number is not None and not (drawn or file.draw):
            raise InputError(f"{place} needs a --draw KEY=DISTRIBUTION; give one, or leave it out")
    of_file = dict.fromkeys(file.grid, part["grid"]) | dict.fromkeys(file.draw, part["draw"])
    of_file |= {} if file.seeds is None else {"seed": part["seeds"]}
    varied = of_file | dict.fromkeys(grids, "--grid") | dict.fromkeys(drawn, "--draw")
    varied |= {} if seeds is None else {"seed": "--seeds"}
    _refuse_both(fixed, varied)
    _refuse_both(
        dict.fromkeys(file.set, part["set"]) | ({} if file.steps is None else {"steps": part["steps"]}), of_file
    )
    asked, place = (file.seeds, part["seeds"]) if seeds is None else (seeds, "--seeds")
    return plan_runs(
        setup,
        file.grid | grids,
        draw=file.draw | drawn,
        draws=draws or file.draws or 1,
        draw_seed=draw_seed if draw_seed is not None else file.draw_seed or 0,
        runs=file.runs,
        seeds=None if asked is None else parse_seeds(as_text(asked), place),
        places=varied | {"seeds": place, "runs": part["runs"]},
    )


def _pair(option: str, text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not value:
        raise InputError(f"{option} {text}: write it as KEY=VALUE")
    return key, value


def _once(option: str, pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    """Return the values of a repeatable option by key.

    Raises
    ------
    InputError
        If a key is given twice.
    """
    for i, (key, _) in enumerate(pairs):
        if key in dict(pairs[:i]):
            how = f"write {option} {key}=A,B" if option == "--grid" else "leave one of them out"
            raise InputError(f"{option} {key} is given twice; {how}")
    return dict(pairs)


def _refuse_both(fixed: Mapping[str, str], varied: Mapping[str, str]) -> None:
    """Refuse a field that has one value in all runs and also varies; each mapping names the option by field."""
    for key in fixed.keys() & varied.keys():
        raise InputError(f"{fixed[key]}: {key} is given by {varied[key]} too; leave one of them out")


class Progress:
    """Shows a sweep on standard error: in a terminal as a table that changes, otherwise as a line every few seconds."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        self._live = Live(console=console, transient=True) if console.is_terminal else None
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
        from rich.console import Group
        from rich.text import Text

        line = self._line(status)
        if self._live:
            self._live.update(Group(Text(line), *_running(status)))
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + LOG_SECONDS
            click.echo(line, err=True)

    def _line(self, status: Status) -> str:
        counts = "  ".join(f"{count} {state}" for state, count in sorted(status.counts.items()))
        left = f"  {_duration(status.left)} left" if math.isfinite(status.left) else ""
        gone = _duration(time.monotonic() - self._start)
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


def _duration(seconds: float) -> str:
    """Return a duration in words.

    Examples
    --------
    >>> _duration(59), _duration(3_720), _duration(200_000)
    ('59 s', '1 h 02 min', '55 h 33 min')
    """
    minutes = round(seconds) // 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
