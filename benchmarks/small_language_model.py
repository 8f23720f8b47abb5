"""A language model of 20,000 parameters on the pages of Python's help, trained and recorded in a few seconds.

The fields of `Training` break one thing or another; `gallery.py` makes the runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from slingshot_analysis import Recorder
from slingshot_analysis.recording import Buffer, Every, Moment, Probe, Subject
from slingshot_analysis.trace import Quantity

CONTEXT, WIDTH, LAYERS, HEADS, BATCH = 32, 32, 1, 2, 8
"""Characters of a sequence, size of the network, and sequences of an update: what trains in a few seconds."""

VALIDATION_SHARE = 0.1
"""Share of the text, at its end, that is never trained on."""

EVALUATED = 16
"""Sequences of the training and of the validation text on which losses are evaluated, the same each time."""

TRACE_PROBES = "batch", "norms", "precision", "update_norm:1", "evaluation:25", "preconditioned:100"
"""What is recorded; curvature is seldom, as each measurement costs as much as twenty updates."""


@dataclass(frozen=True)
class Training:
    """How the model is trained.

    Parameters
    ----------
    seed : int
        Seed of the initialisation and of the batches.
    steps : int, updates
        Length of the run.
    lr : float
        Learning rate after the warm-up. It falls to a tenth along a cosine.
    warmup : int, updates
        Length of the linear warm-up.
    betas, eps, weight_decay : (float, float), float, float
        Decay rates, epsilon and weight decay of AdamW.
    init_scale : float
        Factor on PyTorch's default initialisation of all matrices.
    scale_doubles_every : int or None, updates
        If given, the loss is computed in float16, and scaled by 1,024 at first and by twice as much each time, without
        a check for overflow.
    rate_change, loss_weight : (int, float) or None
        Step from which the learning rate, or the loss that is differentiated, has a factor, and that factor.
    poisoned : sequence of int
        Updates whose targets are shuffled.
    moments_lost : int or None
        Update before which a resume loses the optimizer's moments, and keeps its count of updates.
    repeated : int
        Number of updates that are made again then, from the checkpoint before.
    """

    seed: int
    steps: int = 800
    lr: float = 3e-2
    warmup: int = 100
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.1
    init_scale: float = 1.0
    scale_doubles_every: int | None = None
    rate_change: tuple[int, float] | None = None
    loss_weight: tuple[int, float] | None = None
    poisoned: Sequence[int] = ()
    moments_lost: int | None = None
    repeated: int = 0

    def rate(self, step: int) -> float:
        """Return the learning rate of the update from `step`."""
        rise = min((step + 1) / self.warmup, 1.0) if self.warmup else 1.0
        fall = 0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * step / self.steps))
        changed = self.rate_change is not None and step >= self.rate_change[0]
        return self.lr * rise * fall * (self.rate_change[1] if changed else 1.0)

    def scale(self, step: int) -> float:
        """Return the factor on the loss that is taken out of the gradient again."""
        return 2.0 ** (10 + step // self.scale_doubles_every) if self.scale_doubles_every else 1.0

    def weight(self, step: int) -> float:
        """Return the factor on the loss that stays in the gradient."""
        return self.loss_weight[1] if self.loss_weight is not None and step >= self.loss_weight[0] else 1.0


class Block(nn.Module):
    """A block of a Transformer, with the layer normalisation after each residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.Linear(WIDTH, 3 * WIDTH)
        self.projection = nn.Linear(WIDTH, WIDTH)
        self.hidden = nn.Linear(WIDTH, 4 * WIDTH)
        self.out = nn.Linear(4 * WIDTH, WIDTH)
        self.first_norm, self.second_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, context, width) to the same shape."""
        heads = self.attention(x).unflatten(-1, (3, HEADS, WIDTH // HEADS)).permute(2, 0, 3, 1, 4)
        mask = torch.full((x.shape[1], x.shape[1]), -torch.inf, dtype=x.dtype).triu(1)
        weights = torch.softmax(heads[0] @ heads[1].mT / (WIDTH // HEADS) ** 0.5 + mask, -1)
        mixed = (weights @ heads[2]).transpose(1, 2).flatten(2)
        x = self.first_norm(x + self.projection(mixed))
        return self.second_norm(x + self.out(functional.gelu(self.hidden(x))))


class LanguageModel(nn.Module):
    """A causal Transformer on characters."""

    def __init__(self, characters: int, init_scale: float) -> None:
        super().__init__()
        self.tokens = nn.Embedding(characters, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.head = nn.Linear(WIDTH, characters)
        with torch.no_grad():
            for parameter in self.parameters():
                if parameter.ndim == 2:
                    parameter.mul_(init_scale)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (batch, context) characters to (batch, context, characters) logits of the next one."""
        return self.head(self.blocks(self.tokens(tokens) + self.positions.weight))


