"""VGG11 on 200 images of CIFAR-10, with full-batch updates.

Thilak et al. 2022 (arXiv 2206.04817), Figures 1 and 8 to 12:

- Data: 200 training images with pixels in [0, 1], no augmentation.
- Network: VGG11 for CIFAR in the layout of kuangliu/pytorch-cifar, without and with batch normalisation.
- Training: cross-entropy; full-batch Adam with learning rate 0.001, β (0.9, 0.95), ε 1e-8, no weight decay.

The paper does not state the following, so these are choices made here:

- Initialisation is PyTorch's default. A run has 20,000 updates and seed 0.
- Batch normalisation sees the whole training set in each update. Evaluation uses its running statistics (momentum 0.1,
  PyTorch's default).
- Validation uses the 10,000 test images, or as many as there are.
"""

from trainers.data.cifar10 import Cifar10
from trainers.models.vgg import VGG
from trainers.optimizers import Adam
from trainers.setup import Setup


def _setup(name: str, network: str, batch_norm: bool) -> Setup:
    return Setup(
        name=name,
        title=f"200 images of CIFAR-10, {network}, full-batch Adam",
        figures="1, 8-12",
        data=Cifar10(train=200, val=10_000),
        model=VGG(batch_norm=batch_norm),
        optimizer=Adam(lr=1e-3, betas=(0.9, 0.95), eps=1e-8),
        batch_size=200,
        steps=20_000,
        seed=0,
    )


SETUPS = (
    _setup("cifar10_vgg11_200", "VGG11", batch_norm=False),
    _setup("cifar10_vgg11_bn_200", "VGG11 with batch norm", batch_norm=True),
)
