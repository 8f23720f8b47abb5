"""Attention logits, entropy of attention, and similarity of heads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.adapted import Inputs
from slingshot_analysis.recording.subject.model import ForwardPass
from slingshot_analysis.recording.torch_internals import is_compiled
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity

WEIGHT_BYTES = 2**26
"""Bytes. The attention weights of one call take at most this, as far as fewer samples of the probe batch help."""

MULTI_HEAD = inspect.signature(functional.multi_head_attention_forward)


class Attention(Probe):
    """`largest_attention_logit`, `attention_entropy` and `head_similarity` of each call of attention.

    A call is one of `torch.nn.functional.scaled_dot_product_attention`, or of an `nn.MultiheadAttention`, in a forward
    pass of the fixed probe batch in evaluation mode. It is named after the module that makes it. Attention written in
    another way is not seen. With A = softmax(z + mask) and z = q·k/√d, the quantities are

    - the largest z, over samples, heads, and pairs of query and key that the mask allows;
    - the mean entropy −Σ_j A_ij log A_ij over samples, heads and queries;
    - the cosine of the matrices A of two heads, mean over pairs of heads and samples. NaN where there is one head.

    A batch whose attention weights take more than 64 MiB is cut to fewer samples.

    References
    ----------
    Wortsman et al. 2023, arXiv 2309.14322, section 3.1.1 (growth of the logits); Zhai et al. 2023, arXiv 2303.06296,
    section 3 (entropy collapse); Li et al. 2018, arXiv 1810.10183 (heads that are too alike, by related measures).
    """

    name = "attention"
    default_schedule = Every(100)
    cost = "one forward pass of the probe batch, with its attention twice, and some passes over the attention weights"
    source = "arXiv 2309.14322, section 3.1.1; arXiv 2303.06296, section 3; arXiv 1810.10183"

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return subject.probe_inputs is not None and bool(_calls(subject, subject.probe_inputs))

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        calls = {} if subject.probe_inputs is None else _calls(subject, subject.probe_inputs)
        if subject.probe_inputs is None or not calls:
            raise InputError(
                "the probe 'attention' needs inputs, and a model that calls nn.MultiheadAttention or "
                "scaled_dot_product_attention: give train_data= or probe_inputs=, or leave it out of probes="
            )
        self._inputs = subject.probe_inputs[: max(1, WEIGHT_BYTES // max(calls.values()))]
        self._forward = ForwardPass(subject.model)
        axis = Axis("attention", list(calls))
        quantities = [
            Quantity("largest_attention_logit", "logit", "largest product of a query and a key, over sqrt(d)", (axis,)),
            Quantity("attention_entropy", "nat", "mean entropy of the attention of a query", (axis,)),
            Quantity("head_similarity", "", "mean cosine of the attention of two heads", (axis,)),
        ]
        return [Buffer(quantity.name, quantity.shape) for quantity in quantities], quantities

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        values: list[Tensor] = []
        with _observed(self._forward, lambda logits, weights: values.append(_summary(logits, weights))):
            self._forward.model(self._inputs)
        for slot, column in zip(slots, torch.stack(values, dim=1), strict=True):
            slot.copy_(column)


Observer = Callable[[Tensor, Tensor], None]
"""Called with logits (..., queries, keys) and weights (..., queries, keys or more) of a call of attention."""


class _AttentionMode(TorchFunctionMode):
    """Shows the attention of each call to an observer, and leaves its result as it is."""

    def __init__(self, observe: Observer) -> None:
        super().__init__()
        self._observe = observe

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            self._observe(*_of_dot_products(*args, **kwargs))
        elif func is functional.multi_head_attention_forward:
            self._observe(*_of_multi_head(MULTI_HEAD.bind(*args, **kwargs)))
        return func(*args, **kwargs)


@contextmanager
def _observed(forward: ForwardPass, observe: Observer) -> Iterator[None]:
    """A context in which forward passes leave training as it is, and show their attention to an observer."""
    with ExitStack() as stack:
        stack.enter_context(forward.undisturbed())
        if is_compiled(forward.model):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(_AttentionMode(observe))
        yield


def _calls(subject: Subject, inputs: Inputs) -> dict[str, int]:
    """Return the bytes that a sample takes in each call's attention weights, by the name of the module that calls."""
    few = inputs[:2]  # more could take much memory, and models may treat a single one in another way
    calls: dict[str, int] = {}
    running: list[str] = []

    def enter(name: str) -> Callable[[nn.Module, object], None]:
        return lambda module, given: running.append(name)

    def leave(module: nn.Module, given: object, made: object) -> None:
        running.pop()

    def observe(logits: Tensor, weights: Tensor) -> None:
        name = running[-1]
        repeats = sum(call.partition("#")[0] == name for call in calls)
        calls[f"{name}#{repeats + 1}" if repeats else name] = weights.nbytes // len(few)

    with ExitStack() as hooks:
        for name, module in subject.model.named_modules():
            hooks.enter_context(module.register_forward_pre_hook(enter(name or "model")))
            hooks.enter_context(module.register_forward_hook(leave))
        with _observed(ForwardPass(subject.model), observe):
            subject.model(few)
    return calls


