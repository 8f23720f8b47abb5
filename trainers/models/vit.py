"""The Vision Transformer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slingshot_analysis.errors import InputError
from trainers.data.dataset import Dataset
from trainers.models.attention import multi_head_attention

__all__ = ["Encoder", "EncoderBlock", "ViT"]


@dataclass(frozen=True)
class ViT:
    """A Vision Transformer that cuts an image into patches and classifies it by a class token.

    As in Dosovitskiy et al.: a linear embedding of the patches, a learned class token before them, learned positions,
    blocks that normalise what attention and MLP read ("pre-norm"), GELU, biases in all linear layers, one more
    normalisation and a linear head at the class token. Positions start as normal numbers of standard deviation 0.02
    and the class token as zeros, as in the authors' code; all else has PyTorch's default initialisation, the head
    included. No dropout.

    The last block asks one query, from the class token, and its MLP and the head run there only: what they would make
    of the patches reaches neither logits nor gradients.

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
            If the data are not images that patches tile.
        """
        shape = tuple(data.train_inputs.shape[1:])
        if len(shape) != 3 or shape[1] % self.patch or shape[2] % self.patch:
            raise InputError(f"patches of {self.patch} x {self.patch} pixels do not tile samples of shape {shape}")
        return Encoder(self, shape, data.classes)


class Encoder(nn.Module):
    """Patch embedding, class token and positions, blocks, and a linear head at the class token.

    Parameters
    ----------
    config : ViT
        Depth, width, heads, patches and MLPs.
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
        return self.head(self.norm(x[:, 0]))


class EncoderBlock(nn.Module):
    """Self-attention among all positions and an MLP, each added to its input and reading it normalised.

    Parameters
    ----------
    width, heads : int
        Size of the residual stream, and attention heads.
    mlp_ratio : int
        Hidden units of the MLP per unit of `width`.
    class_only : bool
        Whether to return the first position, the class token's, only.
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
        """Map (n, length, width) to the same shape, or to (n, 1, width) for the class token only."""
        asking = slice(1) if self.class_only else slice(None)
        read = self.attention_norm(x)
        query = self.query(read[:, asking])
        key, value = self.key_value(read).chunk(2, dim=-1)
        attended = multi_head_attention(query, key, value, self.heads, causal=False)
        x = x[:, asking] + self.output(attended)
        return x + self.mlp(self.mlp_norm(x))
