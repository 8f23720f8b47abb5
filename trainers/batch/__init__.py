"""Train runs of the same network as one batch: they make their updates together."""

from trainers.batch.exact import exact_key, train_exactly
from trainers.batch.key import batch_key
from trainers.batch.recorded_batch import record_batch

__all__ = ["batch_key", "exact_key", "record_batch", "train_exactly"]
