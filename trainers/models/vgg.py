"""VGG11 for images of 32 x 32 pixels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from slingshot_analysis.errors import InputError
from trainers.data.dataset import Dataset

STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))
"""Output channels of each convolution. A max pooling that halves height and width ends each stage."""


@dataclass(frozen=True)
class VGG:
    """VGG11 in the layout of kuangliu/pytorch-cifar: eight 3 x 3 convolutions and one linear layer.

    The five poolings reduce a 32 x 32 image to one pixel, so the head is one linear layer of 512 inputs instead of the
    original's three linear layers. The 1 x 1 average pooling of pytorch-cifar has no effect and is left out. All layers
    have biases and PyTorch's default initialisation. There is no dropout.

    Parameters
    ----------
    batch_norm : bool
        Whether to put batch normalisation between each convolution and its ReLU, as pytorch-cifar does. Evaluation uses
        the running statistics.

    References
    ----------
    Simonyan and Zisserman 2015, configuration A, arXiv 1409.1556; Ioffe and Szegedy 2015, arXiv 1502.03167;
    github.com/kuangliu/pytorch-cifar.

    Examples
    --------
    >>> import torch
    >>> from trainers.data.cifar10 import RandomImages
    >>> data = RandomImages(train=1).make(torch.Generator())
    >>> sum(p.numel() for p in VGG(batch_norm=True).build(data).parameters())
    9231114
    """

    batch_norm: bool = False

    def build(self, data: Dataset) -> nn.Module:
        """Make the module for the channels and classes of `data`.

        Raises
        ------
        InputError
            If the data are not images of 32 x 32 pixels.
        """
        if data.train_inputs.shape[2:] != (32, 32):
            raise InputError(
                f"VGG reads images of (channels, 32, 32), got samples of shape {tuple(data.train_inputs.shape[1:])}"
            )
        modules: list[nn.Module] = []
        channels = data.train_inputs.shape[1]
        for stage in STAGES:
            for fan_in, fan_out in pairwise((channels, *stage)):
                modules.append(nn.Conv2d(fan_in, fan_out, kernel_size=3, padding=1))
                if self.batch_norm:
                    modules.append(nn.BatchNorm2d(fan_out))
                modules.append(nn.ReLU())
            modules.append(nn.MaxPool2d(2))
            channels = stage[-1]
        return nn.Sequential(*modules, nn.Flatten(), nn.Linear(channels, data.classes))
