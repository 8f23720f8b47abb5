from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from outside import outside

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers import read_log
from slingshot_analysis.readers._raw import RawRun
from slingshot_analysis.readers.delimited import DelimitedReader

WIDE = [
    "tnediserp__MIML-grokking/2Adam__Adam_20pct.metrics.csv",
    "tnediserp__MIML-grokking/2Adam__Adam_60pct.metrics.csv",
    "tnediserp__MIML-grokking/3Adam_full_batch__Adam_fullbatch_20pct.metrics.csv",
    "tnediserp__MIML-grokking/4SGD_lr0.001__70.metrics.csv",
    "tnediserp__MIML-grokking/vary_weight_decay__0.1.metrics.csv",
    "tnediserp__MIML-grokking/addition_50pct_MLP__version_13.metrics.csv",
    "porth-bot__grokking-transformer/p97_frac0.30_wd0_seed0.csv",
    "maozy-leo__Reproducing-Grokking-phenomena/Adam_No_WD__alpha_0.6_seed_0.csv",
]


def write(folder: Path, text: str | bytes, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def only(path: Path) -> RawRun:
    assert DelimitedReader().recognizes(path, path.read_bytes()[: 2**16])
    (run,) = DelimitedReader().read(path)
    assert run.name == ""
    return run


def plain(run: RawRun) -> dict[str, list[float]]:
    assert all(column.step is None for column in run.columns.values())
    return {name: column.values.tolist() for name, column in run.columns.items()}


def stepped(run: RawRun) -> dict[str, list[tuple[float, float]]]:
    assert all(column.step is not None for column in run.columns.values())
    return {
        name: list(zip(column.step.tolist(), column.values.tolist(), strict=True))  # type: ignore[union-attr]
        for name, column in run.columns.items()
    }


@pytest.mark.parametrize("name", WIDE)
def test_a_real_wide_table_is_read_as_the_csv_module_reads_it(name: str) -> None:
    path = outside(f"logs/{name}")
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    run = only(path)
    assert list(run.columns) == header
    expected = np.array([[float(cell) if cell else math.nan for cell in row] for row in rows])
    np.testing.assert_array_equal(np.array([column.values for column in run.columns.values()]).T, expected)


def test_a_real_table_without_header_or_commas() -> None:
    path = outside("logs/LeoDreamer2004__Modular-Addition/accuracy-adam-0.5-2.txt")
    expected = np.array([[float(word) for word in line.split()] for line in path.read_text().splitlines()])
    run = only(path)
    assert list(run.columns) == ["column_0", "column_1", "column_2"]
    np.testing.assert_array_equal(np.array(list(plain(run).values())).T, expected)


def test_a_real_long_table_gives_a_column_for_each_split_metric_and_layer() -> None:
    path = outside("logs/SantyJ__grokking_under_dp/bs512_clipping.metrics.csv")
    expected: dict[str, list[tuple[float, float]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            name = "/".join(filter(None, [row["input_type"], row["metric_name"], row["layer"]]))
            expected.setdefault(name, []).append((float(row["epoch"]), float(row["value"])))
    found = stepped(only(path))
    assert found == expected
    assert len(found["general/weights_l2/_module.layers.0.weight"]) == 40


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", "   "])
def test_each_separator(tmp_path: Path, separator: str) -> None:
    text = "step,train_loss,val_loss\n0,4.5,5.25\n10,1e-3,inf\n20,nan,-2\n".replace(",", separator)
    found = plain(only(write(tmp_path, text, "log.txt")))
    assert found["step"] == [0.0, 10.0, 20.0]
    np.testing.assert_array_equal(found["train_loss"], [4.5, 1e-3, math.nan])
    np.testing.assert_array_equal(found["val_loss"], [5.25, math.inf, -2.0])


def test_decimal_commas(tmp_path: Path) -> None:
    assert plain(only(write(tmp_path, "step;loss\n0;4,5\n1;0,25\n"))) == {"step": [0, 1], "loss": [4.5, 0.25]}


@pytest.mark.parametrize(("separator", "quote"), [("\t", ""), (",", '"')])
def test_decimal_commas_beside_other_separators(tmp_path: Path, separator: str, quote: str) -> None:
    rows = [("0", "1,5", "3"), ("5", "0,25", "1,125"), ("9", "-1,5e-3", "0,001")]
    lines = [separator.join(f"{quote}{cell}{quote}" for cell in row) for row in (("step", "loss", "norm"), *rows)]
    run = only(write(tmp_path, "\n".join(lines)))
    assert plain(run) == {"step": [0, 5, 9], "loss": [1.5, 0.25, -0.0015], "norm": [3, 1.125, 0.001]}
    assert list(run.notes) == ["'loss': commas are decimal points", "'norm': commas are decimal points"]


def test_commas_between_thousands(tmp_path: Path) -> None:
    rows = ['"900","1,250","1,000.5",0.5,"1,2"', '"1,000","2,500","2,000.5",0.25,"1,2,3"']
    run = only(write(tmp_path, "\n".join(["step,norm,tokens,loss,shape", *rows])))
    found = plain(run)
    assert np.isnan(found.pop("norm")).all()
    assert found == {"step": [900, 1000], "tokens": [1000.5, 2000.5], "loss": [0.5, 0.25]}
    assert list(run.notes)[:3] == [
        "'step': commas separate thousands",
        "'norm': commas may be decimal points or separate thousands, as in '1,250'; 2 cells count as missing",
        "'tokens': commas separate thousands",
    ]


@pytest.mark.parametrize(
    ("name", "cells", "values"),
    [
        ("train_errors", ["3,000", "2,983"], [3000, 2983]),
        ("tokens_seen", ["3,000", "2,983"], [3000, 2983]),
        ("wrong", ["1,011", "994"], [1011, 994]),
        ("norm", ["1,011", "0,994"], [1.011, 0.994]),
        ("loss_per_tokens", ["1,011", "1,012"], [math.nan, math.nan]),
        ("norm", ["1,011", "3.5"], [1011, 3.5]),
    ],
)
def test_commas_that_may_be_decimal_points(tmp_path: Path, name: str, cells: list[str], values: list[float]) -> None:
    rows = "".join(f'{step},0.5,"{cell}"\n' for step, cell in enumerate(cells))
    run = only(write(tmp_path, f"step,loss,{name}\n{rows}"))
    np.testing.assert_array_equal(run.columns[name].values, values)


def test_what_pandas_wrote_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).lognormal(size=(500, 3), sigma=20), columns=["a", "b", "c"])
    for name, options in {"a.csv": {}, "a.tsv": {"sep": "\t"}, "a.csv.gz": {}}.items():
        frame.to_csv(tmp_path / name, **options)  # type: ignore[call-overload]
        found = plain(only(tmp_path / name))
        assert list(found) == ["column_0", "a", "b", "c"]
        assert all(found[column] == frame[column].tolist() for column in "abc")


def test_what_numpy_wrote_with_its_commented_header(tmp_path: Path) -> None:
    table = np.array([[0, 4.5], [100, 0.1 + 0.2]])
    np.savetxt(tmp_path / "log.dat", table, header="made by hand\nstep loss", fmt="%.17g")
    assert plain(only(tmp_path / "log.dat")) == {"step": [0.0, 100.0], "loss": [4.5, 0.1 + 0.2]}
    np.savetxt(tmp_path / "bare.dat", table, fmt="%.17g")
    assert plain(only(tmp_path / "bare.dat")) == {"column_0": [0.0, 100.0], "column_1": [4.5, 0.1 + 0.2]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, "step,lossé\n0,1.5\n1,0.5\n".encode(encoding))
    assert plain(only(path)) == {"step": [0.0, 1.0], "lossé": [1.5, 0.5]}


def test_a_repeated_name_keeps_both_columns(tmp_path: Path) -> None:
    run = only(write(tmp_path, "step,loss,loss,loss (2)\n0,1,2,3\n1,4,5,6\n"))
    assert plain(run) == {"step": [0, 1], "loss": [1, 4], "loss (3)": [2, 5], "loss (2)": [3, 6]}
    assert "the header names 'loss' 2 times" in run.notes[0]


def test_a_separator_in_quotation_marks_separates_no_fields(tmp_path: Path) -> None:
    run = only(write(tmp_path, 'step,note,loss\n0,a,3\n1,"b, c",2\n2,d,1\n'))
    assert plain(run) == {"step": [0, 1, 2], "loss": [3, 2, 1]}


def test_parts_with_different_headers_are_joined_by_the_names_of_columns(tmp_path: Path) -> None:
    run = only(write(tmp_path, "step,loss\n0,1\n1,2\nstep,acc\n2,3\n3,4\n"))
    np.testing.assert_array_equal(run.columns["acc"].values, [math.nan, math.nan, 3, 4])
    assert list(run.notes) == ["the header changes in line 4: the parts are joined by the names of their columns"]


def test_repeated_headers_and_rows_of_an_appended_restart(tmp_path: Path) -> None:
    run = only(write(tmp_path, "step,loss\n0,1\n1,2\nstep,loss\n1,2\n2,3\nstep,loss\n"))
    assert plain(run) == {"step": [0, 1, 1, 2], "loss": [1, 2, 2, 3]}
    assert list(run.notes) == [
        "repeated header lines skipped: 2",
        "rows that repeat an earlier row exactly: 1; they are left in",
    ]


def test_text_is_an_attribute_if_constant_and_left_out_if_not(tmp_path: Path) -> None:
    run = only(write(tmp_path, "step,name,when,done,loss\n0,adam,mon,False,1%\n1,adam,tue,True,57%\n"))
    assert plain(run) == {"step": [0, 1], "done": [0, 1], "loss": [0.01, 0.57]}
    assert run.attributes == {"name": "adam"}
    assert list(run.notes) == [
        "'loss': written with %, divided by 100",
        "columns left out, being text or beside the values of a long table: 'when'",
    ]


def test_a_stray_word_among_numbers_is_missing(tmp_path: Path) -> None:
    run = only(write(tmp_path, "step,loss\n0,1\n1,oops\n2,-\n3,4\n"))
    np.testing.assert_array_equal(run.columns["loss"].values, [1, math.nan, math.nan, 4])
    assert list(run.notes) == ["'loss': 1 cells are no numbers and count as missing, first 'oops'"]


def test_seeds_become_runs(tmp_path: Path) -> None:
    runs = DelimitedReader().read(write(tmp_path, "seed,step,loss\n3,0,1\n3,10,2\n5,0,3\n5,10,4\n"))
    assert [run.name for run in runs] == ["seed 3", "seed 5"]
    assert [run.attributes for run in runs] == [{"seed": 3}, {"seed": 5}]
    assert [plain(run) for run in runs] == [{"step": [0, 10], "loss": [1, 2]}, {"step": [0, 10], "loss": [3, 4]}]


def test_interleaved_seeds_and_named_runs_become_runs(tmp_path: Path) -> None:
    runs = DelimitedReader().read(write(tmp_path, "run,seed,step,loss\na,0,0,1\nb,1,0,2\na,0,9,3\nb,1,9,4\n"))
    assert [(run.name, plain(run)["loss"]) for run in runs] == [("run a, seed 0", [1, 3]), ("run b, seed 1", [2, 4])]


def test_parts_of_a_resumed_run_stay_one_run(tmp_path: Path) -> None:
    run = only(write(tmp_path, "run,step,loss\n0,0,1\n0,10,2\n1,20,3\n1,30,4\n"))
    assert plain(run) == {"run": [0, 0, 1, 1], "step": [0, 10, 20, 30], "loss": [1, 2, 3, 4]}


def test_a_constant_seed_is_an_attribute(tmp_path: Path) -> None:
    run = only(write(tmp_path, "seed,step,loss\n7,0,1\n7,1,2\n"))
    assert (plain(run), run.attributes) == ({"step": [0, 1], "loss": [1, 2]}, {"seed": 7})


def test_numbers_beside_the_values_of_a_long_table_are_left_out(tmp_path: Path) -> None:
    text = "step,metric,value,noise\n" + "".join(f"{k},{name},{k},9\n" for k in range(3) for name in ("loss", "acc"))
    run = only(write(tmp_path, text))
    assert list(run.columns) == ["loss", "acc"]
    assert list(run.notes) == ["columns left out, being text or beside the values of a long table: 'noise'"]


def test_a_long_table_with_seeds_and_epochs(tmp_path: Path) -> None:
    text = "seed,epoch,step,metric,value\n" + "".join(
        f"{seed},{step / 10},{step},{metric},{seed + step}\n"
        for seed in (0, 1)
        for step in (0, 10)
        for metric in ("train/loss", "acc")
    )
    runs = DelimitedReader().read(write(tmp_path, text))
    assert [run.name for run in runs] == ["seed 0", "seed 1"]
    assert stepped(runs[1]) == {
        "train/loss": [(0, 1), (10, 11)],
        "acc": [(0, 1), (10, 11)],
        "epoch": [(0, 0), (10, 1)],
    }


def test_one_row_a_split(tmp_path: Path) -> None:
    text = "step,split,loss,lr\n0,train,4,0.1\n0,test,5,\n10,train,2,0.2\n20,test,3,\n"
    assert stepped(only(write(tmp_path, text))) == {
        "train/loss": [(0, 4), (10, 2)],
        "train/lr": [(0, 0.1), (10, 0.2)],
        "test/loss": [(0, 5), (20, 3)],
    }


def test_rows_with_an_index_or_a_last_separator(tmp_path: Path) -> None:
    assert plain(only(write(tmp_path, "step,loss\n0,1,\n1,2,\n"))) == {"step": [0, 1], "loss": [1, 2]}
    assert plain(only(write(tmp_path, "step loss\n1 0 5\n2 1 6\n", "r.txt"))) == {
        "column_0": [1, 2],
        "step": [0, 1],
        "loss": [5, 6],
    }


def test_a_row_cut_short_at_the_end_is_left_out(tmp_path: Path) -> None:
    run = only(write(tmp_path, "step,loss,acc\n0,1,2\n1,2,3\n2,4."))
    assert plain(run) == {"step": [0, 1], "loss": [1, 2], "acc": [2, 3]}
    assert list(run.notes) == ["line 4 is cut short and was left out; the writer was killed"]


def test_a_last_row_with_a_line_end_was_not_cut(tmp_path: Path) -> None:
    run = only(write(tmp_path, "step,loss,acc\n0,1,2\n1,2,3\n2,4\n"))
    assert plain(run)["loss"] == [1, 2, 4]
    np.testing.assert_array_equal(run.columns["acc"].values, [2, 3, math.nan])
    assert list(run.notes) == [
        "rows with fewer than 3 fields: 1, first in line 4; those at their ends count as missing"
    ]


def test_a_whole_last_row_needs_no_line_end(tmp_path: Path) -> None:
    run = only(write(tmp_path, "step,loss,acc\n0,1,2\n1,2,3\n2,4,5"))
    assert plain(run) == {"step": [0, 1, 2], "loss": [1, 2, 4], "acc": [2, 3, 5]}
    assert list(run.notes) == []


def test_the_only_row_is_kept_though_it_is_cut(tmp_path: Path) -> None:
    run = only(write(tmp_path, "step,loss,acc\n0,1"))
    assert {name: column.values[0] for name, column in run.columns.items()}["loss"] == 1


def test_short_rows_within_are_filled_and_noted(tmp_path: Path) -> None:
    run = only(write(tmp_path, "step,loss,acc\n0,1,2\n1,2\n2,4,5\n3,6,7\n4,8,9\n5,1,1\n"))
    np.testing.assert_array_equal(run.columns["acc"].values, [2, math.nan, 5, 7, 9, 1])
    assert list(run.notes) == [
        "rows with fewer than 3 fields: 1, first in line 3; those at their ends count as missing"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "this is a binary file, not text"),
        (b"<!DOCTYPE html>\n<html><body>404, 1, 2</body></html>\n", "line 1: this is a web page"),
        (b"step,loss\n", "has one line and no table"),
        (b"hello\nthis is prose, not a log\nand goes on\n", "holds no table of numbers"),
        (b"name,color\na,red\nb,blue\n", "holds no table of numbers"),
        (b"step,loss\n0,1\n1,2\n2,3,4,5\n3,4\n4,5\n5,6\n6,7\n", "line 4: has 4 fields where 2 are expected"),
        (b"seed,name\n1,a\n1,a\n", "no column but seed, name holds numbers"),
        (b'step,loss\n0,1\n1,2\n2,"3\n3,4\n4,5\n', "can't be read as a table"),
        (b"metric,value\nloss,1\nacc,2\n", "row for each value but no column of steps"),
        (gzip.compress(b"step,loss\n0,1\n" * 500, mtime=0)[:40], "the compressed file is damaged or cut short"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        DelimitedReader().read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("step,loss\n", "has one line and no table"),
        ("\n\n\n", "the file is empty"),
        ("so it\nwent on\n", "holds no table"),
    ],
)
def test_a_table_that_holds_nothing_is_refused_for_that(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_log(write(tmp_path, content))


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_header_longer_than_the_head_of_a_file(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    header = ",".join(["step", "train_loss", *(f"an activation of unit {unit}" for unit in range(4000))])
    rows = [",".join([str(row), str(1 / (1 + row)), *["0.125"] * 4000]) for row in range(4)]
    (run,) = read_log(write(tmp_path, compress("\n".join([header, *rows]).encode()), "log.csv"))
    assert run["train_loss"].value.tolist() == [1 / (1 + row) for row in range(4)]


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder"):
        DelimitedReader().read(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        DelimitedReader().read(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.csv", b""),
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("a.csv", b"<html>\n<p>1,2</p>\n<p>1,2</p>\n"),
        ("a.txt", b"the run was fine, I think, on 3 May\nand it went on\n"),
        ("a.log", b"s:0 trl:11.0091 lr:0.000001 norm:15.37\ns:1 trl:10.9 lr:0.000002 norm:15.24\n"),
        ("a.log", b" iteration 100/ 500 | consumed samples: 512 | lm loss: 6.8E+00 | grad norm: 1.2 |\n" * 3),
        ("a.txt", b'{"step": 1, "loss": 2}\n{"step": 2, "loss": 3}\n'),
        ("a.py", b"1,2\n3,4\n"),
    ],
)
def test_what_is_not_recognized(name: str, head: bytes) -> None:
    assert not DelimitedReader().recognizes(Path(name), head)


def test_a_cut_anywhere_gives_a_run_or_an_input_error(tmp_path: Path) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerows([["step", "loss", "note"], *([step, 1 / (step + 1), 'a "b", c'] for step in range(4))])
    for compress in (bytes, gzip.compress):
        data = compress(stream.getvalue().encode())
        outcomes = set()
        for end in range(len(data)):
            try:
                DelimitedReader().read(write(tmp_path, data[:end]))
                outcomes.add("read")
            except InputError:
                outcomes.add("refused")
        assert outcomes == ({"read", "refused"} if compress is bytes else {"refused"})


def test_between_semicolons_commas_are_decimal_unless_there_is_a_point(tmp_path: Path) -> None:
    assert plain(only(write(tmp_path, "step;loss\n0;1,250\n1;2,125\n")))["loss"] == [1.25, 2.125]
    other = plain(only(write(tmp_path, "step;loss;norm\n0;1,250;4\n1;2,125;0.25\n")))
    assert other["norm"] == [4, 0.25]
    assert other.get("loss") != [1.25, 2.125]
