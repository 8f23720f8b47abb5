"""How the number of slingshots depends on the width: sparse parity."""

from trainers.claims._cycles import depends_on

CLAIM = depends_on("model.width", "parity_width", "width")
