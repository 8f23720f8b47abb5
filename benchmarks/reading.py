"""What it costs to read and analyze large files and to start the commands, beside pandas, polars, json and h5py alone.

Run ``OMP_NUM_THREADS=1 python benchmarks/reading.py`` (some minutes), or name parts: ``csv jsonl hdf5 window many
start``.
Each figure is that of a process of its own, with imports: the CPU seconds of it and its children, the least of
`--turns`, and its own peak memory. Each ratio is to the first line of its table. The files are written first, of smooth
curves with noise. It needs Linux.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL, PIPE

import click
import h5py
import numpy as np

SLINGSHOT = "from cli.main import main; main(prog_name='slingshot')"
PEAK = (
    "import atexit, sys; atexit.register(lambda: sys.stderr.write("
    "next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))))\n"
)
READ = "import sys; from slingshot_analysis.readers import read_log; read_log(sys.argv[1])"


def curves(rows: int) -> dict[str, np.ndarray]:
    """Return a loss, a validation loss, an accuracy and a norm over as many steps."""
    random, step = np.random.default_rng(0), np.arange(rows)
    return {
        "step": step,
        "train_loss": 2.5 / (1 + step / 1000) + 0.01 * random.random(rows),
        "val_loss": 2.6 / (1 + step / 1000) + 0.01 * random.random(rows),
        "val_accuracy": step / rows,
        "weight_norm": 10 + np.log1p(step) + 0.001 * random.random(rows),
    }


def write_csv(path: Path, rows: int) -> None:
    """Write five columns."""
    table = curves(rows)
    lines = zip(*(column.tolist() for column in table.values()), strict=True)
    with path.open("w") as file:
        file.write(",".join(table) + "\n")
        file.writelines(f"{a},{b:.6f},{c:.6f},{d:.4f},{e:.6f}\n" for a, b, c, d, e in lines)


def write_jsonl(path: Path, rows: int) -> None:
    """Write records with four keys."""
    table = curves(rows)
    lines = zip(*(table[name].tolist() for name in ("step", "train_loss", "val_loss")), strict=True)
    with path.open("w") as file:
        file.writelines(
            f'{{"step": {a}, "train_loss": {b:.6f}, "val_loss": {c:.6f}, "lr": 0.001}}\n' for a, b, c in lines
        )


def write_hdf5(path: Path, rows: int) -> None:
    """Write steps and a loss."""
    table = curves(rows)
    with h5py.File(path, "w") as file:
        for name in ("step", "train_loss"):
            file[name] = table[name]


def measure(code: str, words: list[str], turns: int) -> tuple[float, float]:
    """Return CPU seconds, the least of some turns, and MB of a process that runs Python code."""
    least, most = np.inf, 0.0
    for _ in range(turns):
        process = subprocess.Popen([sys.executable, "-c", PEAK + code, *words], stdout=DEVNULL, stderr=PIPE)
        assert process.stderr is not None
        said = process.stderr.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(words)}: ended with status {process.returncode}")
        peak = int(said.rpartition("VmHWM:")[2].split()[0]) / 1024
        least, most = min(least, used.ru_utime + used.ru_stime), max(most, peak)
    return least, most


def show(title: str, rows: list[tuple[str, str, list[str]]], turns: int) -> None:
    """Print a table; what needs a package that is not installed is left out."""
    print(f"\n{title}\n{'':44}{'CPU s':>7}{'MB':>7}{'ratio':>7}")
    first = 0.0
    for name, code, words in rows:
        first_words = code.replace(";", " ").split()[:2]
        if first_words[0] == "import" and importlib.util.find_spec(first_words[1]) is None:
            continue
        seconds, memory = measure(code, words, turns)
        first = first or seconds
        print(f"{name:44}{seconds:7.2f}{memory:7.0f}{seconds / first:7.2f}", flush=True)


def of_file(
    kind: str, write: Callable[[Path, int], None], rows: int, others: list[tuple[str, str]], turns: int
) -> None:
    """Write a file and time what reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"log.{kind}"
        write(path, rows)
        size = path.stat().st_size / 1e6
        ours = [("slingshot analyze", SLINGSHOT, ["analyze", str(path)]), ("read_log", READ, [str(path)])]
        show(
            f"{kind}: {rows:,} rows, {size:.0f} MB", ours + [(name, code, [str(path)]) for name, code in others], turns
        )


