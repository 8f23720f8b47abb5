"""The Vision Transformer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slingshot_analysis.errors import InputError
from trainers.data.dataset import Dataset
from trainers.models.attention import multi_head_attention


@dataclass(frozen=True)
class ViT:
    """A Vision Transformer that cuts an image into patches and classifies it by a class token.

    As in Dosovitskiy et al., it has a linear embedding of the patches, a learned class token before them, learned
    positions, pre-norm blocks with GELU, biases in all linear layers, a last layer normalisation, and a linear head at
    the class token. There is no dropout. Initial positions are normal with standard deviation 0.02 and the initial
    class token is zero, as in the authors' code. All other parameters, including the head, have PyTorch's default
    initialisation.

    The last block computes its query, its MLP and the head at the class token only. The patches would affect neither
    logits nor gradients there.

    Parameters
    ----------
    layers : int
        Number of blocks.
    width : int
        Size of the residual stream.
    heads : int
        Attention heads of a block, a divisor of `width`.
    patch : int, pixels
        Side of a patch, a divisor of the image's height and width.
    mlp_ratio : int
        Hidden units of an MLP per unit of `width`.

    References
    ----------
    Dosovitskiy et al. 2021, section 3.1, arXiv 2010.11929; github.com/google-research/vision_transformer.

    Examples
    --------
    >>> from trainers.data.cifar10 import RandomImages
    >>> data = RandomImages(train=1).make(torch.Generator())
    >>> sum(p.numel() for p in ViT(layers=12, width=256, heads=8).build(data).parameters())
    9509642
    """

    layers: int = 12
    width: int = 256
    heads: int = 8
    patch: int = 4
    mlp_ratio: int = 4

    def __post_init__(self) -> None:
        if min(self.layers, self.width, self.heads, self.patch, self.mlp_ratio) < 1 or self.width % self.heads:
            raise InputError(f"a ViT needs all numbers at least 1 and heads that divide its width, got {self!r}")

    def build(self, data: Dataset) -> nn.Module:
        """Make the module for the images and classes of `data`.

        Raises
        ------
        InputError
            If the data are not images whose height and width are multiples of `patch`.
        """
        shape = tuple(data.train_inputs.shape[1:])
        if len(shape) != 3 or shape[1] % self.patch or shape[2] % self.patch:
            raise InputError(f"images of shape {shape} can't be divided into patches of {self.patch} x {self.patch}")
        return Encoder(self, shape, data.classes)


class Encoder(nn.Module):
    """Patch embedding, class token and positions, blocks, and a linear head at the class token.

    Parameters
    ----------
    config : ViT
        Depth, width, heads, patch size and MLP ratio.
    shape : (int, int, int)
        Channels, height and width of an image.
    classes : int
        Number of logits.
    """

    def __init__(self, config: ViT, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        patches = (height // config.patch) * (width // config.patch)
        self.patches = nn.Conv2d(channels, config.width, kernel_size=config.patch, stride=config.patch)
        self.class_token = nn.Parameter(torch.zeros(config.width))
        self.positions = nn.Parameter(0.02 * torch.randn(1 + patches, config.width))
        self.blocks = nn.ModuleList(
            EncoderBlock(config.width, config.heads, config.mlp_ratio, class_only=layer == config.layers - 1)
            for layer in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the (n, classes) logits of (n, channels, height, width) `images`."""
        patches = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(images), 1, -1), patches], dim=1) + self.positions
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x[:, 0]))
        return logits


class EncoderBlock(nn.Module):
    """Self-attention and an MLP, each with a residual connection and layer normalisation of its input.

    Parameters
    ----------
    width, heads : int
        Size of the residual stream, and number of attention heads.
    mlp_ratio : int
        Hidden units of the MLP per unit of `width`.
    class_only : bool
        Whether to return only the first position, that of the class token.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: int, class_only: bool) -> None:
        super().__init__()
        self.heads = heads
        self.class_only = class_only
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, length, width) to the same shape, or to (n, 1, width) with `class_only`."""
        queried = slice(1) if self.class_only else slice(None)
        read = self.attention_norm(x)
        query = self.query(read[:, queried])
        key, value = self.key_value(read).chunk(2, dim=-1)
        attended = multi_head_attention(query, key, value, self.heads, causal=False)
        x = x[:, queried] + self.output(attended)
        x = x + self.mlp(self.mlp_norm(x))
        return x
