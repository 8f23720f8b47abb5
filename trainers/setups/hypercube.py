"""Hypercube clusters: synthetic data of which 3 of 128 features matter.

Thilak et al. 2022 (arXiv 2206.04817), appendices A.8 and A.9, Figures 18 to 21: 256 training and 256 validation samples
of 8 classes from scikit-learn's ``make_classification``, 3 informative and 125 random features; a 4-layer fully
connected network; cross-entropy; Adam with learning rate 0.001, β (0.9, 0.95), ε 1e-8, no weight decay, batch size 128.
The figures vary ε and β: ``--set optimizer.eps=1e-6``, ``--set optimizer.betas=0.9,0.99``.

Where the paper contradicts itself: the text says ε 1e-8, the captions of Figures 20 and 21 say 1e-6 (here the text's);
"β1 = 0.9, β1 = 0.95" is read as β1 = 0.9, β2 = 0.95.

What the paper leaves unsaid and what stands here instead: the width of the network (256), its activation (ReLU) and
initialisation (PyTorch's default), the other arguments of ``make_classification`` (its defaults, so 1% of the samples
have a random class), the length of the run (50,000 updates) and the seed (0).
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
        steps=50_000,
        seed=0,
    ),
)
