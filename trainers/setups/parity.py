"""Sparse parity: the smallest network that slingshots, and the fastest.

Thilak et al. 2022 (arXiv 2206.04817), appendix A.6, Figures 6 and 13 to 16:

- Data: labels are the parity of 3 of 50 random ±1 bits; 1,000 training and 8,000 test samples.
- Training: a 3-layer ReLU MLP; cross-entropy; Adam with learning rate 0.004, ε 1e-8, β (0.9, 0.999), batch size 32.

The paper does not state the following, so these are choices made here:

- The MLP has width 128 and PyTorch's default initialisation.
- The incomplete batch of an epoch is dropped. A run has 80,000 updates.
- With seed 3 there are a slingshot and a jump of the validation accuracy under each of PyTorch's CPU kernel sets. Late
  training amplifies rounding, so seeds and machines differ in how much the accuracy gains.
"""

from trainers.data.parity import SparseParity
from trainers.models.mlp import MLP
from trainers.optimizers import Adam
from trainers.setup import Setup

SETUPS = (
    Setup(
        name="parity_3_50",
        title="(3, 50) sparse parity, 3-layer MLP, Adam",
        figures="6, 13-16",
        data=SparseParity(n=50, k=3, train=1000, val=8000),
        model=MLP(layers=3, width=128),
        optimizer=Adam(lr=0.004, betas=(0.9, 0.999), eps=1e-8),
        batch_size=32,
        steps=80_000,
        seed=3,
    ),
)
