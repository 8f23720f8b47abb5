from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from outside import outside

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._raw import RawRun
from slingshot_analysis.readers.text_log import TextLogReader

MEGATRON = """\
using world size: 8
 iteration      100/  500000 | consumed samples:        51200 | elapsed time per iteration (ms): 4021.5 | \
learning rate: 1.500E-04 | global batch size:   512 | lm loss: 6.895523E+00 | loss scale: 1.0 | grad norm: 1.213 | \
number of skipped iterations:   0 | number of nan iterations:   0 |
-----------------------------------------------------------------------------------------------
 validation loss at iteration 100 | lm loss value: 2.925E+00 | lm loss PPL: 1.863E+01 |
-----------------------------------------------------------------------------------------------
 [2024-01-01 10:00:00] iteration      200/  500000 | consumed samples:       102400 | lm loss: NaN | grad norm: inf |
 validation loss at iteration 200 on validation set | lm loss value: 2.5E+00 | lm loss PPL: 1.2E+01 |
 validation loss at iteration 200 on test set | lm loss value: 2.6E+00 | lm loss PPL: 1.3E+01 |
"""


def read(folder: Path, text: str | bytes) -> RawRun:
    path = folder / "main.log"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    assert TextLogReader().recognizes(path, path.read_bytes()[: 2**16])
    (run,) = TextLogReader().read(path)
    return run


def points(run: RawRun) -> dict[str, list[tuple[float, float]]]:
    return {
        name: list(zip(column.step.tolist(), column.values.tolist(), strict=True))
        for name, column in run.columns.items()
        if column.step is not None
    }


def test_a_real_log_of_llm_c() -> None:
    path = outside("logs/KellerJordan__modded-nanogpt/main.log")
    expected: dict[str, list[tuple[float, float]]] = {"val_loss": [], "train_loss": [], "lr": [], "grad_norm": []}
    for line in path.read_text().splitlines():
        words = dict(word.split(":") for word in line.split())
        step = float(words.pop("s"))
        for short, value in words.items():
            name = {"trl": "train_loss", "tel": "val_loss", "norm": "grad_norm", "lr": "lr"}[short]
            expected[name].append((step, float(value)))
    assert TextLogReader().recognizes(path, path.read_bytes()[: 2**16])
    (run,) = TextLogReader().read(path)
    assert points(run) == expected
    assert (len(expected["train_loss"]), len(expected["val_loss"])) == (19560, 80)
    assert list(run.notes) == []


def test_a_restart_of_llm_c_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    text = "s:0 eval:0.25\ns:0 trl:4.5 lr:0.1 norm:2\ns:1 trl:3.5 lr:0.1 norm:1\ns:0 trl:4.4 lr:0.1 norm:2.5\n"
    for content in (text, gzip.compress(text.encode())):
        assert points(read(tmp_path, content)) == {
            "eval": [(0, 0.25)],
            "train_loss": [(0, 4.5), (1, 3.5), (0, 4.4)],
            "lr": [(0, 0.1), (1, 0.1), (0, 0.1)],
            "grad_norm": [(0, 2), (1, 1), (0, 2.5)],
        }


def test_megatron(tmp_path: Path) -> None:
    run = read(tmp_path, MEGATRON)
    found = points(run)
    assert repr(found.pop("lm loss")) == "[(100.0, 6.895523), (200.0, nan)]"
    assert found == {
        "consumed samples": [(100, 51200), (200, 102400)],
        "elapsed time per iteration (ms)": [(100, 4021.5)],
        "learning rate": [(100, 1.5e-4)],
        "global batch size": [(100, 512)],
        "loss scale": [(100, 1)],
        "grad norm": [(100, 1.213), (200, float("inf"))],
        "number of skipped iterations": [(100, 0)],
        "number of nan iterations": [(100, 0)],
        "lm loss value": [(100, 2.925), (200, 2.5)],
        "lm loss PPL": [(100, 18.63), (200, 12)],
        "test/lm loss value": [(200, 2.6)],
        "test/lm loss PPL": [(200, 13)],
    }
    assert run.attributes == {"train_iters": 500000}
    assert list(run.notes) == ["lines of other text skipped: 3"]


def test_a_cut_end_is_noted(tmp_path: Path) -> None:
    run = read(tmp_path, "s:0 trl:4.5 lr:0.1 norm:2\ns:1 trl:3.5 lr:")
    assert points(run) == {"train_loss": [(0, 4.5), (1, 3.5)], "lr": [(0, 0.1)], "grad_norm": [(0, 2)]}
    assert list(run.notes) == ["values that are no numbers left out: 1, first in line 2: 'lr' is ''"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"step,loss\n0,1\n", "has no line as llm.c or Megatron-LM print them"),
        (b"s:0 trl:oops\n", "has no line as llm.c or Megatron-LM print them"),
        (b"\x7fELF\x02\x01\0\0", "binary file"),
        (b"<html>s:0 trl:1</html>", "web page"),
    ],
)
def test_what_is_no_log_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "main.log"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        TextLogReader().read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "head", [b"", b"step,loss\n0,1\n", b"iteration 5 of 10\n", b"loss:1 s:3 trl\n", b"s:0 trl:1\0\n"]
)
def test_what_is_not_recognized(head: bytes) -> None:
    assert not TextLogReader().recognizes(Path("main.log"), head)
