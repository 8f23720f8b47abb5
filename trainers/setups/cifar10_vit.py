"""Vision Transformers on CIFAR-10: 1,000 images, all 50,000, and the subsets between.

Thilak et al. 2022 (arXiv 2206.04817), Figures 5, 7 and 17, with pixels in [0, 1] and without augmentation:

- On 1,000 images: 12 layers, 10 million parameters, batch size 128, learning rate 0.001, β (0.9, 0.95), ε 1e-8, no
  weight decay.
- On all 50,000: 12 layers, width 384, 12 heads, AdamW, batch size 512, learning rate 1e-4 after a linear warm-up of 1
  epoch, the same β, ε and weight decay.
- Figure 5 varies the learning rate and the number of training images, such as ``optimizer.lr=3e-4``,
  ``data.train=10000`` and ``optimizer.warmup=19``.

The paper does not state the following, so these are choices made here:

- Patches have 4 x 4 pixels; :mod:`trainers.models.vit` names further choices.
- The first network has width 256 and 8 heads, so 9.5 million parameters, and 32 units per head, as the second network
  has.
- The first network is trained with Adam, which is AdamW without weight decay, and without warm-up.
- The incomplete batch of an epoch is dropped, so 1 epoch of all images is 97 updates. The warm-up has 97 updates on a
  subset too, unless ``optimizer.warmup`` is set.
- A run has 20,000 updates and seed 0. Validation uses the 10,000 test images, or as many as there are.
"""

from trainers.data.cifar10 import Cifar10
from trainers.models.vit import ViT
from trainers.optimizers import Adam, AdamW
from trainers.setup import Setup

FIGURES = "5, 7, 17"
WARM_UP = 50_000 // 512
"""Updates of one epoch over all images."""

SETUPS = (
    Setup(
        name="cifar10_vit_1000",
        title="1,000 images of CIFAR-10, ViT with 10 M parameters, Adam",
        figures=FIGURES,
        data=Cifar10(train=1000, val=10_000),
        model=ViT(layers=12, width=256, heads=8, patch=4),
        optimizer=Adam(lr=1e-3, betas=(0.9, 0.95), eps=1e-8),
        batch_size=128,
        steps=20_000,
        seed=0,
    ),
    Setup(
        name="cifar10_vit",
        title="50,000 images of CIFAR-10, ViT of width 384, AdamW",
        figures=FIGURES,
        data=Cifar10(train=50_000, val=10_000),
        model=ViT(layers=12, width=384, heads=12, patch=4),
        optimizer=AdamW(lr=1e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, warmup=WARM_UP),
        batch_size=512,
        steps=20_000,
        seed=0,
    ),
)
