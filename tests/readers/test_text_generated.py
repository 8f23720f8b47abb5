"""What was written is what is read: logs of many forms, combined at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from text_logs import text_log

from slingshot_analysis.readers import Log, read_log


@pytest.mark.parametrize("seed", range(300))
def test_what_was_written_is_what_is_read(tmp_path: Path, seed: int) -> None:
    log = text_log(seed)
    path = tmp_path / "train.log"
    path.write_text(log.text)
    runs = read_log(path)
    assert len(runs) == len(log.signals), log.forms
    for run, signals in zip(runs, log.signals, strict=True):
        for name, (steps, values) in signals.items():
            assert run[name].step.tolist() == steps, (name, log.forms)
            np.testing.assert_allclose(run[name].value, values, rtol=0, atol=1e-9, err_msg=f"{name} {log.forms}")
        assert set(run.names) <= {*signals, "gradient_norm"}, log.forms


@pytest.mark.parametrize("seed", range(0, 300, 10))
def test_the_template_that_is_shown_reads_the_same_if_it_is_given(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "train.log"
    path.write_text(text_log(seed).text)
    shown = read_log(path)
    assert isinstance(shown[0], Log)
    template = shown[0].templates[0]
    if not any(name in template.text for name in ("{step}", "{epoch}", "{iter}", "{iteration}", "{num_updates}")):
        return  # the step stands on another line
    given = read_log(path, line=template.text)
    assert [run["train_loss"].step.tolist() for run in given] == [run["train_loss"].step.tolist() for run in shown]
    assert [run["train_loss"].value.tolist() for run in given] == [run["train_loss"].value.tolist() for run in shown]
