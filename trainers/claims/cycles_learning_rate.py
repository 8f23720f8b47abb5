"""How the number of slingshots depends on the learning rate: sparse parity."""

from trainers.claims._cycles import depends_on

CLAIM = depends_on("optimizer.lr", "parity_learning_rate", "learning rate")
