"""Fully connected networks on 200 images of CIFAR-10, with full-batch updates.

Thilak et al. 2022 (arXiv 2206.04817), Figures 1 and 8 to 12 and Table 1 (deep linear network):

- Data: 200 training images with pixels in [0, 1], no augmentation.
- Networks: a 6-layer fully connected network, a linear model, MLPs of 2 and 3 layers, and a 6-layer deep linear
  network.
- Training: cross-entropy; full-batch Adam with learning rate 0.001, β (0.9, 0.95), ε 1e-8, no weight decay. By Table 1,
  the deep linear network is also trained with RMSProp (α 0.95, momentum 0) and with full-batch gradient descent
  (momentum 0.9), both with learning rate 0.001.

The paper does not state the following, so these are choices made here:

- The width of the networks is 256, and all have ReLUs except the linear ones. Initialisation is PyTorch's default.
- A layer is a linear layer, so the last of the 6 layers returns the logits.
- The ε of RMSProp is 1e-8. A run has 20,000 updates and seed 0.
- Validation uses the 10,000 test images, or as many as there are.
"""

from trainers.data.cifar10 import Cifar10
from trainers.models.mlp import MLP
from trainers.optimizers import SGD, Adam, RMSProp
from trainers.setup import OptimizerConfig, Setup

ADAM = Adam(lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
RMSPROP = RMSProp(lr=1e-3, alpha=0.95, momentum=0.0, eps=1e-8)
GD = SGD(lr=1e-3, momentum=0.9)
DEEP_LINEAR = MLP(layers=6, width=256, linear=True)


def _setup(name: str, network: str, model: MLP, optimizer: OptimizerConfig = ADAM, kind: str = "Adam") -> Setup:
    table = ", Table 1" if model is DEEP_LINEAR else ""
    return Setup(
        name=name,
        title=f"200 images of CIFAR-10, {network}, full-batch {kind}",
        figures=f"1, 8-12{table}",
        data=Cifar10(train=200, val=10_000),
        model=model,
        optimizer=optimizer,
        batch_size=200,
        steps=20_000,
        seed=0,
    )


SETUPS = (
    _setup("cifar10_fcn6_200", "6-layer FCN", MLP(layers=6, width=256)),
    _setup("cifar10_linear_200", "linear model", MLP(layers=1, linear=True)),
    _setup("cifar10_mlp2_200", "2-layer MLP", MLP(layers=2, width=256)),
    _setup("cifar10_mlp3_200", "3-layer MLP", MLP(layers=3, width=256)),
    _setup("cifar10_deep_linear_200", "6-layer deep linear network", DEEP_LINEAR),
    _setup("cifar10_deep_linear_200_rmsprop", "6-layer deep linear network", DEEP_LINEAR, RMSPROP, "RMSProp"),
    _setup("cifar10_deep_linear_200_gd", "6-layer deep linear network", DEEP_LINEAR, GD, "gradient descent"),
)
