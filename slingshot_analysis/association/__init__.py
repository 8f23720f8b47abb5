"""Association: events against events, as exact statistics."""

from slingshot_analysis.association.phase import (
    Association,
    association_test,
    near_window,
    poisson_binomial_tail,
    pool,
)

__all__ = ["Association", "association_test", "near_window", "poisson_binomial_tail", "pool"]
