"""Lines of common forms, which are cut all at once, are cut as each alone is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_logs import text_log

from slingshot_analysis.readers._text import cutting
from slingshot_analysis.readers._text.cutting import cut_lines, form_of
from slingshot_analysis.readers._text.tokens import MARK

NUMBERS = ["1", "-2", "+3", "1.5", ".5", "-.5", "5.", "1..2", "1,024", "0,5", "12:30:45,123", "1e-05", "2E+3", "nan",
           "-inf", "1.3M", "4k", "2024-01-01 10:00:00,123", "1/2/3", "1.2.3", "7-8", "e5", "x", "", "-", "--1",
           "9%"]  # fmt: skip
TEXTS = [" loss: ", "loss=", "/", ", ", ",", ":", " - ", "-", " ", "  ", "\t", "(", ") ", "[", "] ", "| ", " |##  | ",
         "Acc@1 ", "e", "e-", "K", "Kb ", "M ", ".", ". ", "v.", "#", "# ", "s0_", "mAP50-95 ", "[=>..] ", "T", "ms",
         "é"]  # fmt: skip


def found(text):
    """Return the form and numbers of each line."""
    cut = cut_lines(text, text.split("\n"))
    masked = [cut.masked[index] for index in cut.alike]
    return [
        (form_of(line), cut.tokens[begin : begin + line.count(MARK)])
        for line, begin in zip(masked, cut.offsets.tolist(), strict=True)
    ]


def in_bulk(monkeypatch):
    monkeypatch.setattr(cutting, "BULK", 0)
    monkeypatch.setattr(cutting, "LEAST_SHARE", 0.0)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_lines_of_one_form_have_the_numbers_that_each_has_alone(data):
    texts = data.draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4))
    line = st.tuples(*(st.sampled_from(NUMBERS) for _ in texts), st.sampled_from(["", *TEXTS]))
    rows = data.draw(st.lists(line, min_size=1, max_size=8))
    usual = data.draw(line)
    lines = ["".join(a + b for a, b in zip(["", *texts], row, strict=True)) for row in [usual, usual, *rows, usual]]
    text = "\n".join(lines) + "\n" * data.draw(st.integers(0, 2))
    alone = found(text)
    with pytest.MonkeyPatch.context() as patch:
        in_bulk(patch)
        assert found(text) == alone


@pytest.mark.parametrize("seed", range(0, 300, 3))
def test_logs_are_cut_alike(monkeypatch, seed):
    text = text_log(seed).text
    alone = found(text)
    in_bulk(monkeypatch)
    assert found(text) == alone


def test_most_lines_of_a_long_log_are_cut_in_bulk():
    rows = range(20_000)
    text = "".join(f"[{k:6d}/20000] loss: {1 / (1 + k):.3f} |{'#' * (k % 9):9s}| lr 1e-0{k % 9}\n" for k in rows)
    cut = cut_lines(text, text.split("\n"))
    assert len(cut.masked) == 1
    assert [cut.tokens[begin] for begin in cut.offsets.tolist()] == [str(k) for k in rows]
    np.testing.assert_array_equal(cut.alike, 0)


def test_short_and_blank_lines_among_those_of_one_form_stay_as_they_are(monkeypatch):
    in_bulk(monkeypatch)
    cut = found("loss 0.5\n7\n\nx\n\nloss 0.25\n")
    assert cut == [("loss \0", ["0.5"]), ("\0", ["7"]), ("", []), ("x", []), ("", []), ("loss \0", ["0.25"])]


@pytest.mark.parametrize("sign", [",", ":", "/"])
def test_a_sign_that_may_be_part_of_a_number_ends_none(monkeypatch, sign):
    text = f"loss 1{sign}5\n" + f"loss 1{sign}-5\n" * 3
    alone = found(text)
    in_bulk(monkeypatch)
    assert found(text) == alone
