"""Stability on a quadratic: where the adaptive method g/(|g| + ε) stops converging.

Thilak et al. 2022 (arXiv 2206.04817), appendix D: x_{t+1} = x_t − μ g/(|g| + ε), element by element, with the gradient
g = Ax + B of f(x) = ½ xᵀAx + Bᵀx + C. The method is stable if ‖A‖ < 2ε/μ. Gradient descent needs ‖A‖ < 2/μ.

The bound is sharp. Close to the minimiser |g| ≪ ε, and the method is gradient descent with step μ/ε. Below the bound
each update lowers f from any point, because no element is stepped by more than μ/ε times its gradient. Above the bound
the minimiser repels. Unlike in gradient descent, nothing diverges, because the steps shrink as the gradient grows. x
ends up jumping back and forth; for one eigenvalue λ > 2ε/μ along an axis, these jumps have |g| = μλ/2 − ε.

The paper gives no numbers, so all of them are choices made here:

- μ = ε = 1e-3, so the bound is 2, and ‖A‖ = 1.9. ``model.spectral_norm=2.1`` or ``optimizer.eps=9e-4`` crosses the
  bound.
- The optimizer ``sgd`` gives gradient descent, with a bound of 2/μ = 2,000.
- The size is 10, the start is at distance 1 from the minimiser, the dtype is float64, and a run has 5,000 updates and
  seed 0. :mod:`trainers.models.quadratic` names the distributions.
"""

from trainers.data.constant import Constant
from trainers.models.quadratic import Quadratic
from trainers.optimizers import GenericAdaptive
from trainers.setup import Setup

SETUPS = (
    Setup(
        name="quadratic",
        title="convex quadratic, g/(|g| + ε), just below the stability bound",
        figures="App. D",
        data=Constant(),
        model=Quadratic(dimension=10, spectral_norm=1.9, distance=1.0),
        optimizer=GenericAdaptive(lr=1e-3, betas=(0.0, 0.0), eps=1e-3),
        batch_size=1,
        steps=5_000,
        seed=0,
        dtype="float64",
        loss="output",
    ),
)
