"""Multi-head attention, used by both Transformers."""

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def multi_head_attention(query: Tensor, key: Tensor, value: Tensor, heads: int, *, causal: bool) -> Tensor:
    """Return multi-head scaled dot-product attention, without the projections before and after it.

    Parameters
    ----------
    query : (n, queries, width) Tensor
        Projected queries.
    key, value : (n, length, width) Tensor
        Projected keys and values.
    heads : int
        Number of heads, a divisor of the width.
    causal : bool
        Whether query i sees only the keys 0 to i.

    Returns
    -------
    (n, queries, width) Tensor
        softmax(q kᵀ/√(width/heads)) v of each head; the heads' results are concatenated.

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
