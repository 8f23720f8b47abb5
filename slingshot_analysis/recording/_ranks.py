"""Parallel training: rank 0 records, and on the other ranks a recorder only counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, distributed, nn

from slingshot_analysis.errors import InputError
from slingshot_analysis.trace import Group


def rank() -> int:
    """Return the rank of this process; 0 where training is not parallel."""
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0


def refuse_shards(model: nn.Module) -> None:
    """Raise an error if the parameters are distributed over ranks, as FSDP does it.

    Raises
    ------
    InputError
        If they are: their norms, features and evaluations would need all ranks together, while one rank records.
    """
    if not distributed.is_available():
        return
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.tensor import DTensor

    shards = [name for name, parameter in model.named_parameters() if isinstance(parameter, DTensor)]
    wrapped = any(isinstance(module, FullyShardedDataParallel) for module in model.modules())
    if shards or wrapped:
        raise InputError(
            f"{len(shards) if shards else 'all'} parameters are distributed over ranks, as by FSDP, and a recorder on "
            "one rank can't record them: train with DistributedDataParallel, or write what all ranks compute together, "
            "such as losses and norms, with slingshot_analysis.TraceWriter on rank 0"
        )


class NoRows:
    """Stands in for the rows of a run on ranks other than 0: it counts the updates and writes nothing.

    Parameters
    ----------
    resume : mapping or None
        The state of a recorder of any rank.
    """

    tables: tuple[()] = ()
    groups: tuple[Group, ...] = ()
    follows_clipping = needs_every_state = False

    def __init__(self, resume: Mapping[str, Any] | None, start: int) -> None:
        self.step: int = start if resume is None else resume["step"]
        self.latest: dict[str, float] = {}

    def record(self, *batch: Tensor | None) -> None:
        """Count an update."""
        self.step += 1

    def undo(self) -> None:
        """Take back the last update."""
        self.step -= 1

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates."""
        return {"step": self.step}

    def leave_out_logits(self) -> None:
        """Do nothing."""

    def needs_unclipped(self) -> bool:
        """Return that nothing is needed."""
        return False

    def close(self, *, finished: bool, attributes: Mapping[str, str]) -> None:
        """Do nothing."""
