"""Run ``python examples/jax_loop.py``: record a training loop in JAX. It writes jax_run.h5 into the current folder.

`TraceWriter` needs no PyTorch: give it the rows of each cadence as NumPy arrays.
"""

import jax
import jax.numpy as jnp
import numpy as np

from slingshot_analysis import Group, Quantity, TraceWriter, analyze

UPDATES, ROWS, RATE = 2000, 100, 0.1
GROUP = Group("every_1", [Quantity("batch_loss", "nat"), Quantity("last_layer_norm")], "every 1")


def loss_of(parameters: dict[str, jax.Array], inputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Return the mean cross-entropy of a network with one hidden layer."""
    logits = jax.nn.relu(inputs @ parameters["hidden"]) @ parameters["last"]
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(targets)), targets])


@jax.jit
def update(parameters: dict[str, jax.Array], inputs: jax.Array, targets: jax.Array):  # type: ignore[no-untyped-def]
    """Return the parameters after an update, and the loss and the norm of the last layer before it."""
    loss, gradient = jax.value_and_grad(loss_of)(parameters, inputs, targets)
    norm = jnp.linalg.norm(parameters["last"])
    return jax.tree.map(lambda p, g: p - RATE * g, parameters, gradient), (loss, norm)


if __name__ == "__main__":
    keys = jax.random.split(jax.random.key(0), 4)
    inputs, targets = jax.random.normal(keys[0], (256, 20)), jax.random.randint(keys[1], (256,), 0, 4)
    parameters = {
        "hidden": 0.2 * jax.random.normal(keys[2], (20, 64)),
        "last": 0.1 * jax.random.normal(keys[3], (64, 4)),
    }
    with TraceWriter("jax_run.h5", [GROUP], {"config": {"lr": RATE, "steps": UPDATES}}, overwrite=True) as writer:
        for start in range(0, UPDATES, ROWS):
            rows = []
            for _ in range(ROWS):
                parameters, row = update(parameters, inputs, targets)
                rows.append(row)
            loss, norm = np.asarray(rows, dtype=np.float64).T  # waits for the device once in so many updates
            writer.append("every_1", np.arange(start, start + ROWS), batch_loss=loss, last_layer_norm=norm)
    print(analyze("jax_run.h5"))
