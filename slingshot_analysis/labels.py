"""Labels: corrections by people who looked at a run. They add slingshots that were missed and remove wrong ones.

Labels are kept in a JSON file next to the run's file, ``NAME.labels.json``, by the name of each run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from slingshot_analysis.errors import InputError
from slingshot_analysis.files import replaced
from slingshot_analysis.trace import Trace

FORMAT, VERSION = "slingshot-labels", 1


@dataclass(frozen=True)
class Labels:
    """The labels of one run.

    Parameters
    ----------
    added, removed : tuple of int, updates
        Transitions that are slingshots, and transitions that are not.
    """

    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()

    def change(self, add: Iterable[int] = (), remove: Iterable[int] = (), forget: Iterable[int] = ()) -> Labels:
        """Return labels with these changes. A step that was labelled before gets the new label.

        Raises
        ------
        InputError
            If two of the three name the same step, or a step to forget has no label.

        Examples
        --------
        >>> Labels(added=(10, 20)).change(add=[30], remove=[10], forget=[20])
        Labels(added=(30,), removed=(10,))
        """
        add, remove, forget = set(add), set(remove), set(forget)
        if twice := sorted(add & remove | add & forget | remove & forget):
            raise InputError(f"step {twice[0]}: is to be added, removed or forgotten; give it once")
        if unknown := sorted(forget - {*self.added, *self.removed}):
            known = ", ".join(map(str, sorted([*self.added, *self.removed]))) or "none"
            raise InputError(f"step {unknown[0]}: has no label to forget; labelled are {known}")
        added, removed = set(self.added) - remove - forget | add, set(self.removed) - add - forget | remove
        return Labels(tuple(sorted(added)), tuple(sorted(removed)))


def labels_path(trace: Trace) -> Path:
    """Return the file that holds the labels of a run."""
    return trace.path.with_name(f"{trace.path.name}.labels.json")


def read_labels(trace: Trace) -> Labels:
    """Read the labels of a run. Without a file there are none.

    Raises
    ------
    InputError
        If the file is not of this form.
    """
    return _read(labels_path(trace)).get(trace.name, Labels())


def is_labelled(trace: Trace) -> bool:
    """Return whether somebody has labelled a run, including runs in which every detection was confirmed.

    Raises
    ------
    InputError
        If the file is not of this form.
    """
    return trace.name in _read(labels_path(trace))


def write_labels(trace: Trace, labels: Labels | None) -> Path:
    """Write the labels of a run, keep those of the file's other runs, and return the file.

    Empty labels say that every detection in the run is right. None removes the run from the file, as if nobody had
    labelled it.

    Raises
    ------
    InputError
        If a file of another form is there, which is left as it is, or the folder can't be written.
    """
    path = labels_path(trace)
    known = {name: own for name, own in _read(path).items() if name != trace.name}
    if labels is not None:
        known[trace.name] = labels
    runs = {name: {"add": list(own.added), "remove": list(own.removed)} for name, own in known.items()}
    document = {"format": FORMAT, "version": VERSION, "runs": runs}
    try:
        with replaced(path) as aside:
            aside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: can't be written ({error.strerror})") from error
    return path


def _read(path: Path) -> dict[str, Labels]:
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT or document["version"] > VERSION:
            raise InputError(f"{path}: is not a file of labels of version {VERSION} or before")
        return {
            name: Labels(tuple(map(int, own.get("add", ()))), tuple(map(int, own.get("remove", ()))))
            for name, own in document["runs"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is not a file of labels ({error}); mend it or delete it") from error
