"""Train runs together so that each has the bits that it has alone."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import Recorder
from slingshot_analysis.recording.lagged import share_time
from trainers.batch._lockstep import Lockstep, Member
from trainers.passes import as_chain
from trainers.run import Run


def exact_key(run: Run) -> Hashable | None:
    """Return a key that is equal for runs that can be trained together with the bits that each has alone.

    They are chains of linear layers and ReLUs of one shape and dtype whose next batches have the same size. Optimizer,
    loss, interventions and order of batches may differ.

    Returns
    -------
    hashable or None
        None for a run that has to be trained alone.
    """
    setup = run.setup
    if setup.autocast != "none" or not as_chain(run.model):
        return None
    return setup.model, setup.batch_size, setup.dtype, run.batches.place


def train_exactly(runs: Sequence[Run], recorders: Sequence[Recorder]) -> Iterator[int]:
    """Train runs together from their present step to their end, and record them.

    Each rounds as with :func:`~trainers.loop.updates`, if a stacked product has the bits of a single one. That depends
    on the machine, so compare one of the runs with what it was alone.

    Parameters
    ----------
    runs : sequence of R Run
        Runs with the same :func:`exact_key` and number of updates.
    recorders : sequence of R Recorder
        Their open recorders, all at the same step.

    Yields
    ------
    int
        Number of updates that each run has made, after some hundred updates each time.

    Raises
    ------
    InputError
        If one of the runs can't be recorded.
    """
    members = [
        Member(i, run, recorder, recorder.path, recorder.step)
        for i, (run, recorder) in enumerate(zip(runs, recorders, strict=True))
    ]
    for recorder in recorders:
        share_time(recorder, len(members))
    block, end = Lockstep(members, exact=True), runs[0].setup.steps
    while (step := members[0].step) < end:
        block.advance(end - step)
        for member in members:
            if member.failure:
                raise InputError(member.failure)
        yield members[0].step
