"""``slingshot record``."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import sys
import time

import click

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import Recorder
from slingshot_analysis.trace import open_trace
from trainers.losses import LOSSES
from trainers.optimizers import OPTIMIZERS
from trainers.overrides import override_all, with_optimizer
from trainers.recorded_run import record as record_setup
from trainers.setup import DTYPES, Setup, settings_of
from trainers.setups import SETUPS, find_setup
from trainers.sweep.work import end_of

TERMINAL_SECONDS = 0.2
LOG_SECONDS = 5.0
SHOWN = {
    "last_layer_norm": "norm {:.3f}",
    "train_errors": "train errors {:.0f}",
    "val_accuracy": "val accuracy {:.3f}",
    "batch_loss_float64": "batch loss {:.1e}",
}


def complete_setups(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a setup in the shell."""
    return [name for name in SETUPS if name.startswith(incomplete)]


def with_data_folder(setup: Setup, folder: str | None) -> Setup:
    """Return a setup that reads its data from the folder of ``--data-dir``, if one is given."""
    if folder is None:
        return setup
    if "data.folder" not in settings_of(setup):
        raise InputError(f"--data-dir: {setup.name} reads no files; leave it out")
    return override_all(setup, [f"data.folder={folder}"], "--data-dir")


def probe_names(text: str) -> list[str]:
    """Return the names that ``--probes`` gives."""
    return [name.strip() for name in text.split(",")]


@click.command()
@click.option("--setup", "name", required=True, shell_complete=complete_setups, help="See `slingshot setups`.")
@click.option("--steps", type=click.IntRange(min=1), help="Number of updates; the setup's own by default.")
@click.option("--seed", type=click.IntRange(min=0), help="Root of all random states; the setup's own by default.")
@click.option(
    "--optimizer",
    metavar="NAME",
    help=f"Instead of the setup's own, with its numbers: {', '.join(OPTIMIZERS)}.",
)
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Such as optimizer.eps=1e-7; repeatable."
)
@click.option("--dtype", type=click.Choice(list(DTYPES)), help="Of parameters and inputs.")
@click.option("--loss-dtype", type=click.Choice(list(DTYPES)), help="To which the logits are cast for the loss.")
@click.option("--loss", type=click.Choice(list(LOSSES)), help="What is minimised; the setup's own by default.")
@click.option(
    "--probes",
    metavar="NAMES",
    help="light, standard (the default), full and names of `slingshot probes`, such as standard,hessian:50 (every 50 "
    "updates).",
)
@click.option(
    "--curvature-budget",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Share of the time for curvature; 0.12 with --probes full.",
)
@click.option(
    "--flight-recorder/--no-flight-recorder",
    default=None,
    help="Curvature at each update around a transition; on where curvature is recorded.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Of PyTorch on the CPU.")
@click.option("--flush-denormal/--no-flush-denormal", default=True, show_default=True, help="Round denormals to 0.")
@click.option("--out", default="runs", show_default=True, help="A folder, or a file that ends in .h5.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    metavar="N",
    help="Write a checkpoint beside the trace every N updates, for --resume.",
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint; start if there is none.")
@click.option("--data-dir", metavar="DIR", help="Folder of the data files, for setups that read any.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def record(
    name: str,
    steps: int | None,
    seed: int | None,
    optimizer: str | None,
    assignments: tuple[str, ...],
    dtype: str | None,
    loss_dtype: str | None,
    loss: str | None,
    probes: str | None,
    curvature_budget: float | None,
    flight_recorder: bool | None,
    device: str,
    threads: int,
    flush_denormal: bool,
    out: str,
    overwrite: bool,
    checkpoint_every: int | None,
    resume: bool,
    data_dir: str | None,
    form: str,
) -> None:
    """Train a setup of the paper and write its trace."""
    setup = find_setup(name)
    if optimizer is not None:
        setup = with_optimizer(setup, optimizer)
    setup = override_all(with_data_folder(setup, data_dir), assignments, "--set")
    given = {"steps": steps, "seed": seed, "dtype": dtype, "loss_dtype": loss_dtype, "loss": loss}
    setup = dataclasses.replace(setup, **{key: value for key, value in given.items() if value is not None})
    start, show = time.monotonic(), Progress(setup.steps)
    try:
        path = record_setup(
            setup,
            out,
            device=device,
            threads=threads,
            flush_denormal=flush_denormal,
            overwrite=overwrite,
            probes=None if probes is None else probe_names(probes),
            curvature_budget=curvature_budget,
            flight_recorder=flight_recorder,
            checkpoint_every=checkpoint_every,
            resume=resume,
            progress=show,
        )
    except KeyboardInterrupt:
        how = " The same command with --resume goes on from the last checkpoint." if checkpoint_every else ""
        click.echo(f"\nStopped. The trace keeps what was recorded; `slingshot analyze` reads it.{how}", err=True)
        sys.exit(130)
    seconds = time.monotonic() - start
    if form == "json":
        state = end_of(open_trace(path))
        run = {"path": str(path), "setup": setup.name, "seed": setup.seed, "steps": setup.steps}
        click.echo(json.dumps(run | {"seconds": round(seconds, 3), "state": state}, indent=2))
    elif show.made:
        click.echo(f"{path}: {setup.steps:,} updates in {seconds:.0f} s")
    else:
        click.echo(f"{path}: was finished already")


class Progress:
    """A callback that shows speed, time left and the last values: a line that changes, or a log.

    Parameters
    ----------
    steps : int, updates
        Length of the run.
    """

    def __init__(self, steps: int) -> None:
        self.made = 0
        """Updates made, without those before a run was resumed."""
        self._steps = steps
        self._terminal = sys.stderr.isatty()
        self._period = TERMINAL_SECONDS if self._terminal else LOG_SECONDS
        self._start = self._shown = time.monotonic()

    def __call__(self, step: int, recorder: Recorder) -> None:
        """Count an update, and show a line if it is time to."""
        self.made += 1
        now = time.monotonic()
        last = step == self._steps
        if now - self._shown < self._period and not (self._terminal and last):
            return
        self._shown = now
        rate = self.made / (now - self._start)
        latest = recorder.latest
        values = [text.format(latest[key]) for key, text in SHOWN.items() if math.isfinite(latest.get(key, math.nan))]
        left = (self._steps - step) / rate
        line = f"{step:>9,} of {self._steps:,} updates  {rate:,.0f}/s  {left:.0f} s left  {'  '.join(values)}"
        if self._terminal:
            line = f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}"
        click.echo(line, err=True, nl=not self._terminal or last)
