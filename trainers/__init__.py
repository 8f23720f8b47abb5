"""The paper's experiments: setups, and the one loop that trains them."""
