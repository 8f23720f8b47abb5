"""The file ``trainer_state.json`` of the Hugging Face Trainer, which holds the values that it logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._parts.points import listed
from slingshot_analysis.readers._parts.text_file import head_text
from slingshot_analysis.readers._raw import Column, RawRun, Reader
from slingshot_analysis.readers.json_log import parsed

LOG = "log_history"
CLOSING = "train_runtime"
"""A key of the record that sums up the run; its ``train_loss`` is a mean over all steps."""


class TrainerStateReader(Reader):
    """The ``log_history`` of a ``trainer_state.json``."""

    name = "trainer_state"
    suffixes = (".json",)

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Return whether the key of the log is in the file."""
        text = head_text(head)
        return text.lstrip().startswith("{") and f'"{LOG}"' in text

    def read(self, path: Path) -> list[RawRun]:
        """Read the one run of a file.

        Raises
        ------
        InputError
            If the file is not JSON, its log is no list of records, or it holds no numbers with a step.
        """
        state = parsed(path)
        records = state.get(LOG) if isinstance(state, dict) else None
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise InputError(f"{path}: {LOG} is no list of records; give a trainer_state.json")
        attributes = {key: value for key, value in state.items() if isinstance(value, str | int | float)}
        found: dict[str, tuple[list[float], list[float]]] = {}
        notes, lost = [], set()
        stepless = [index for index, record in enumerate(records) if not _is_number(record.get("step"))]
        if stepless:
            keys = dict.fromkeys(key for index in stepless for key in records[index])
            notes.append(f"entries without a step left out: {len(stepless)}, with {listed(keys)}")
        for record in records:
            if not _is_number(record.get("step")):
                continue
            if CLOSING in record:
                attributes |= {key: value for key, value in record.items() if key not in ("step", "epoch")}
                notes.append(f"the record with {CLOSING!r} sums up the run; it is among the attributes")
                continue
            for key, value in record.items():
                if key != "step" and _is_number(value):
                    steps, values = found.setdefault(key, ([], []))
                    steps.append(float(record["step"]))
                    values.append(float(value))
                elif key != "step":
                    lost.add(key)
        if not found:
            raise InputError(
                f"{path}: {LOG} holds no numbers with a step; nothing was logged, see logging_steps of the trainer"
            )
        if lost:
            notes.append(f"values that are no numbers left out: {', '.join(sorted(map(repr, lost)))}")
        columns = {
            key: Column(np.asarray(values, dtype=np.float64), np.asarray(steps, dtype=np.float64))
            for key, (steps, values) in found.items()
        }
        return [RawRun("", columns, attributes, notes)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
