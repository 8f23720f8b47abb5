"""Hypercube clusters: synthetic data of which 3 of 128 features matter.

Thilak et al. 2022 (arXiv 2206.04817), appendix A.9, Figures 18 to 21:

- Data: 256 training and 256 validation samples of 8 classes from scikit-learn's ``make_classification``, with 3
  informative and 125 random features.
- Training: a 4-layer fully connected network; cross-entropy; Adam with learning rate 0.001, β (0.9, 0.95), ε 1e-8, no
  weight decay, batch size 128. A run has 60,000 epochs, which are 120,000 updates.
- The figures vary ε and β, such as ``optimizer.eps=1e-6`` and ``optimizer.betas=0,0``, which the paper includes and
  where it sees slingshots too. The sweeps ``hypercube_epsilon`` and ``hypercube_betas`` vary them.

The paper contradicts itself in two places. The text says ε 1e-8, but the captions of Figures 20 and 21 say 1e-6; the
setup follows the text. "β1 = 0.9, β1 = 0.95" is read as β1 = 0.9, β2 = 0.95.

The paper does not state the following, so these are choices made here:

- The network has width 256, ReLUs and PyTorch's default initialisation.
- The other arguments of ``make_classification`` have their defaults, so 1% of the samples have a random class.
- The seed is 0.
"""

from trainers.data.hypercube import Hypercube
from trainers.models.mlp import MLP
from trainers.optimizers import Adam
from trainers.setup import Setup

SETUPS = (
    Setup(
        name="hypercube",
        title="3 of 128 features matter, 4-layer MLP, Adam",
        figures="18-21",
        data=Hypercube(dimensions=128, informative=3, classes=8, train=256, val=256),
        model=MLP(layers=4, width=256),
        optimizer=Adam(lr=1e-3, betas=(0.9, 0.95), eps=1e-8),
        batch_size=128,
        steps=120_000,
        seed=0,
    ),
)
