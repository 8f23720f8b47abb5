"""A run as an offline run of Weights & Biases, which ``wandb sync`` uploads."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from slingshot_analysis.configuration import configuration
from slingshot_analysis.errors import InputError
from slingshot_analysis.export._selection import Selection
from slingshot_analysis.optional import needed
from slingshot_analysis.readers import Log, read_log
from slingshot_analysis.trace.trace import columns_of

PROJECT = "slingshot"
"""Project of the runs, until ``wandb sync --project`` names another."""
PATIENCE = 60.0
"""Seconds to wait for W&B's own process."""


def write_offline_run(run: Selection, path: Path) -> Path:
    """Write a run into the folder ``wandb`` beside `path`, without what W&B finds out about this machine."""
    needed("wandb.sdk", "wandb")  # a folder of runs has the name of the package too
    wandb = needed("wandb", "wandb")
    rows: defaultdict[int, dict[str, float]] = defaultdict(dict)
    for names in run.groups.values():
        for name, signal in run.read(names).items():
            steps = run.whole_steps(name, "Weights & Biases").tolist()
            for column, values in columns_of(replace(signal, name=name)).items():
                for step, value in zip(steps, values.tolist(), strict=True):
                    rows[step][column] = value
    settings = wandb.Settings(
        silent=True,
        console="off",
        save_code=False,
        disable_git=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )
    with wandb.init(
        mode="offline",
        dir=path.parent,
        project=PROJECT,
        name=run.name,
        config=configuration(run),
        settings=settings,
        reinit="create_new",
    ) as made:
        for step in sorted(rows):
            made.log(rows[step], step=step)
    folder = Path(made.dir).parent
    deadline = time.monotonic() + PATIENCE
    while _rows_in(folder) < len(rows):  # W&B's own process goes on writing after the run is finished
        if time.monotonic() > deadline:
            raise OSError(f"wandb has not written all rows after {PATIENCE} s")
        time.sleep(0.05)
    return folder


def _rows_in(folder: Path) -> int:
    """Return how many rows stand in the file of a run; each has a time."""
    try:
        (run,) = read_log(folder)
    except InputError:
        return 0
    return max((c.rows for c in run.columns if c.column == "_timestamp"), default=0) if isinstance(run, Log) else 0
