"""Write the logs of this folder: python make.py tensorboard|wandb|trackio|mlflow FOLDER, each with its own library."""

import contextlib
import os
import shutil
import sqlite3
import struct
import sys
import tempfile
from pathlib import Path

STEPS = 40
NAN, INFINITE = 20, 21


def loss(step: int, seed: int = 0) -> float:
    if step in (NAN, INFINITE):
        return float("nan") if step == NAN else float("inf")
    return (1 + seed) / (1 + step)


def make_tensorboard(folder: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder / "old" / "seed_0")) as writer:
        for step in range(STEPS):
            writer.add_scalar("train/loss", loss(step), step)
            if step % 10 == 0:
                writer.add_scalar("val/loss", 2 * loss(step), step)
        writer.add_histogram("weights", [0.0, 1.0, 2.0], 0)
        writer.add_text("remark", "hello", 0)
    with SummaryWriter(str(folder / "old" / "seed_1")) as writer:
        for step in range(STEPS):
            writer.add_scalar("train/loss", loss(step, 1), step)
        writer.add_scalar("train/loss", -1.0, 5)
        writer.add_hparams({"lr": 0.001, "optimizer": "adam", "bias": True}, {"final": 0.5}, name="hparams")

    writer = EventFileWriter(str(folder / "new"))
    for step in range(STEPS):
        event = Event(step=step, wall_time=1.7e9 + step)
        event.summary.value.add(tag="train/loss", tensor=scalar_pb("train/loss", loss(step)).value[0].tensor)
        event.summary.value[0].metadata.plugin_data.plugin_name = "scalars"
        writer.add_event(event)
        content = TensorProto(dtype=2, tensor_content=struct.pack("<d", loss(step) / 3))
        half = TensorProto(dtype=1)
        half.float_val.append(step / 8)
        both = Summary(value=[Summary.Value(tag="thirds", tensor=content), Summary.Value(tag="eighths", tensor=half)])
        writer.add_event(Event(step=step, wall_time=1.7e9 + step, summary=both))
    writer.close()
    for number, file in enumerate(sorted(folder.rglob("*tfevents*"))):
        file.rename(file.with_name(f"events.out.tfevents.170000000{number}.host"))


def shrink(source: Path, target: Path, keep: tuple[str, ...]) -> None:
    """Copy a database with the tables that matter."""
    with contextlib.closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
        for kind in ("trigger", "index", "table"):
            rows = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = ? AND sql NOT NULL", [kind]
            ).fetchall()
            for (name,) in rows:
                if name not in keep and not name.startswith("sqlite_"):
                    with contextlib.suppress(sqlite3.OperationalError):
                        connection.execute(f'DROP {kind} "{name}"')
        if "runs" in keep:
            connection.execute("UPDATE runs SET user_id = 'user', source_name = '', artifact_uri = ''")
        if "experiments" in keep:
            connection.execute("UPDATE experiments SET artifact_location = ''")
        connection.execute("PRAGMA page_size = 1024")
        connection.execute("VACUUM")
    shutil.copy(source, target)


def make_wandb(folder: Path) -> None:
    os.environ["WANDB_MODE"] = "offline"
    import wandb

    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(2):
            settings = wandb.Settings(
                console="off",
                disable_git=True,
                save_code=False,
                x_disable_stats=True,
                x_disable_meta=True,
                x_disable_machine_info=True,
                host="host",
                username="user",
                email="",
                root_dir=scratch,
            )
            config = {"seed": seed, "optimizer": {"name": "adam", "lr": 1e-3}}
            run = wandb.init(
                dir=scratch, project="parity", name=f"seed {seed}", id=f"parity{seed}", config=config, settings=settings
            )
            for step in range(STEPS + 70 * seed):
                row = {"train/loss": loss(step, seed), "nested": {"a": step / 8}}
                if step % 10 == 0:
                    row["val/accuracy"] = step / STEPS
                run.log(row, step=3 * step)
            run.log({"weights": wandb.Histogram([0.0, 1.0, 2.0]), "remark": "hello"})
            run.finish()
        for file in sorted(Path(scratch).glob("wandb/offline-run-*/*.wandb")):
            target = folder / f"offline-run-20261122_00000{file.stem[-1]}-{file.stem[4:]}"
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)


def make_trackio(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TRACKIO_DIR"] = scratch
        import trackio

        for seed in range(2):
            config = {"seed": seed, "optimizer": {"name": "adam", "lr": 1e-3}}
            run = trackio.init(project="parity", name=f"seed {seed}", config=config, auto_log_gpu=False)
            for step in range(STEPS):
                row = {"train/loss": loss(step, seed), "nested": {"a": step / 8}, "remark": "hello"}
                if step % 10 == 0:
                    row["val/accuracy"] = step / STEPS
                run.log(row, step=3 * step)
            run.finish()
        folder.mkdir(parents=True, exist_ok=True)
        shrink(Path(scratch) / "parity.db", folder / "parity.db", ("metrics", "configs"))


def make_mlflow(folder: Path) -> None:
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    import mlflow

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for uri in (f"sqlite:///{scratch}/mlflow.db", f"file://{scratch}/mlruns"):
            mlflow.set_tracking_uri(uri)
            mlflow.set_experiment(experiment_id=mlflow.create_experiment("parity", artifact_location="artifacts"))
            for seed in range(2):
                with mlflow.start_run(run_name=f"seed {seed}") as run:
                    mlflow.log_params({"seed": seed, "optimizer/lr": 1e-3})
                    for step in range(STEPS):
                        mlflow.log_metric("train/loss", loss(step, seed), step=3 * step)
                        if step % 10 == 0:
                            mlflow.log_metric("accuracy", step / STEPS, step=3 * step)
            with mlflow.start_run(run_name="deleted") as run:
                mlflow.log_metric("accuracy", 0.0, step=0)
            mlflow.delete_run(run.info.run_id)
        shrink(Path(scratch) / "mlflow.db", folder / "mlflow.db", ("experiments", "metrics", "params", "runs"))
        shutil.copytree(
            Path(scratch) / "mlruns", folder / "mlruns", ignore=shutil.ignore_patterns("mlflow.s*", "mlflow.u*")
        )
        for file in folder.rglob("meta.yaml"):
            lines = file.read_text().splitlines(keepends=True)
            file.write_text("".join(line for line in lines if not line.startswith(("artifact", "user_id"))))
        (experiment,) = (meta.parent for meta in (folder / "mlruns").glob("*/meta.yaml") if meta.parent.name != "0")
        experiment.rename(experiment.with_name("1"))


if __name__ == "__main__":
    globals()[f"make_{sys.argv[1]}"](Path(sys.argv[2]))
