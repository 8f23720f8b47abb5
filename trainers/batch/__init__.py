"""Train many runs in lockstep as one program: what a sweep does with the runs of one shape."""

from trainers.batch.key import batch_key
from trainers.batch.recorded_batch import record_batch

__all__ = ["batch_key", "record_batch"]
