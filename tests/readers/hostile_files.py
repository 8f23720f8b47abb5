"""Files that are damaged, or made to do harm: each function writes one into a folder and returns its path.

`SCALE` says how large those are that are only too large; most tests keep it small and lower the limits with it.
"""

import gzip
import io
import itertools
import json
import os
import sqlite3
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np

from slingshot_analysis.crc32c import masked_checksums

SCALE = 1
ROWS = 200
STEPS = np.arange(ROWS)
LOSSES = 2.5 / (1 + STEPS)
ESCAPES = "\x1b[2J\x1b]0;title\x07"


def table(rows=ROWS, header="step,train_loss", line="{0},{1}"):
    return "\n".join([header, *(line.format(step, 2.5 / (1 + step)) for step in range(rows))]) + "\n"


def wide(header):
    """Return a table of five rows with the columns of a header beside a step."""
    return f"step,{header}\n" + ("1," * header.count(",") + "1,1\n") * 5


def lines(records):
    return "".join(f"{json.dumps(record)}\n" for record in records)


def text(name, content):
    """Return a writer of a file; content that depends on the scale is a function."""

    def write(folder):
        path = folder / name
        made = content() if callable(content) else content
        path.write_bytes(made if isinstance(made, bytes) else made.encode("utf-8", "surrogatepass"))
        return path

    return write


def hdf5(change):
    """Return a writer of an HDF5 file of another program, which `change` makes hostile."""

    def write(folder):
        path = folder / "log.h5"
        with h5py.File(path, "w") as file:
            file["step"], file["train_loss"] = STEPS, LOSSES
            change(file, folder)
        return path

    return write


def outside(file, folder):
    (folder / "secret.bin").write_bytes(np.arange(ROWS, dtype=np.float64).tobytes())
    file.create_dataset("val_accuracy", (ROWS,), "f8", external=[(str(folder / "secret.bin"), 0, 8 * ROWS)])


def endless(file, folder):
    file.create_dataset("val_accuracy", (10**12,), "f8", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])


