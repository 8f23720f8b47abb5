"""Vision Transformers on CIFAR-10: 1,000 images, all 50,000, and the subsets between.

Thilak et al. 2022 (arXiv 2206.04817), Figures 5, 7 and 17. On 1,000 images: 12 layers, 10 million parameters, batch
size 128, learning rate 0.001, β (0.9, 0.95), ε 1e-8, no weight decay. On all 50,000: 12 layers, width 384, 12 heads,
AdamW, batch size 512, learning rate 1e-4 after a linear warm-up of 1 epoch, the same β, ε and decay. Figure 5 varies
learning rate and number of training images: ``--set optimizer.lr=3e-4 --set data.train=10000
--set optimizer.warmup=19``. No augmentation.

What the paper leaves unsaid and what stands here instead: the patches (4 x 4 pixels) and the parts of the network that
:mod:`trainers.models.vit` names; width and heads of the first network (256 and 8: 9.5 million parameters, and 32 units
per head, as in the second); its optimizer (Adam, which is AdamW at decay 0) and its warm-up (none); what becomes of the
incomplete batch of an epoch (dropped, so that 1 epoch is 97 updates; as many on a subset, unless ``optimizer.warmup``
is set); the scale of the pixels ([0, 1]); the length of the runs (20,000 updates) and the seed (0). Validation is on
the 10,000 test images, or as many as there are.
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
