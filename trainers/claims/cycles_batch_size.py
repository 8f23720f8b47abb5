"""How the number of slingshots depends on the batch size: sparse parity."""

from trainers.claims._cycles import depends_on

CLAIM = depends_on("batch_size", "parity_batch_size", "batch size")
