"""The quick reader of plain tables gives what the careful one gives, or leaves the table to it."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slingshot_analysis import InputError
from slingshot_analysis.readers import delimited
from slingshot_analysis.readers._parts import plain_tables
from slingshot_analysis.readers._parts.text_file import decoded
from slingshot_analysis.readers.delimited import DelimitedReader

PATH = Path("log.csv")
NUMBERS = st.one_of(
    st.floats(width=64).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.floats(-10, 10).map(lambda number: f"{number:.3f}"),
)
ODD = st.sampled_from(
    ["", "nan", "NaN", "-inf", "Infinity", "1.", ".5", "+3", "1e400", "-", "x", "1e", "0x1", " 2", "50%", "NA"]
)
CELLS = st.one_of(NUMBERS, NUMBERS, NUMBERS, ODD)


@st.composite
def tables(draw):
    """Draw a table of text that is mostly plain."""
    width = draw(st.integers(1, 4))
    separator = draw(st.sampled_from([",", ",", ";", "\t", ", "]))
    names = draw(
        st.lists(st.sampled_from(["step", "loss", "val loss", "", "e", "seed", "loss"]), min_size=width, max_size=width)
    )
    plain = draw(st.booleans())
    rows = draw(
        st.lists(st.lists(NUMBERS if plain else CELLS, min_size=width, max_size=width), min_size=1, max_size=12)
    )
    if draw(st.integers(0, 3)) == 0:
        rows = [row[: draw(st.integers(1, width))] for row in rows]
    lines = [separator.join(row) for row in rows]
    if draw(st.booleans()):
        lines.insert(0, separator.join(names))
    if draw(st.integers(0, 3)) == 0:
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(["", "# note", lines[0]])))
    end = draw(st.sampled_from(["\n", "\n", ""]))
    return (draw(st.sampled_from(["\n", "\r\n"])).join(lines) + end).encode()


def outcome(read):
    """Return all that a reader says of a table."""
    try:
        (run,) = read()
    except InputError as error:
        return str(error)
    columns = {
        name: (np.nan_to_num(column.values, nan=-1.5).tolist(), column.missing.tolist(), column.logged.tolist())
        for name, column in run.columns.items()
    }
    return list(columns), columns, dict(run.attributes), list(run.notes)


@settings(max_examples=400, deadline=None)
@given(tables(), st.booleans(), st.sampled_from([1, 40, 1 << 22]))
def test_the_quick_reader_gives_what_the_careful_one_gives(data, large, most):
    if not data.strip():
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_tables, "FEW_BYTES", 0 if large else 1 << 18)
        patch.setattr(plain_tables, "MOST_BYTES", most)
        quick = delimited._plain(io.BytesIO(data))
    if quick is not None:
        assert outcome(lambda: [quick]) == outcome(lambda: DelimitedReader()._carefully(PATH, decoded(PATH, data)))


@pytest.mark.parametrize(
    "data",
    [
        b"step,loss\n1,0.5\n2,0.25\n",
        b"step,loss,val\r\n1,0.5,\r\n2,nan,3\r\n",
        b"\xef\xbb\xbfstep;loss\n1;0.5\n2;-inf",
        b"0\t1\n1\t0.5\n2\t0.25\n",
        b"step, loss\n1, 0.5\n1, 0.5\n",
    ],
)
def test_plain_tables_are_read_quickly(data):
    assert delimited._plain(io.BytesIO(data)) is not None


@pytest.mark.parametrize(("cell", "columns"), [("", ["step", "loss"]), ("nan", ["column_0", "step", "loss"])])
def test_a_column_without_a_name_is_left_out_if_it_is_empty(cell, columns):
    data = f",step,loss\n,1,3\n{cell},2,4\n".encode()
    for run in (delimited._plain(io.BytesIO(data)), *DelimitedReader()._carefully(PATH, data.decode())):
        assert list(run.columns) == columns


@pytest.mark.parametrize(
    "data",
    [
        b"step,loss\n1,0.5\n2\n",
        b"step,loss\n1,0.5\nstep,loss\n2,1\n",
        b"step,note\n1,a\n2,b\n",
        b"step,loss\n1,0.5\n\n2,1\n",
        b'step,"loss"\n1,2\n',
        b"seed,step,loss\n0,1,2\n0,2,2\n1,1,2\n",
        b"step;loss\n1;0,5\n2;0,25\n",
        b"step,loss\n1,1-2\n2,3\n",
        b"step,loss\n1,NA\n2,3\n",
    ],
)
@pytest.mark.parametrize("few", [0, 1 << 18], ids=["large", "small"])
def test_other_tables_are_left_to_the_careful_reader(monkeypatch, data, few):
    monkeypatch.setattr(plain_tables, "FEW_BYTES", few)
    assert delimited._plain(io.BytesIO(data)) is None
