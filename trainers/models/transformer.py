"""The decoder-only Transformer of the grokking experiments."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from slingshot_analysis.errors import InputError
from trainers.data.dataset import Dataset
from trainers.models.attention import multi_head_attention

__all__ = ["Block", "Decoder", "NormalizedLinear", "Transformer"]

INITIAL_STD = 0.02
"""Of embeddings, positions and head, as in GPT-2."""


@dataclass(frozen=True)
class Transformer:
    """A causal Transformer that reads a few tokens and classifies the sequence at its last position.

    Thilak et al. give depth, width and heads and refer to Power et al. for the rest. What stands here: normalisation
    before attention and MLP and once more before the head (``norm="post"`` is normalisation after each residual sum, as
    in Vaswani et al. and the code of Power et al.), ReLU in an MLP of 4 times the width, biases in the blocks and none
    in the head, learned positions, logits for the classes of the answer only, no dropout. Embeddings, positions and
    head start at standard deviation 0.02, as in GPT-2, all else at PyTorch's default.

    The last block asks one query, from the last position, and its MLP and the head run there only: what they would
    make of the other positions reaches neither logits nor gradients.

    Parameters
    ----------
    layers : int
        Number of blocks.
    width : int
        Size of the residual stream.
    heads : int
        Attention heads of a block, a divisor of `width`.
    norm : {"pre", "post"}
        Normalise what attention and MLP read, or each residual sum.
    temperature : float
        τ of a head that compares directions only, see `NormalizedLinear`; 0 for the plain linear head.
    all_positions : bool
        Compute the last block and the head at every position, and use the last: slower, same gradients.

    References
    ----------
    Vaswani et al. 2017, arXiv 1706.03762; Power et al. 2022, arXiv 2201.02177; Thilak et al. 2022, arXiv 2206.04817.

    Examples
    --------
    >>> from trainers.data.modular import ModularArithmetic
    >>> data = ModularArithmetic("division").make(torch.Generator())
    >>> sum(p.numel() for p in Transformer(layers=2, width=128, heads=4).build(data).parameters())
    422400
    """

    layers: int = 2
    width: int = 128
    heads: int = 4
    norm: str = "pre"
    temperature: float = 0.0
    all_positions: bool = field(default=False, metadata={"fixed": True})

    def __post_init__(self) -> None:
        if min(self.layers, self.width, self.heads) < 1 or self.width % self.heads:
            raise InputError(
                f"a Transformer needs at least one layer and heads that divide its width, got {self.layers} layers, "
                f"width {self.width} and {self.heads} heads"
            )
        if self.norm not in ("post", "pre"):
            raise InputError(f"norm is {self.norm!r}; allowed: post, pre")
        if not self.temperature >= 0:
            raise InputError(f"temperature is {self.temperature}; allowed: above 0, or 0 for the plain head")

    def build(self, data: Dataset) -> nn.Module:
        """Make the module for the tokens and classes of `data`."""
        vocabulary = int(max(data.train_inputs.max(), data.val_inputs.max())) + 1
        return Decoder(self, vocabulary, data.train_inputs.shape[1], data.classes)


class Decoder(nn.Module):
    """Embeddings, blocks, and a linear head at the last position.

    Parameters
    ----------
    config : Transformer
        Depth, width, heads, place of the norms and kind of the head.
    vocabulary : int
        Number of tokens.
    length : int
        Tokens of a sequence.
    classes : int
        Number of logits.
    """

    def __init__(self, config: Transformer, vocabulary: int, length: int, classes: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, config.width)
        self.positions = nn.Parameter(torch.empty(length, config.width))
        last = config.layers - 1
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.norm, last_only=layer == last and not config.all_positions)
            for layer in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width) if config.norm == "pre" else nn.Identity()
        if config.temperature:
            self.head: nn.Linear = NormalizedLinear(config.width, classes, config.temperature)
        else:
            self.head = nn.Linear(config.width, classes, bias=False)
        for weight in (self.tokens.weight, self.positions, self.head.weight):
            nn.init.normal_(weight, std=INITIAL_STD)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the (n, classes) logits of (n, length) int64 `tokens`."""
        x = self.tokens(tokens) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))[:, -1]


class NormalizedLinear(nn.Linear):
    """Logits (w/‖w‖)·(f/‖f‖)/τ from the directions of features f and of each class's weights w.

    Their lengths change no logit, and each logit lies in [−1/τ, 1/τ]. The trainable weight is w, not its direction.

    Parameters
    ----------
    width, classes : int
        Size of the features, and number of logits.
    temperature : float
        τ.

    References
    ----------
    Thilak et al. 2022, arXiv 2206.04817, Figures 47-49.
    """

    def __init__(self, width: int, classes: int, temperature: float) -> None:
        super().__init__(width, classes, bias=False)
        self.temperature = temperature

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., width) to (..., classes)."""
        return linear(normalize(features, dim=-1), normalize(self.weight, dim=-1)) / self.temperature


class Block(nn.Module):
    """Causal self-attention and an MLP, each added to its input, normalised before or after.

    Parameters
    ----------
    width, heads : int
        Size of the residual stream, and attention heads.
    norm : {"post", "pre"}
        Normalise the sums, or what attention and MLP read.
    last_only : bool
        Whether to return the last position only.
    """

    def __init__(self, width: int, heads: int, norm: str, last_only: bool) -> None:
        super().__init__()
        self.heads = heads
        self.pre = norm == "pre"
        self.last_only = last_only
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
        self.mlp_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, length, width) to the same shape, or to (n, 1, width) for the last position only."""
        read = self.attention_norm(x) if self.pre else x
        query = self.query(self._asking(read))
        key, value = self.key_value(read).chunk(2, dim=-1)
        # PyTorch would let a lone causal query see the first key only; the last position sees all of them
        attended = multi_head_attention(query, key, value, self.heads, causal=not self.last_only)
        x = self._asking(x) + self.output(attended)
        if self.pre:
            return x + self.mlp(self.mlp_norm(x))
        x = self.attention_norm(x)
        return self.mlp_norm(x + self.mlp(x))

    def _asking(self, x: Tensor) -> Tensor:
        return x[:, -1:] if self.last_only else x
