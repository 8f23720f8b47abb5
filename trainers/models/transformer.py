"""The decoder-only Transformer of the grokking experiments."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from slingshot_analysis.errors import InputError
from trainers.data.dataset import Dataset
from trainers.models.attention import multi_head_attention

GPT2_STD = 0.02
"""Standard deviation of initial embeddings, positions and head in the code of GPT-2."""

CHOICES = {"norm": ("post", "pre"), "positions": ("sines", "learned"), "initialization": ("pytorch", "gpt2")}
"""Allowed values of the fields that name a choice."""


@dataclass(frozen=True)
class Transformer:
    """A causal Transformer that reads a few tokens and classifies the sequence at its last position.

    Thilak et al. give depth, width, number of heads and the causal mask, and refer to Vaswani et al. and to Power et
    al. for the rest. Where each choice comes from:

    - Layer normalisation after each residual sum, an MLP with a ReLU and 4 times the width, and fixed sines as
      positions are as in both.
    - No bias in any linear layer, the head included, no dropout, and PyTorch's default initialisation, by which
      embeddings begin with standard deviation 1, are as in the code of Power et al.
    - Tokens and logits are those of one operation, which is a choice of this project. The code of Power et al. has 239
      tokens for all operations, so its network has 455,424 parameters; Thilak et al. state "approximately 450K".

    The other values of `norm`, `bias`, `positions` and `initialization` together give a network as in GPT-2. It
    generalises much earlier than that of Thilak et al. (docs/experiments.md).

    The last block computes its query, its MLP and the head at the last position only. The other positions would affect
    neither logits nor gradients.

    Parameters
    ----------
    layers : int
        Number of blocks.
    width : int
        Size of the residual stream.
    heads : int
        Attention heads of a block, a divisor of `width`.
    norm : {"post", "pre"}
        Whether to normalise the residual sums, or the inputs of attention, MLP and head.
    temperature : float
        Temperature τ of a normalised head, see `NormalizedLinear`; 0 selects the plain linear head.
    bias : bool
        Whether the linear layers of the blocks have biases.
    positions : {"sines", "learned"}
        Positional embeddings: the fixed sines and cosines of Vaswani et al., or trained.
    initialization : {"pytorch", "gpt2"}
        Initialisation of embeddings, learned positions and head: PyTorch's default (1 for embeddings and positions), or
        standard deviation 0.02. All other parameters have PyTorch's default.

    References
    ----------
    Vaswani et al. 2017, arXiv 1706.03762; Power et al. 2022, arXiv 2201.02177; Thilak et al. 2022, arXiv 2206.04817.

    Examples
    --------
    >>> from trainers.data.modular import ModularArithmetic
    >>> data = ModularArithmetic("division").make(torch.Generator())
    >>> sum(p.numel() for p in Transformer(layers=2, width=128, heads=4).build(data).parameters())
    419328
    """

    layers: int = 2
    width: int = 128
    heads: int = 4
    norm: str = "post"
    temperature: float = 0.0
    bias: bool = False
    positions: str = "sines"
    initialization: str = "pytorch"

    def __post_init__(self) -> None:
        if min(self.layers, self.width, self.heads) < 1 or self.width % self.heads:
            raise InputError(
                f"a Transformer needs at least one layer and heads that divide its width, got {self.layers} layers, "
                f"width {self.width} and {self.heads} heads"
            )
        for field, allowed in CHOICES.items():
            if getattr(self, field) not in allowed:
                raise InputError(f"{field} is {getattr(self, field)!r}; allowed: {', '.join(allowed)}")
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
        The choices of the network.
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
        self.positions: Tensor
        if config.positions == "learned":
            self.positions = nn.Parameter(torch.empty(length, config.width))
        else:
            self.register_buffer("positions", sines(length, config.width), persistent=False)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.norm, config.bias, last_only=layer == config.layers - 1)
            for layer in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width) if config.norm == "pre" else nn.Identity()
        if config.temperature:
            self.head: nn.Linear = NormalizedLinear(config.width, classes, config.temperature)
        else:
            self.head = nn.Linear(config.width, classes, bias=False)
        learned = [self.positions] if config.positions == "learned" else []
        if config.initialization == "gpt2":
            for weight in (self.tokens.weight, *learned, self.head.weight):
                nn.init.normal_(weight, std=GPT2_STD)
        else:
            for weight in learned:
                nn.init.normal_(weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the (n, classes) logits of (n, length) int64 `tokens`."""
        x = self.tokens(tokens) + self.positions
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits[:, -1]


def sines(length: int, width: int) -> Tensor:
    """Return the (length, width) positional embeddings of Vaswani et al., arXiv 1706.03762, section 3.5.

    Entry (p, 2i) is the sine and entry (p, 2i + 1) the cosine of p / 10000^(2i / width).

    Examples
    --------
    >>> sines(2, 4)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    entry = torch.arange(width, dtype=torch.float64)
    frequency = 10_000 ** (-(entry - entry % 2) / width)
    angle = torch.arange(length, dtype=torch.float64).unsqueeze(1) * frequency
    return torch.where(entry % 2 == 0, angle.sin(), angle.cos()).float()


class NormalizedLinear(nn.Linear):
    """Logits (w/‖w‖)·(f/‖f‖)/τ of the features f, with weights w for each class.

    The norms of f and w have no effect on the logits, and each logit lies in [−1/τ, 1/τ]. The trainable parameter is
    the unnormalised w.

    Parameters
    ----------
    width, classes : int
        Number of features and of logits.
    temperature : float
        Temperature τ.

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
    """Causal self-attention and an MLP, each with a residual connection and layer normalisation.

    Parameters
    ----------
    width, heads : int
        Size of the residual stream, and number of attention heads.
    norm : {"post", "pre"}
        Whether to normalise the residual sums, or the inputs of attention and MLP.
    bias : bool
        Whether the linear layers have biases.
    last_only : bool
        Whether to return only the last position.
    """

    def __init__(self, width: int, heads: int, norm: str, bias: bool, last_only: bool) -> None:
        super().__init__()
        self.heads = heads
        self.pre = norm == "pre"
        self.last_only = last_only
        self.query = nn.Linear(width, width, bias)
        self.key_value = nn.Linear(width, 2 * width, bias)
        self.output = nn.Linear(width, width, bias)
        self.attention_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width, bias), nn.ReLU(), nn.Linear(4 * width, width, bias))
        self.mlp_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, length, width) to the same shape, or to (n, 1, width) with `last_only`."""
        queried = slice(-1, None) if self.last_only else slice(None)
        read: Tensor = self.attention_norm(x) if self.pre else x
        query = self.query(read[:, queried])
        key, value = self.key_value(read).chunk(2, dim=-1)
        # The last position attends to all keys. PyTorch's causal mask would let a single query see only the first one.
        attended = multi_head_attention(query, key, value, self.heads, causal=not self.last_only)
        x = x[:, queried] + self.output(attended)
        if self.pre:
            x = x + self.mlp(self.mlp_norm(x))
        else:
            x = self.attention_norm(x)
            x = self.mlp_norm(x + self.mlp(x))
        return x