def _of_dot_products(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return logits and weights of `scaled_dot_product_attention`, whose parameters these are."""
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], dim=-3)
    logits = _logits(query, key, scale)
    if is_causal:
        attn_mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
    if attn_mask is None:
        return logits, logits.softmax(-1)
    hidden = ~attn_mask if attn_mask.dtype == torch.bool else attn_mask.isneginf()
    shifted = logits if attn_mask.dtype == torch.bool else logits + attn_mask
    weights = shifted.masked_fill(hidden, -torch.inf).softmax(-1)
    return logits, weights.masked_fill(hidden.all(-1, keepdim=True), 0)


def _of_multi_head(call: inspect.BoundArguments) -> tuple[Tensor, Tensor]:
    """Return logits and weights of a call of `multi_head_attention_forward`."""
    call.apply_defaults()
    given = call.arguments
    whole = given | {"need_weights": True, "average_attn_weights": False}
    _, weights = functional.multi_head_attention_forward(**whole)
    if given["use_separate_proj_weight"]:
        projections = given["q_proj_weight"], given["k_proj_weight"]
    else:
        projections = given["in_proj_weight"].chunk(3)[:2]
    biases = (None, None) if given["in_proj_bias"] is None else given["in_proj_bias"].chunk(3)[:2]
    query, key = (
        functional.linear(given[name], projection, bias).unflatten(-1, (given["num_heads"], -1)).movedim(0, -2)
        for name, projection, bias in zip(("query", "key"), projections, biases, strict=True)
    )
    logits = _logits(query, key)
    assert weights is not None
    return logits, weights.to(logits.dtype)


def _logits(query: Tensor, key: Tensor, scale: float | None = None) -> Tensor:
    """Return q·k/√d, or q·k times a scale, in float32 or better."""
    dtype = torch.promote_types(query.dtype, torch.float32)
    return (query.to(dtype) * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.to(dtype).mT


def _summary(logits: Tensor, weights: Tensor) -> Tensor:
    """Return the largest logit, the mean entropy, and the mean similarity of heads, as a (3,) float64 tensor."""
    allowed = weights[..., : logits.shape[-1]] != 0
    largest = torch.where(allowed, logits, -torch.inf).amax()
    # a query that may look at no key has weights of 0, and does not count
    entropy = torch.special.entr(weights).sum() / (weights.sum(-1) != 0).sum()
    heads = weights.shape[-3] if weights.ndim > 3 else 1
    directions = functional.normalize(weights.reshape(-1, heads, weights.shape[-2:].numel()), dim=2)
    products = directions @ directions.mT
    pairs = len(products) * heads * (heads - 1)
    similarity = (products.sum() - products.diagonal(dim1=1, dim2=2).sum()) / (pairs or torch.nan)
    return torch.stack([largest, entropy, similarity]).to(torch.float64)
