"""Attention logits, entropies and similarities of heads against float64 NumPy, for both ways to call attention."""

import itertools

import numpy as np
import pytest
import torch
from scipy.special import entr, softmax
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from slingshot_analysis import InputError, Recorder, open_trace
from slingshot_analysis.recording import Attention, Every

SAMPLES, TOKENS, WIDTH, HEADS = 5, 4, 6, 2
INPUTS = torch.randn(SAMPLES, TOKENS, WIDTH, generator=torch.Generator().manual_seed(0))
CAUSAL = np.tril(np.ones((TOKENS, TOKENS), dtype=bool))


def record(path, model, inputs=INPUTS, **options):
    """Return the three quantities at step 0, one row for each call, and the names of the calls."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probes = [Attention(Every(1))]
    with Recorder(path, model, optimizer, probes=probes, probe_inputs=inputs, **options) as recorder:
        recorder.update()
    trace = open_trace(path)
    names = "largest_attention_logit", "attention_entropy", "head_similarity"
    return np.stack([trace[name].value[0] for name in names], axis=1), trace[names[0]].axes[0].labels


def expected(queries, keys, allowed=True, added=0.0, scale=None):
    """The quantities from (samples, heads, tokens, width) queries and keys, and a mask of pairs."""
    logits = np.einsum("nhqd,nhkd->nhqk", queries, keys) * (scale or queries.shape[-1] ** -0.5)
    allowed = np.broadcast_to(allowed, logits.shape)
    weights = softmax(np.where(allowed, logits + added, -np.inf), axis=-1)
    cosines = [
        (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)
        for sample in weights
        for a, b in itertools.combinations(sample, 2)
    ]
    return logits[allowed].max(), entr(weights).sum(-1).mean(), np.mean(cosines)


def array(tensor):
    return tensor.detach().double().numpy()


def heads(tokens):
    """(samples, tokens, width) -> (samples, heads, tokens, width of a head)"""
    return tokens.reshape(*tokens.shape[:2], HEADS, -1).swapaxes(1, 2)


class Written(nn.Module):
    """Causal or masked attention that a user wrote with `scaled_dot_product_attention`."""

    def __init__(self, key_heads=HEADS, **options):
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH // HEADS * key_heads)
        self.key_heads, self.options = key_heads, options
        with torch.no_grad():
            self.query.weight.mul_(3)

    def forward(self, x):
        query = self.query(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        key = self.key(x).unflatten(-1, (self.key_heads, -1)).transpose(1, 2)
        return x + scaled_dot_product_attention(query, key, key, **self.options).transpose(1, 2).flatten(2)

    def queries_and_keys(self, inputs):
        query = array(inputs) @ array(self.query.weight).T + array(self.query.bias)
        key = array(inputs) @ array(self.key.weight).T + array(self.key.bias)
        key = key.reshape(*key.shape[:2], self.key_heads, -1).swapaxes(1, 2)
        return heads(query), key.repeat(HEADS // self.key_heads, axis=1)


FLOATS = torch.randn(TOKENS, TOKENS, generator=torch.Generator().manual_seed(1))
NUMBERS = torch.where(torch.from_numpy(CAUSAL), FLOATS, -torch.inf)


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({}, {}),
        ({"is_causal": True}, {"allowed": CAUSAL}),
        ({"attn_mask": torch.from_numpy(CAUSAL)}, {"allowed": CAUSAL}),
        ({"attn_mask": NUMBERS}, {"allowed": CAUSAL, "added": array(FLOATS)}),
        ({"scale": 2.0}, {"scale": 2.0}),
        ({"key_heads": 1, "enable_gqa": True}, {}),
    ],
    ids=["plain", "causal", "bools", "numbers", "scale", "grouped"],
)
def test_dot_products(tmp_path, options, mask):
    torch.manual_seed(0)
    model = nn.Sequential(Written(**options), nn.Linear(WIDTH, 3))
    values, names = record(tmp_path / "run.h5", model)
    assert names == ("0",)
    np.testing.assert_allclose(values[0], expected(*model[0].queries_and_keys(INPUTS), **mask), rtol=1e-5)


class MultiHead(nn.Module):
    """`nn.MultiheadAttention` within a model; the second call looks at other keys, of another width."""

    def __init__(self, need_weights=False, mask=None, padding=None, **options):
        super().__init__()
        self.own = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, **options)
        self.other = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, kdim=2, vdim=2)
        self.head = nn.Linear(WIDTH, 3)
        self.padding = padding
        self.options = {"need_weights": need_weights, "attn_mask": mask}

    def forward(self, x):
        padding = None if self.padding is None else self.padding[: len(x)]
        h = x + self.own(x, x, x, key_padding_mask=padding, **self.options)[0]
        short = x[:, :3, :2]
        return self.head(h + self.other(x, short, short)[0])

    def queries_and_keys(self, inputs):
        parts = zip(array(self.own.in_proj_weight).reshape(3, WIDTH, WIDTH)[:2], (0, 1), strict=True)
        biases = np.zeros((3, WIDTH)) if self.own.in_proj_bias is None else array(self.own.in_proj_bias).reshape(3, -1)
        return tuple(heads(array(inputs) @ weight.T + biases[i]) for weight, i in parts)


PADDING = torch.tensor([[False, False, False, True]]).expand(SAMPLES, -1)


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({}, {}),
        ({"need_weights": True}, {}),
        ({"bias": False}, {}),
        ({"mask": torch.from_numpy(~CAUSAL)}, {"allowed": CAUSAL}),
        ({"mask": NUMBERS}, {"allowed": CAUSAL, "added": array(FLOATS)}),
        ({"padding": PADDING}, {"allowed": ~PADDING.numpy()[:, None, None]}),
    ],
    ids=["plain", "weights", "no bias", "bools", "numbers", "padding"],
)
def test_multi_head_attention(tmp_path, options, mask):
    torch.manual_seed(0)
    model = MultiHead(**options)
    values, names = record(tmp_path / "run.h5", model, last_layer="head")
    assert names == ("own", "other")
    np.testing.assert_allclose(values[0], expected(*model.queries_and_keys(INPUTS), **mask), rtol=1e-5)
    inputs, bias = array(INPUTS), array(model.other.in_proj_bias).reshape(3, -1)
    queries = heads(inputs @ array(model.other.q_proj_weight).T + bias[0])
    keys = heads(inputs[:, :3, :2] @ array(model.other.k_proj_weight).T + bias[1])
    np.testing.assert_allclose(values[1], expected(queries, keys), rtol=1e-5)


def test_an_encoder_of_pytorch(tmp_path):
    """Its fast path, which it takes in evaluation mode, calls no attention that could be seen."""
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 8, batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 3), nn.Linear(WIDTH, 3))
    values, names = record(tmp_path / "run.h5", model)
    assert names == tuple(f"0.layers.{i}.self_attn" for i in range(3))
    own = layer.self_attn
    weights, bias = (array(p).reshape(3, WIDTH, -1) for p in (own.in_proj_weight, own.in_proj_bias))
    queries, keys = (heads(array(INPUTS) @ weights[i].T + bias[i, :, 0]) for i in (0, 1))
    np.testing.assert_allclose(values[0], expected(queries, keys), rtol=1e-5)


def test_queries_without_keys_do_not_count(tmp_path):
    allowed = CAUSAL.copy()
    allowed[1] = False
    torch.manual_seed(0)
    model = nn.Sequential(Written(attn_mask=torch.from_numpy(allowed)), nn.Linear(WIDTH, 3))
    values, _ = record(tmp_path / "run.h5", model)
    queries, keys = model[0].queries_and_keys(INPUTS)
    largest, entropy, _ = expected(queries[:, :, [0, 2, 3]], keys, allowed=CAUSAL[[0, 2, 3]])
    np.testing.assert_allclose(values[0, :2], [largest, entropy], rtol=1e-5)


def test_values_that_are_not_finite_stay(tmp_path):
    model = nn.Sequential(Written(), nn.Linear(WIDTH, 3))
    with torch.no_grad():
        model[0].query.weight[0, 0] = torch.nan
    values, _ = record(tmp_path / "run.h5", model)
    assert np.isnan(values).all()


def test_a_module_that_is_called_twice(tmp_path):
    attention = Written()
    model = nn.Sequential(attention, attention, nn.Linear(WIDTH, 3))
    values, names = record(tmp_path / "run.h5", model)
    assert names == ("0", "0#2")
    assert values[0, 0] != values[1, 0]


def test_the_batch_is_cut_where_attention_is_large(tmp_path, monkeypatch):
    size = HEADS * TOKENS * TOKENS * 4
    monkeypatch.setattr("slingshot_analysis.recording.probes.attention.WEIGHT_BYTES", 2 * size)
    model = nn.Sequential(Written(), nn.Linear(WIDTH, 3))
    values, _ = record(tmp_path / "run.h5", model)
    np.testing.assert_allclose(values[0], expected(*model[0].queries_and_keys(INPUTS[:2])), rtol=1e-5)


def test_a_compiled_part_of_the_model_is_not_compiled_anew(tmp_path):
    compiled, written = [], Written()
    backend = lambda graph, inputs: compiled.append(graph) or graph.forward  # noqa: E731
    model = nn.Sequential(torch.compile(written, backend=backend), nn.Linear(WIDTH, 3))
    with torch.no_grad():
        model.eval()(INPUTS)
    before = len(compiled)
    values, _ = record(tmp_path / "run.h5", model)
    np.testing.assert_allclose(values[0], expected(*written.queries_and_keys(INPUTS)), rtol=1e-5)
    assert len(compiled) == before > 0


def test_a_model_without_attention(tmp_path):
    with pytest.raises(InputError, match=r"needs inputs, and a model that calls .* or leave it out of probes="):
        record(tmp_path / "run.h5", nn.Sequential(nn.Linear(WIDTH, 3)))