def virtual(file, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["x"] = LOSSES
    layout = h5py.VirtualLayout((ROWS,), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", (ROWS,))
    file.create_virtual_dataset("val_accuracy", layout)


def linked(file, folder):
    file["val_accuracy"] = h5py.ExternalLink("/dev/zero", "/x")
    file["nowhere"] = h5py.SoftLink("/not/there")
    file["itself"] = h5py.SoftLink("/itself")


def cyclic(file, folder):
    group = file.create_group("a/b/c")
    group["back"] = file["a"]
    group["top"] = file["/"]


def declared(file, folder):
    file.create_dataset("val_loss", (10**12,), "f8", chunks=(10**4,), compression="gzip")


def nested(file, folder):
    group = file
    for _ in range(150 * SCALE):
        group = group.create_group("g")
    group["loss"] = LOSSES


def many_groups(file, folder):
    for number in range(150 * SCALE):
        file[f"run_{number}/loss"] = LOSSES[:5]
        file[f"run_{number}/step"] = STEPS[:5]


def many_datasets(file, folder):
    for number in range(500 * SCALE):
        file[f"metrics/m{number}"] = LOSSES[:10]


def odd_attributes(file, folder):
    file.attrs["text"] = np.bytes_(b"\xff\xfe")
    file.attrs["empty"] = h5py.Empty("f8")
    file.attrs["escapes"] = ESCAPES
    file.attrs["reference"] = file["step"].ref
    file[f"bad{ESCAPES}"] = LOSSES


def npz_bomb(folder):
    """Write few bytes that declare gigabytes."""
    path = folder / "bomb.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**9,)})
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("loss.npy", "w", force_zip64=True) as out,
    ):
        out.write(header.getvalue())
        zeros = bytes(1 << 21)
        for _ in range(64 * SCALE):
            out.write(zeros)
    return path


def gzip_bomb(folder):
    path = folder / "log.csv.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(b"step,loss\n")
        zeros = b"0" * (1 << 21)
        for _ in range(64 * SCALE):
            file.write(zeros)
    return path


def parquet_bomb(folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "log.parquet"
    batch = pa.table({"step": pa.array(np.zeros(200_000)), "loss": pa.array(np.zeros(200_000))})
    with pq.ParquetWriter(path, batch.schema) as writer:
        for _ in range(40 * SCALE):
            writer.write_table(batch)
    return path


def database(*statements):
    def write(folder):
        path = folder / "mlflow.db"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE metrics (key, value, run_uuid, step, is_nan)")
            connection.execute("CREATE TABLE runs (run_uuid, name, lifecycle_stage, experiment_id)")
            connection.execute("INSERT INTO runs VALUES ('r', ?, 'active', 0)", [f"run {ESCAPES}"])
            rows = [("train_loss", loss, "r", step, 0) for step, loss in enumerate(LOSSES.tolist())]
            connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?)", rows)
            for statement in statements:
                connection.execute(statement)
        return path

    return write


ENDLESS_VIEW = (
    "ALTER TABLE metrics RENAME TO m",
    "CREATE VIEW metrics AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
    "SELECT 'a' AS key, x AS value, 'r' AS run_uuid, x AS step, 0 AS is_nan FROM c",
)


def link_to(target):
    def write(folder):
        path = folder / "events.out.tfevents.1.host"
        path.symlink_to(target)
        return path

    return write


def link_to_itself(folder):
    path = folder / "log.csv"
    path.symlink_to(path)
    return path


def pipe(folder):
    os.mkfifo(folder / "log.csv")
    return folder / "log.csv"


def sparse(name):
    def write(folder):
        path = folder / name
        with path.open("wb") as file:
            file.write(b"step,loss\n0,1\n")
            file.truncate(1 << 40)
        return path

    return write


DATA = Path(__file__).parent / "data"


def damaged(source, change):
    """Return a writer of a copy of a sound file of the tests with its bytes changed."""

    def write(folder):
        found = min(DATA.glob(source))
        path = folder / found.name
        path.write_bytes(change(found.read_bytes()))
        return path

    return write


def half(data):
    return data[: len(data) // 2]


def flipped(data):
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def endless_record(data):
    """Declare a record of 2^63 bytes, with the right checksum of that length."""
    head = struct.pack("<Q", 1 << 63)
    checksum = masked_checksums(np.frombuffer(head, np.uint8), np.array([0]), np.array([8]))
    return data + head + checksum.astype("<u4").tobytes() + data[:100]


def zeros_inside(data):
    place = len(data) // 3
    return data[:place] + bytes(64) + data[place + 64 :]


def many_records(data):
    """Repeat the records of a W&B file after its head and first block."""
    return data + data[7:] * SCALE


def npz(**arrays):
    def write():
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    return write


def parquet_rows(folder):
    """Write a Parquet file whose footer declares a row group of 2^40 rows, in place of 200."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "log.parquet"
    pq.write_table(pa.table({"step": STEPS, "loss": LOSSES}), path)
    data = path.read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    rows, many = _varint(2 * ROWS), _varint(2 << 40)
    footer = data[-8 - length : -8].replace(b"\x16" + rows, b"\x16" + many)
    path.write_bytes(data[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    return path


def _varint(number):
    found = b""
    while number >= 128:
        found += bytes([number % 128 + 128])
        number //= 128
    return found + bytes([number])


def tree(make):
    """Return a writer of a folder."""

    def write(folder):
        path = folder / "runs"
        path.mkdir()
        make(path)
        return path

    return write


def loops(path):
    (path / "a").mkdir()
    (path / "a/up").symlink_to(path)
    (path / "a/self").symlink_to(path / "a/self")
    (path / "a/log.csv").write_text(table())


def deep(path):
    for _ in range(300):
        path = path / "d"
    path.mkdir(parents=True)
    (path / "log.csv").write_text(table())


def odd_entries(path):
    (path / "log.csv").mkdir()
    os.mkfifo(path / "pipe.csv")
    (path / "zeros.csv").symlink_to("/dev/zero")
    (path / f"b{ESCAPES.replace('/', '')}\n.csv").write_text(table())
    (path / "c.csv").write_bytes(b"\xff\xfe\x00")


def many_files(path):
    for number in range(50 * SCALE):
        (path / f"m{number}.csv").write_text("step,loss\n1,2\n")


def mlruns(path):
    """Write an MLflow run whose description is a YAML file that expands without end."""
    run = path / "0" / "r1"
    (run / "metrics").mkdir(parents=True)
    names = "abcdefghij"
    laughs = "\n".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in itertools.pairwise(names))
    (run / "meta.yaml").write_text(f"a: &a [lol, lol]\n{laughs}\nrun_id: r1\nrun_name: *j\nlifecycle_stage: active\n")
    (run / "metrics" / "train_loss").write_text("".join(f"1 {loss} {step}\n" for step, loss in enumerate(LOSSES)))


NAMES = [
    f"train_loss{ESCAPES}",
    "../../etc/passwd",
    "=1+1",
    "\ud800",
    "a" * 10**6,
    "\u202eloss",
    "%n%s",
    "[/red]",
    "loss\nloss",
]

HOSTILE = {
    "external storage": hdf5(outside),
    "external storage without end": hdf5(endless),
    "virtual dataset": hdf5(virtual),
    "links": hdf5(linked),
    "groups that hold themselves": hdf5(cyclic),
    "declared rows": hdf5(declared),
    "nested groups": hdf5(nested),
    "many groups": hdf5(many_groups),
    "many datasets": hdf5(many_datasets),
    "odd attributes": hdf5(odd_attributes),
    "npz bomb": npz_bomb,
    "gzip bomb": gzip_bomb,
    "parquet bomb": parquet_bomb,
    "database": database(),
    "endless view": database(*ENDLESS_VIEW),
    "virtual table": database("ALTER TABLE metrics RENAME TO m", "CREATE VIRTUAL TABLE metrics USING fts5(key)"),
    "steps that are text": database("UPDATE metrics SET step = 'x'"),
    "link to zeros": link_to("/dev/zero"),
    "link to itself": link_to_itself,
    "link to nothing": link_to("/not/there"),
    "pipe": pipe,
    "terabyte of nothing": sparse("log.csv"),
    "terabyte of nothing, jsonl": sparse("log.jsonl"),
    "terabyte of nothing, npz": sparse("log.npz"),
    "nested json": text("log.json", "[" * 10**6 + "]" * 10**6),
    "nested objects": text("log.json", '{"a":' * 10**5 + "1" + "}" * 10**5),
    "nested line": text("log.jsonl", '{"step":1,"loss":1}\n{"step":2,"loss":' + "[" * 10**5 + "\n"),
    "nested in bounds": text("log.json", '{"a":' * 400 + json.dumps({"loss": LOSSES.tolist()}) + "}" * 400),
    "long integer": text("log.jsonl", lines([{"step": 1, "loss": 1}]) + '{"step": 2, "loss": ' + "9" * 10**5 + "}\n"),
    "large steps": text("log.jsonl", lines({"step": 10**k, "loss": 1.0} for k in range(300))),
    "steps beyond float64": text("log.csv", table(line="{0}e305,{1}")),
    "infinite steps": text("log.csv", table(line="inf,{1}")),
    "nan steps": text("log.csv", table(line="nan,{1}")),
    "negative steps": text("log.csv", table(line="-{0},{1}")),
    "losses at the edge": text("log.csv", table(line="{0},1.79e308")),
    "denormal losses": text("log.csv", table(line="{0},5e-324")),
    "all nan": text("log.csv", table(line="{0},nan")),
    "names in json": text(
        "log.jsonl", lines({"step": k, "loss": 1 / (1 + k), **dict.fromkeys(NAMES, k)} for k in range(20))
    ),
    "names in a header": text("log.csv", table(header="step,train_loss," + ESCAPES, line="{0},{1},{0}")),
    "run names": text("log.csv", table(header="run,step,train_loss", line=f"=cmd{ESCAPES}../x,{{0}},{{1}}")),
    "text cells": text("log.csv", table(header="step,train_loss,note", line=f"{{0}},{{1}},{ESCAPES}")),
    "half a surrogate pair": text("log.csv", table(header="step,train_loss,\ud800", line="{0},{1},{0}")),
    "null bytes": text("log.csv", table().replace("5", "\0")),
    "no line end": text("log.csv", lambda: "1,2," * 10**5 * SCALE),
    "quotes without end": text("log.csv", 'step,loss\n0,"1\n' + "1,2\n" * 1000),
    "only quotes": text("log.csv", '"' * 10**6),
    "long cell": text("log.csv", lambda: table() + '9999,"' + "x" * 5_000_000 * SCALE + '"\n'),
    "long line of text": text("log.txt", lambda: "x" * 5_000_000 * SCALE + "\n" + table()),
    "many columns": text("log.csv", lambda: wide(",".join(f"m{k}" for k in range(1000 * SCALE)))),
    "same columns": text("log.csv", lambda: wide(",".join(["loss"] * 1000 * SCALE))),
    "empty json": text("log.json", "{}"),
    "json of nothing": text("log.json", '{"loss": [[], [[]], {}], "step": null}'),
    "list of numbers and lists": text("log.json", '{"loss": [1, [2], {"a": 3}], "step": [1, 2, 3]}'),
    "npy of objects": text(
        "log.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (3,), }" + b" " * 57 + b"\n"
    ),
    "npy header that is code": text(
        "log.npy", b"\x93NUMPY\x01\x00v\x00" + b"__import__('os').system('true')".ljust(117) + b"\n"
    ),
    "column of a million names": text("log.csv", lambda: wide(",".join(f"m{k}" for k in range(50_000 * SCALE)))),
    "million keys": text("log.json", lambda: json.dumps({f"k{k}": {"a": k} for k in range(15_000 * SCALE)})),
    "million keys of lists": text("log.json", lambda: json.dumps({f"k{k}": [1, 2, 3] for k in range(4000 * SCALE)})),
    "keys that differ in each line": text(
        "log.jsonl", lambda: lines({"step": k, f"m{k}": 1} for k in range(3000 * SCALE))
    ),
    "json of one long line": text("log.jsonl", lambda: json.dumps({"step": 1, "loss": "x" * 5_000_000 * SCALE}) + "\n"),
    "json in latin-1": text("log.json", b'{"loss": [1, 2, 3], "n\xe9": [1, 2, 3]}'),
    "bytes that are no UTF-8": text("log.csv", table().encode() + b"\xff\xfe\xc3\x28,1\n"),
    "utf-16 cut short": text("log.csv", b"\xff\xfe" + table().encode("utf-16-le")[:-1]),
    "many kinds of lines": text(
        "log.txt",
        lambda: "".join(
            f"{chr(97 + k % 26)}{'qz' * (k % 97)}{k % 89 * 'y'} loss {k} {k}\n" for k in range(4000 * SCALE)
        ),
    ),
    "many numbers in a line": text("log.txt", lambda: ("loss: " + "1 " * 100_000 * SCALE + "\n") * 3),
    "many names in a line": text(
        "log.txt",
        lambda: (
            ("step: 1 " + " ".join(f"{'ab' * (k % 50)}{chr(97 + k % 26)}: 1" for k in range(20_000 * SCALE)) + "\n") * 3
        ),
    ),
    "brackets": text("log.txt", lambda: ("[" * 100_000 * SCALE + " loss 1 " + "]" * 1000 + "\n") * 5),
    "blanks": text("log.txt", lambda: ("loss" + " " * 500_000 * SCALE + "1\n") * 5),
    "signs": text("log.txt", lambda: ("loss: " + "-" * 500_000 * SCALE + "1\n") * 5),
    "digits": text("log.txt", lambda: "".join(f"step {k} loss: {'9' * 200_000 * SCALE}\n" for k in range(5))),
    "long numbers": text("log.txt", lambda: "".join(f"step {k} loss: {'1.' * 200_000 * SCALE}\n" for k in range(5))),
    "escapes": text("log.txt", lambda: "\x1b[" + "0;" * 300_000 * SCALE + table()),
    "carriage returns": text(
        "log.txt", lambda: "".join(f"\rstep {k} loss {1 / (1 + k):.3f}" for k in range(20_000 * SCALE))
    ),
    "backspaces": text("log.txt", lambda: "1/2 loss: 3" + "\b" * 1_000_000 * SCALE + "2/2 loss: 2\n"),
    "event file cut in half": damaged("tensorboard/**/events*", half),
    "event file with a flipped byte": damaged("tensorboard/**/events*", flipped),
    "event file with a record of 2^63 bytes": damaged("tensorboard/**/events*", endless_record),
    "W&B file cut in half": damaged("wandb/**/*.wandb", half),
    "W&B file with a flipped byte": damaged("wandb/**/*.wandb", flipped),
    "W&B file with zeros": damaged("wandb/**/*.wandb", zeros_inside),
    "W&B file many times": damaged("wandb/**/*.wandb", many_records),
    "Trackio file cut in half": damaged("trackio/**/*.db", half),
    "Trackio file with zeros": damaged("trackio/**/*.db", zeros_inside),
    "npz cut in half": text("log.npz", lambda: half(npz(step=STEPS, loss=LOSSES)())),
    "npz with a flipped byte": text("log.npz", lambda: flipped(npz(step=STEPS, loss=LOSSES)())),
    "npy cut in half": text("log.npy", lambda: half(npz(loss=LOSSES)())),
    "gzip cut in half": text("log.csv.gz", lambda: half(gzip.compress(table().encode()))),
    "gzip in gzip": text("log.csv.gz", lambda: gzip.compress(gzip.compress(table().encode()))),
    "parquet cut in half": text("log.parquet", b"PAR1" + bytes(500)),
    "parquet that declares rows": parquet_rows,
    "HDF5 cut in half": text("log.h5", b"\x89HDF\r\n\x1a\n" + bytes(500)),
    "notebook of nothing": text(
        "log.ipynb", '{"cells": [{"outputs": [{"text": {"a": 1}}, 3, null]}, null, 7], "x": 1}'
    ),
    "notebook of other things": text("log.ipynb", '{"cells": 5, "worksheets": [[1]]}'),
    "folder with loops": tree(loops),
    "deep folders": tree(deep),
    "odd entries": tree(odd_entries),
    "many files": tree(many_files),
    "YAML that expands": tree(mlruns),
    "names table": text("log.txt", "\n".join("a" * k for k in range(1000))),
}
"""Writers of hostile files, by what is wrong with them."""
