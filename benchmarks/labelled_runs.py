"""Record the 32 runs of sparse parity, with and without slingshots, that `detection.py --recorded` scores.

Run it from the project's root. It takes about half an hour on one core, and continues if it was stopped::

    OMP_NUM_THREADS=1 python benchmarks/labelled_runs.py runs/labelled
"""

from __future__ import annotations

from pathlib import Path

import click

from trainers.overrides import override_all
from trainers.recorded_run import record
from trainers.setups import find_setup

VARIANTS: dict[str, tuple[int, ...]] = {
    "": (0, 1, 2, 3, 4, 5),
    "optimizer.lr=0.003": (0, 1),
    "optimizer.lr=0.002": (0, 1),
    "optimizer.eps=1e-7": (0, 1),
    "optimizer.eps=1e-6": (0, 1),
    "model.width=64 steps=60000": (0, 1),
    "model.width=256 steps=60000": (0, 1),
    "dtype=float64": (0, 1),
    "loss_dtype=float64": (0, 1),
    "data.n=30": (0, 1),
    "data.k=2": (0, 1),
    "data.n=40": (0, 1),
    "optimizer.lr=0.006": (6, 7),
    "batch_size=64": (6, 7),
}
"""Settings that differ from parity_3_50, and seeds."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for settings, seeds in VARIANTS.items():
        for seed in seeds:
            name = "-".join(["parity_3_50", f"s{seed}", *settings.split()])
            done, part = folder / f"{name}.h5", folder / "unfinished" / f"{name}.h5"
            if not done.exists():
                setup = override_all(find_setup("parity_3_50"), [f"seed={seed}", *settings.split()])
                record(setup, part, threads=1, overwrite=True)
                part.rename(done)
                click.echo(done)


if __name__ == "__main__":
    main()
