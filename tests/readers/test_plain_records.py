"""The quick reader of plain JSON Lines gives what the careful one gives, or leaves the file to it."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_plain_tables import outcome

from slingshot_analysis.readers import json_log
from slingshot_analysis.readers._parts import plain_records
from slingshot_analysis.readers.json_log import JsonLinesReader

PATH = Path("log.jsonl")
NUMBERS = st.one_of(st.floats(), st.integers(-(10**20), 10**20), st.none(), st.floats(-10, 10))
ODD = st.one_of(
    st.booleans(), st.text(max_size=3), st.lists(NUMBERS, max_size=2), st.dictionaries(st.just("a"), NUMBERS)
)
KEYS = st.sampled_from(["step", "loss", "val/loss", "seed", "lr", "a b", "x/mean"])


@st.composite
def logs(draw):
    """Draw lines of records that are mostly plain."""
    plain = draw(st.booleans())
    values = NUMBERS if plain else st.one_of(NUMBERS, NUMBERS, NUMBERS, ODD)
    alike = draw(st.lists(KEYS, min_size=1, max_size=4, unique=True))
    records = [
        {key: draw(values) for key in (alike if draw(st.booleans()) else draw(st.lists(KEYS, max_size=4, unique=True)))}
        for _ in range(draw(st.integers(1, 8)))
    ]
    if draw(st.booleans()):
        records.insert(0, {"config": {"lr": 0.1, "loss": "mse"}})
    lines = [json.dumps(record, separators=draw(st.sampled_from([(",", ":"), (", ", ": ")]))) for record in records]
    if draw(st.integers(0, 4)) == 0:
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(["", " ", '{"step": 1', "{}", "[1]", "1"])))
    return "\n".join(lines) + draw(st.sampled_from(["\n", ""]))


@settings(max_examples=500, deadline=None)
@given(logs(), st.sampled_from([20, 1 << 20]))
def test_the_quick_reader_gives_what_the_careful_one_gives(text, piece):
    if not text.strip():
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_records, "PIECE", piece)
        quick = json_log._plain(text)
    if quick is not None:
        assert outcome(lambda: [quick]) == outcome(lambda: JsonLinesReader()._carefully(PATH, text))


@pytest.mark.parametrize(
    "text",
    [
        '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": NaN}\n',
        '{"step": 1, "loss": 0.5}\n{"step": 2, "val_loss": 0.25}\n{"step": 3, "loss": null}',
        '{"config": {"lr": 0.1}}\n{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n',
    ],
)
def test_records_of_numbers_are_read_quickly(text):
    assert json_log._plain(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        '{"step": 1, "note": "a"}\n{"step": 2, "note": "b"}\n',
        '{"step": 1, "loss": 0.5}\n{"step": 2, "lo',
        '{"step": 1, "loss": 0.5},{"step": 2, "loss": 0.5}\n{"step": 3, "loss": 0.5}\n',
        '{"lr": 1}\n{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.5}\n',
        '{"step": 1, "train": {"loss": 0.5}}\n{"step": 2, "train": {"loss": 0.5}}\n',
    ],
)
def test_other_records_are_left_to_the_careful_reader(text):
    assert json_log._plain(text) is None
