"""``slingshot record``."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cli._choices import AUTOCAST, DTYPES, LOSSES, OPTIMIZERS
from cli._completion import complete_probes, complete_setups
from cli._verb import Verb, is_quiet
from slingshot_analysis.errors import InputError

if TYPE_CHECKING:
    from slingshot_analysis.recording import Recorder
    from trainers.setup import Setup

TERMINAL_SECONDS = 0.2
LOG_SECONDS = 5.0
SHOWN = {
    "last_layer_norm": "norm {:.3f}",
    "train_errors": "train errors {:.0f}",
    "val_accuracy": "val accuracy {:.3f}",
    "batch_loss_float64": "batch loss {:.1e}",
}


def with_data_folder(setup: Setup, folder: str | None) -> Setup:
    """Return a setup that reads its data from the folder of ``--data-dir``, if one is given."""
    from trainers.overrides import override_all
    from trainers.setup import settings_of

    if folder is None:
        return setup
    if "data.folder" not in settings_of(setup):
        raise InputError(f"--data-dir: {setup.name} reads no files; leave it out")
    return override_all(setup, [f"data.folder={folder}"], "--data-dir")


def probe_names(text: str) -> list[str]:
    """Return the names that ``--probes`` gives."""
    return [name.strip() for name in text.split(",")]


@click.command(
    cls=Verb,
    examples=(
        "record --setup parity_3_50",
        "record --setup modular_division --probes stability,hessian:100 --checkpoint-every 1000 --resume",
    ),
)
@click.option("--setup", required=True, shell_complete=complete_setups, help="A name of `slingshot setups`.")
@click.option("--steps", type=click.IntRange(min=1), help="Number of updates; by default the setup's.")
@click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of data, initialisation and batches; by default the setup's."
)
@click.option(
    "--optimizer",
    metavar="NAME",
    help=f"Optimizer to use instead of the setup's, with the same learning rate and other common settings: "
    f"{', '.join(OPTIMIZERS)}.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a field of the setup, such as optimizer.eps=1e-7; repeatable.",
)
@click.option("--dtype", type=click.Choice(DTYPES), help="Data type of parameters and inputs.")
@click.option("--loss-dtype", type=click.Choice(DTYPES), help="Data type to which the logits are cast for the loss.")
@click.option("--autocast", type=click.Choice(AUTOCAST), help="Automatic mixed precision; float16 with loss scaling.")
@click.option("--loss", type=click.Choice(LOSSES), help="Loss that is minimised; by default the setup's.")
@click.option(
    "--probes",
    metavar="NAMES",
    shell_complete=complete_probes,
    help="What to record: bundles and names of `slingshot probes`, such as standard,hessian:50 (every 50 updates). By "
    "default, standard.",
)
@click.option(
    "--curvature-budget",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Largest share of the time that curvature may take; 0.05 with the standard bundle, 0.12 with full.",
)
@click.option(
    "--flight-recorder/--no-flight-recorder",
    default=None,
    help="Record the curvature at each update around a transition. By default on if --probes names curvature or full.",
)
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N; auto takes a GPU if there is one."
)
@click.option(
    "--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Threads of PyTorch on the CPU."
)
@click.option(
    "--flush-denormal/--no-flush-denormal",
    default=True,
    show_default=True,
    help="Round denormal numbers to 0. They slow some CPUs down.",
)
@click.option(
    "--out",
    default="runs",
    show_default=True,
    type=click.Path(),
    help="A folder for the trace, or a file that ends in .h5.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    metavar="N",
    help="Write a checkpoint every N updates, for --resume, and keep it for `slingshot branch`.",
)
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    metavar="COUNT",
    help="Number of checkpoints to keep after the run, the last ones; by default all.",
)
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint, or start if there is none.")
@click.option(
    "--data-dir",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Folder of the data files, for setups that read files.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def record(
    setup: str,
    steps: int | None,
    seed: int | None,
    optimizer: str | None,
    assignments: tuple[str, ...],
    dtype: str | None,
    loss_dtype: str | None,
    autocast: str | None,
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
    keep: int | None,
    resume: bool,
    data_dir: str | None,
    form: str,
) -> None:
    """Train a setup of the paper and write its trace."""
    from slingshot_analysis.trace import open_trace
    from trainers.checkpoint import kept_checkpoints
    from trainers.overrides import override_all, with_optimizer
    from trainers.recorded_run import record as record_setup
    from trainers.setups import find_setup
    from trainers.sweep.work import end_of

    run = find_setup(setup)
    if optimizer is not None:
        run = with_optimizer(run, optimizer)
    run = override_all(with_data_folder(run, data_dir), assignments, "--set")
    given: dict[str, Any] = {"steps": steps, "seed": seed, "dtype": dtype, "loss_dtype": loss_dtype}
    given |= {"autocast": autocast, "loss": loss}
    run = dataclasses.replace(run, **{key: value for key, value in given.items() if value is not None})
    if keep is not None and checkpoint_every is None:
        raise InputError("--keep needs --checkpoint-every N; give both, or leave it out")
    start, show = time.monotonic(), Progress(run.steps)
    try:
        path = record_setup(
            run,
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
            keep=keep,
            progress=show,
        )
    except KeyboardInterrupt:
        click.echo(f"\n{_kept(show, checkpoint_every)}", err=True)
        sys.exit(130)
    seconds = time.monotonic() - start
    if form == "json":
        state = end_of(open_trace(path))
        recorded = {"path": str(path), "setup": run.name, "seed": run.seed, "steps": run.steps}
        click.echo(json.dumps(recorded | {"seconds": round(seconds, 3), "state": state}, indent=2))
    elif show.made:
        click.echo(f"{path}: {run.steps:,} updates in {seconds:.0f} s")
        if kept := list(kept_checkpoints(path).values()):
            size = sum(file.stat().st_size for file in kept) / 1e6
            click.echo(f"{kept[0].parent}: {len(kept)} kept, {size:,.1f} MB")
    else:
        click.echo(f"{path}: was finished already")


def _kept(show: Progress, checkpoint_every: int | None) -> str:
    """Say what an interrupted run leaves behind, as its file says it."""
    from slingshot_analysis.trace import open_trace

    if show.recorder is None or (steps := open_trace(show.recorder.path).steps) is None:
        return "Stopped before anything was recorded."
    words = f"Stopped. {show.recorder.path} keeps the rows up to step {steps[1]:,}; `slingshot analyze` reads it."
    how = " The same command with --resume goes on from the last checkpoint."
    return words + how if checkpoint_every else words


class Progress:
    """A callback that shows speed, time left and the last values, in a terminal as one line that changes.

    Parameters
    ----------
    steps : int, updates
        Length of the run.
    """

    def __init__(self, steps: int) -> None:
        self.made = 0
        """Updates made since this process began: those before a resumed run's checkpoint do not count."""
        self.recorder: Recorder | None = None
        """The recorder of the run; None before the first update."""
        self._quiet = is_quiet()
        self._steps = steps
        self._terminal = sys.stderr.isatty()
        self._period = TERMINAL_SECONDS if self._terminal else LOG_SECONDS
        self._start = self._shown = time.monotonic()

    def __call__(self, step: int, recorder: Recorder) -> None:
        """Count an update, and show a line if the last one is old enough."""
        self.made += 1
        self.recorder = recorder
        if self._quiet:
            return
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
