"""What the attention of both Transformers has in common."""

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["multi_head_attention"]


def multi_head_attention(query: Tensor, key: Tensor, value: Tensor, heads: int, *, causal: bool) -> Tensor:
    """Attend with each head's share of the width, and lay the results of all heads side by side.

    Parameters
    ----------
    query : (n, queries, width) Tensor
        Projected already, like `key` and `value`.
    key, value : (n, length, width) Tensor
        What is attended to.
    heads : int
        A divisor of the width.
    causal : bool
        Whether query i sees the keys up to i only.

    Returns
    -------
    (n, queries, width) Tensor
        softmax(q kᵀ/√(width/heads)) v of each head, before the output projection.

    References
    ----------
    Vaswani et al. 2017, section 3.2, arXiv 1706.03762.

    Examples
    --------
    >>> import torch
    >>> x = torch.ones(1, 2, 4)
    >>> multi_head_attention(x, x, 3 * x, heads=2, causal=False)[0, 0]
    tensor([3., 3., 3., 3.])
    """
    query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (query, key, value))
    return scaled_dot_product_attention(query, key, value, is_causal=causal).transpose(1, 2).flatten(2)