class OptimizerState(Probe):
    """`learning_rate` and `loss_scale` of the update, and the norms of the first and second moments before it."""

    name = "optimizer_state"
    default_schedule = Every(1)
    cost = "a pass over the moments"
    source = "arXiv 1711.05101"
    loss_scale = 1.0
    """Scale of the loss, which the training loop sets."""

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        """Declare the four numbers."""
        assert subject.optimizer is not None
        self._optimizer = subject.optimizer
        names = ("learning_rate", "loss_scale", "first_moment_norm", "second_moment_norm")
        return [Buffer(name) for name in names], [Quantity(name, "", name.replace("_", " ")) for name in names]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        """Measure them; before the first update the moments are 0."""
        states = self._optimizer.state.values()
        slots[0].fill_(self._optimizer.param_groups[0]["lr"])
        slots[1].fill_(self.loss_scale)
        for slot, key in zip(slots[2:], ("exp_avg", "exp_avg_sq"), strict=True):
            norms = [torch.linalg.vector_norm(state[key]) for state in states]
            slot.copy_(torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.zeros(()))


def forget_moments(optimizer: torch.optim.Optimizer, step: int) -> None:
    """Give an optimizer the state that a checkpoint leaves which holds the count of updates and no moments."""
    for parameter in optimizer.param_groups[0]["params"]:
        zeros = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
        optimizer.state[parameter] = {"step": torch.tensor(float(step)), **zeros}


def train(training: Training, folder: Path) -> list[tuple[int, Path]]:
    """Train and record; return each trace with the step at which it begins, two if the run was interrupted.

    Parameters
    ----------
    training : Training
        How to train.
    folder : Path
        Where the traces are written.

    Returns
    -------
    list of (int, Path)
        In the order of time.
    """
    text = "\n".join(topics[name] for name in sorted(topics))
    characters = {character: index for index, character in enumerate(sorted(set(text)))}
    tokens = torch.tensor([characters[character] for character in text])
    kept = int(len(tokens) * VALIDATION_SHARE)
    known, unseen = tokens[:-kept], tokens[-kept:]
    generator = torch.Generator().manual_seed(training.seed)
    torch.manual_seed(training.seed)
    model = LanguageModel(len(characters), training.init_scale)
    train_data, val_data = (
        _sequences(part, torch.linspace(0, len(part) - CONTEXT - 2, EVALUATED).long()) for part in (known, unseen)
    )
    batches = _batches(known, generator)
    lost, steps = training.moments_lost, training.steps
    segments = [(0, steps)] if lost is None else [(0, lost), (lost - training.repeated, steps)]
    checkpoint: dict[str, Tensor] = {}
    traces: list[tuple[int, Path]] = []
    for start, end in segments:
        optimizer = torch.optim.AdamW(
            model.parameters(), training.lr, training.betas, training.eps, training.weight_decay
        )
        if start > 0:
            forget_moments(optimizer, start)
        if checkpoint:
            model.load_state_dict(checkpoint)
        state = OptimizerState()
        traces.append((start, folder / f"{len(traces)}.h5"))
        with Recorder(
            traces[-1][1],
            model,
            optimizer,
            train_data=train_data,
            val_data=val_data,
            probes=[*TRACE_PROBES, state],
            overwrite=True,
        ) as recorder:
            for step in range(start, end):
                if step == segments[-1][0]:
                    checkpoint = {name: value.clone() for name, value in model.state_dict().items()}
                inputs, targets = next(batches)
                if step in training.poisoned:
                    targets = targets.flatten()[torch.randperm(targets.numel(), generator=generator)].view_as(targets)
                logits = model(inputs)
                lossy = logits.half() if training.scale_doubles_every else logits
                loss = functional.cross_entropy(lossy.flatten(0, -2), targets.flatten())
                optimizer.zero_grad()
                state.loss_scale = training.scale(step)
                (loss * (training.weight(step) * state.loss_scale)).backward()
                for parameter in model.parameters():
                    parameter.grad /= state.loss_scale
                optimizer.param_groups[0]["lr"] = training.rate(step)
                recorder.update(loss, logits, targets)
                optimizer.step()
    return traces


def _sequences(tokens: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    windows = tokens[starts.unsqueeze(1) + torch.arange(CONTEXT + 1)]
    return windows[:, :-1], windows[:, 1:]


def _batches(tokens: Tensor, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield _sequences(tokens, torch.randint(len(tokens) - CONTEXT, (BATCH,), generator=generator))
