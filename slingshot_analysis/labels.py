"""Labels: corrections by people who looked at a run. They add events that were missed and remove wrong ones.

Labels are kept in a JSON file next to the run's file, ``NAME.labels.json``, by the name of each run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.events import Outcome
from slingshot_analysis.files import replaced
from slingshot_analysis.trace import Trace

FORMAT, VERSION = "slingshot-labels", 2
"""Version 1 has labels of slingshots alone, and is read."""


class SpikeLabel(NamedTuple):
    """A loss spike that somebody saw.

    Parameters
    ----------
    step : int, updates
        Where it starts.
    outcome : {"recovered", "lingering", "diverged", "not finite"} or None
        What became of it. None leaves this to the detector.
    """

    step: int
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Labels:
    """The labels of one run.

    Parameters
    ----------
    added, removed : tuple of int, updates
        Transitions that are slingshots, and transitions that are not.
    added_spikes : tuple of SpikeLabel
        Loss spikes that were missed, or whose outcome is corrected.
    removed_spikes : tuple of int, updates
        Starts of detected loss spikes that are none.
    added_climbs, removed_climbs : tuple of int, updates
        Onsets of climbs of the validation accuracy, and onsets of detected climbs that are none.
    """

    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    added_spikes: tuple[SpikeLabel, ...] = ()
    removed_spikes: tuple[int, ...] = ()
    added_climbs: tuple[int, ...] = ()
    removed_climbs: tuple[int, ...] = ()

    def change(
        self,
        add: Iterable[int] = (),
        remove: Iterable[int] = (),
        forget: Iterable[int] = (),
        *,
        add_spikes: Iterable[SpikeLabel] = (),
        remove_spikes: Iterable[int] = (),
        add_climbs: Iterable[int] = (),
        remove_climbs: Iterable[int] = (),
    ) -> Labels:
        """Return labels with these changes. A step that was labelled before gets the new label.

        Parameters
        ----------
        add, remove : iterable of int, updates
            Slingshots.
        forget : iterable of int, updates
            Steps whose labels, of events of any kind, are taken back.
        add_spikes, remove_spikes
            Loss spikes.
        add_climbs, remove_climbs : iterable of int, updates
            Onsets of climbs.

        Returns
        -------
        Labels

        Raises
        ------
        InputError
            If the same event is to be added, removed or forgotten at once, a loss spike is given twice, or a step to
            forget has no label.

        Examples
        --------
        >>> Labels(added=(10, 20)).change(add=[30], remove=[10], forget=[20]).added
        (30,)
        >>> Labels().change(add_spikes=[SpikeLabel(40, "lingering")]).added_spikes
        (SpikeLabel(step=40, outcome='lingering'),)
        """
        spikes, outcomes = tuple(add_spikes), {label.step: label for label in self.added_spikes}
        forget, steps = set(forget), [label.step for label in spikes]
        if twice := sorted(step for step in set(steps) if steps.count(step) > 1):
            raise InputError(f"loss spike {twice[0]}: is given twice; give it once")
        known = {*self.added, *self.removed, *outcomes, *self.removed_spikes, *self.added_climbs, *self.removed_climbs}
        if unknown := sorted(forget - known):
            shown = ", ".join(map(str, sorted(known))) or "none"
            raise InputError(f"step {unknown[0]}: has no label to forget; labelled are {shown}")
        added, removed = _changed((self.added, self.removed), (add, remove), forget, "step")
        spike_steps, removed_spikes = _changed(
            (outcomes, self.removed_spikes), (steps, remove_spikes), forget, "loss spike"
        )
        climbs = _changed((self.added_climbs, self.removed_climbs), (add_climbs, remove_climbs), forget, "climb")
        outcomes |= {label.step: label for label in spikes}
        return Labels(added, removed, tuple(outcomes[step] for step in spike_steps), removed_spikes, *climbs)


def _changed(
    known: tuple[Iterable[int], Iterable[int]],
    given: tuple[Iterable[int], Iterable[int]],
    forget: set[int],
    what: str,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the added and the removed events of one kind, in order."""
    add, remove = map(set, given)
    if twice := sorted(add & remove | add & forget | remove & forget):
        raise InputError(f"{what} {twice[0]}: is to be added, removed or forgotten; give it once")
    added, removed = set(known[0]) - remove - forget | add, set(known[1]) - add - forget | remove
    return tuple(sorted(added)), tuple(sorted(removed))


def as_outcome(given: str, where: str) -> Outcome:
    """Return the outcome of a loss spike, which may be written with hyphens.

    Parameters
    ----------
    given : str
        Such as ``"not finite"`` or ``"not-finite"``.
    where : str
        Where it was given, for the error.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If there is no such outcome.
    """
    outcome = given.replace("-", " ")
    if outcome not in get_args(Outcome):
        raise unknown_name("outcome", given, get_args(Outcome), where)
    return cast(Outcome, outcome)


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
    document = {"format": FORMAT, "version": VERSION, "runs": {name: _plain(own) for name, own in known.items()}}
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
        return {name: _labels(own, str(path)) for name, own in document["runs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is not a file of labels ({error}); mend it or delete it") from error


def _plain(labels: Labels) -> dict[str, Any]:
    """Return the labels of a run as they stand in the file, without the kinds of events that have none."""
    spikes = [label._asdict() for label in labels.added_spikes]
    kinds: dict[str, dict[str, list[Any]]] = {
        "loss_spikes": {"add": spikes, "remove": list(labels.removed_spikes)},
        "accuracy_climbs": {"add": list(labels.added_climbs), "remove": list(labels.removed_climbs)},
    }
    kept = {kind: own for kind, own in kinds.items() if own["add"] or own["remove"]}
    return {"add": list(labels.added), "remove": list(labels.removed), **kept}


def _labels(own: Mapping[str, Any], where: str) -> Labels:
    spikes, climbs = own.get("loss_spikes", {}), own.get("accuracy_climbs", {})

    def steps(of: Mapping[str, Any], key: str) -> tuple[int, ...]:
        return tuple(map(int, of.get(key, ())))

    added = tuple(SpikeLabel(int(label["step"]), _outcome(label["outcome"], where)) for label in spikes.get("add", ()))
    return Labels(
        steps(own, "add"),
        steps(own, "remove"),
        added,
        steps(spikes, "remove"),
        steps(climbs, "add"),
        steps(climbs, "remove"),
    )


def _outcome(given: str | None, where: str) -> Outcome | None:
    return None if given is None else as_outcome(given, where)