def csv(turns: int) -> None:
    """Time a table of text."""
    others = [
        ("pandas.read_csv", "import pandas; import sys; pandas.read_csv(sys.argv[1])"),
        ("polars.read_csv", "import polars; import sys; polars.read_csv(sys.argv[1])"),
    ]
    of_file("csv", write_csv, 1_000_000, others, turns)


def jsonl(turns: int) -> None:
    """Time JSON Lines."""
    others = [
        ("json.loads of each line", "import json; import sys; [json.loads(line) for line in open(sys.argv[1])]"),
        ("pandas.read_json", "import pandas; import sys; pandas.read_json(sys.argv[1], lines=True)"),
        ("polars.read_ndjson", "import polars; import sys; polars.read_ndjson(sys.argv[1])"),
    ]
    of_file("jsonl", write_jsonl, 1_000_000, others, turns)


def hdf5(turns: int) -> None:
    """Time a foreign HDF5 file."""
    others = [("h5py", "import h5py; import sys; file = h5py.File(sys.argv[1]); [file[name][:] for name in file]")]
    of_file("h5", write_hdf5, 10_000_000, others, turns)


def window(turns: int) -> None:
    """Time a window of a long trace."""
    from slingshot_analysis import Group, Quantity, TraceWriter

    opening = "import slingshot_analysis; import sys; t = slingshot_analysis.open_trace(sys.argv[1]); "
    with tempfile.TemporaryDirectory() as folder:
        path, table = Path(folder) / "run.h5", curves(3_000_000)
        with TraceWriter(path, [Group("every_1", [Quantity("batch_loss")])]) as writer:
            for start in range(0, 3_000_000, 65_536):
                rows = slice(start, start + 65_536)
                writer.append("every_1", table["step"][rows], batch_loss=table["train_loss"][rows])
        show(
            "a trace of 3,000,000 rows",
            [
                ("open_trace", opening, [str(path)]),
                ("and a window of 1,000 rows", f"{opening}t.window('batch_loss', 10**6, 10**6 + 1000)", [str(path)]),
                ("and the whole signal", f"{opening}t['batch_loss']", [str(path)]),
            ],
            turns,
        )


def many(turns: int) -> None:
    """Time the analysis of a sweep's traces, copied, so that there are a hundred."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["sweep", "--setup", "parity_3_50", "--steps", "6000", "--seeds", "0-9", "--jobs", "1"]
        measure(SLINGSHOT, [*words, "--out", folder], 1)
        sources = sorted(Path(folder).glob("*.h5"))
        files = [source.with_stem(f"{source.stem}-{copy}") for source in sources for copy in range(10)]
        for file in files:
            shutil.copy(file.with_stem(file.stem.rpartition("-")[0]), file)
        rows = [(f"analyze {count} of them", ["analyze", *map(str, files[:count])]) for count in (1, len(files))]
        show("traces of parity_3_50, 6,000 updates", [(name, SLINGSHOT, words) for name, words in rows], turns)


def start(turns: int) -> None:
    """Time commands that have little to do."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        write_csv(path, 200)
        os.environ["SLINGSHOT_CACHE"] = folder
        commands = [["analyze", str(path)], ["inspect", str(path)], ["record", "--help"], ["sweep", "--help"]]
        for verb in ("probes", "setups"):
            measure(SLINGSHOT, [verb], 1)
        rows: list[tuple[str, str, list[str]]] = [("import pandas", "import pandas", [])]
        rows += [(" ".join(words)[:40], SLINGSHOT, words) for words in [*commands, ["probes"], ["setups"]]]
        show("start (probes and setups from the second call on)", rows, turns)


PARTS = {"csv": csv, "jsonl": jsonl, "hdf5": hdf5, "window": window, "many": many, "start": start}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--turns", default=3, show_default=True)
def main(parts: tuple[str, ...], turns: int) -> None:
    """Print a table for each part."""
    for name in parts or PARTS:
        PARTS[name](turns)


if __name__ == "__main__":
    main()
