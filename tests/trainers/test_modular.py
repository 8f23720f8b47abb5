"""The algorithmic tasks against tables in plain Python, and the Transformer against PyTorch's own and itself."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from slingshot_analysis import InputError
from slingshot_analysis.recording.subject.model import find_feature_layers, find_last_layer
from trainers.data.modular import OPERATIONS, ModularArithmetic
from trainers.data.permutations import PermutationGroup
from trainers.models.transformer import Block, Decoder, NormalizedLinear, Transformer, sines
from trainers.setups.modular import SETUPS

BY_NAME = {setup.name: setup for setup in SETUPS}


def quotient(a, b, p):
    return a * pow(b, -1, p)


TABLE = {
    "addition": lambda a, b, p: a + b,
    "subtraction": lambda a, b, p: a - b,
    "multiplication": lambda a, b, p: a * b,
    "division": quotient,
    "square_plus": lambda a, b, p: a * a + b,
    "cube_plus": lambda a, b, p: a * a * a + b,
    "sum_of_squares": lambda a, b, p: a * a + b * b,
    "quadratic": lambda a, b, p: a * a + a * b + b * b,
    "quadratic_plus": lambda a, b, p: a * a + a * b + b * b + b,
    "cubic": lambda a, b, p: a * a * a + a * b,
    "cubic_plus": lambda a, b, p: a * a * a + a * b * b + b,
    "odd_divide_else_subtract": lambda a, b, p: quotient(a, b, p) if b % 2 else a - b,
    "even_add_else_multiply": lambda a, b, p: a * b if a % 2 else a + b,
    "even_add_else_subtract": lambda a, b, p: a - b if a % 2 else a + b,
}


def sample(config, seed=0):
    return config.make(torch.Generator().manual_seed(seed))


def equations(data):
    """Return {(a, b): c} over both sets, and the (∘, =) tokens that occur."""
    tokens = torch.cat([data.train_inputs, data.val_inputs]).tolist()
    answers = torch.cat([data.train_targets, data.val_targets]).tolist()
    table = {(a, b): c for (a, _, b, _), c in zip(tokens, answers, strict=True)}
    assert len(table) == len(tokens)
    return table, {(operator, equals) for _, operator, _, equals in tokens}


@pytest.mark.parametrize("p", [2, 7, 97])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_modular_equations(operation, p):
    divisors = range(1 if operation == "division" else 0, p)
    expected = {(a, b): TABLE[operation](a, b, p) % p for a in range(p) for b in divisors}
    assert equations(sample(ModularArithmetic(operation, p))) == (expected, {(p, p + 1)})


@pytest.mark.parametrize("operation", ["multiplication", "conjugation", "sandwich"])
@pytest.mark.parametrize("n", [3, 5])
def test_permutation_equations(operation, n):
    elements = list(permutations(range(n)))
    number = {element: i for i, element in enumerate(elements)}

    def after(a, b):
        return tuple(a[b[x]] for x in range(n))

    def inverse(a):
        return tuple(a.index(x) for x in range(n))

    def answer(a, b):
        last = {"multiplication": elements[0], "conjugation": inverse(a), "sandwich": a}[operation]
        return after(after(a, b), last)

    expected = {(number[a], number[b]): number[answer(a, b)] for a in elements for b in elements}
    operator = len(elements)
    assert equations(sample(PermutationGroup(operation, n))) == (expected, {(operator, operator + 1)})


@pytest.mark.parametrize(
    ("config", "train", "val", "classes"),
    [
        (ModularArithmetic("division"), 4656, 4656, 97),
        (ModularArithmetic("addition"), 4704, 4705, 97),
        (ModularArithmetic("addition", train_share=0.3), 2822, 6587, 97),
        (PermutationGroup("sandwich"), 7200, 7200, 120),
    ],
)
def test_the_split(config, train, val, classes):
    data = sample(config)
    assert (len(data.train_inputs), len(data.val_inputs), data.classes) == (train, val, classes)
    assert torch.equal(data.train_inputs, sample(config).train_inputs)
    assert not torch.equal(data.train_inputs, sample(config, seed=1).train_inputs)
    # a random half holds each a about equally often: the standard deviation is at most 6
    share = train / (train + val)
    counts = torch.bincount(data.train_inputs[:, 0], minlength=classes)
    assert (counts - share * (train + val) / classes).abs().max() < 30


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModularArithmetic("divison"), "did you mean 'division'"),
        (lambda: ModularArithmetic("division", p=91), "prime p, got 91"),
        (lambda: ModularArithmetic("division", p=1), "prime p, got 1"),
        (lambda: sample(ModularArithmetic("division", train_share=1.0)), "equations in both sets"),
        (lambda: sample(ModularArithmetic("division", train_share=math.nan)), "equations in both sets"),
        (lambda: sample(ModularArithmetic("division", train_share=math.inf)), "equations in both sets"),
        (lambda: sample(PermutationGroup("sandwich", train_share=0.0)), "equations in both sets"),
        (lambda: PermutationGroup("addition"), "unknown operation 'addition'"),
        (lambda: PermutationGroup("sandwich", n=9), "2 to 6, got 9"),
        (lambda: Transformer(width=128, heads=3), "heads that divide its width"),
        (lambda: Transformer(layers=0), "at least one layer"),
        (lambda: Transformer(norm="none"), "norm is 'none'; allowed: post, pre"),
        (lambda: Transformer(positions="rotary"), "positions is 'rotary'; allowed: sines, learned"),
        (lambda: Transformer(initialization="big"), "initialization is 'big'; allowed: pytorch, gpt2"),
        (lambda: Transformer(temperature=-0.1), "above 0, or 0 for the plain head"),
    ],
)
def test_wrong_values_say_what_is_allowed(make, message):
    with pytest.raises(InputError, match=message):
        make()


def build(data, **changes):
    torch.manual_seed(4)
    return Transformer(**changes).build(data).double()


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_last_position_gradients_are_those_of_all_positions(layers, norm):
    data = sample(ModularArithmetic("division"))
    gradients = []
    for last_only in (True, False):
        model = build(data, layers=layers, norm=norm)
        model.blocks[-1].last_only = last_only
        loss = cross_entropy(model(data.train_inputs[:256]), data.train_targets[:256])
        gradients.append([loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))])
    for last, every in zip(*gradients, strict=True):
        assert every.any()
        torch.testing.assert_close(last, every, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_block_is_pytorchs_layer(norm, bias):
    torch.manual_seed(2)
    block = Block(width=24, heads=3, norm=norm, bias=bias, last_only=False).double()
    options = {"dropout": 0.0, "batch_first": True, "norm_first": norm == "pre"}
    layer = nn.TransformerEncoderLayer(24, 3, 96, **options).double()
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(torch.cat([block.query.weight, block.key_value.weight]))
        layer.self_attn.out_proj.weight.copy_(block.output.weight)
        layer.linear1.weight.copy_(block.mlp[0].weight)
        layer.linear2.weight.copy_(block.mlp[2].weight)
        of_layer = [*layer.self_attn.in_proj_bias.split([24, 48]), layer.self_attn.out_proj.bias]
        of_layer += [layer.linear1.bias, layer.linear2.bias]
        of_block = [module.bias for module in (block.query, block.key_value, block.output, block.mlp[0], block.mlp[2])]
        for there, here in zip(of_layer, of_block, strict=True):
            there.zero_()
            if bias:
                there.copy_(here)
    x = torch.randn(5, 4, 24, dtype=torch.float64)
    mask = nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    torch.testing.assert_close(block(x), layer(x, src_mask=mask, is_causal=True), rtol=1e-10, atol=1e-12)


def test_no_position_sees_a_later_one():
    data = sample(ModularArithmetic("addition", p=7))
    model = build(data)
    model.blocks[-1].last_only = False
    outputs = []
    model.blocks[-1].register_forward_hook(lambda module, given, made: outputs.append(made.detach()))
    tokens = data.train_inputs[:8]
    model(tokens)
    for position in range(4):
        changed = tokens.clone()
        changed[:, position] = (changed[:, position] + 1) % 9
        model(changed)
        difference = (outputs[-1] - outputs[0]).abs().amax(2)
        assert not difference[:, :position].any()
        assert (difference[:, position:] > 0).all()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("positions", ["learned", "sines"])
@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize(("layers", "width", "heads"), [(2, 128, 4), (1, 32, 2), (4, 64, 8)])
def test_number_of_parameters(layers, width, heads, norm, positions, bias):
    data = sample(ModularArithmetic("division"))
    model = build(data, layers=layers, width=width, heads=heads, norm=norm, positions=positions, bias=bias)
    of_a_block = 4 * width**2 + 2 * 4 * width**2 + 2 * 2 * width + (9 * width if bias else 0)
    expected = layers * of_a_block + (99 + 97 + (4 if positions == "learned" else 0)) * width
    expected += 2 * width if norm == "pre" else 0
    assert sum(p.numel() for p in model.parameters()) == expected
    assert model(data.val_inputs[:3]).shape == (3, 97)


def test_with_all_tokens_it_has_the_parameters_of_power_et_al():
    tokens = 2 + 20 + 97 + 120  # <|eos|> and =, operators, numbers, permutations
    model = Decoder(Transformer(), vocabulary=tokens, length=6, classes=tokens)
    assert sum(p.numel() for p in model.parameters()) == 455_424
    assert not any(name.endswith("bias") and "norm" not in name for name, _ in model.named_parameters())


def test_sines_are_those_of_vaswani_et_al():
    expected = [
        [math.sin(p / 10_000 ** (i / 6)) if i % 2 == 0 else math.cos(p / 10_000 ** ((i - 1) / 6)) for i in range(6)]
        for p in range(5)
    ]
    torch.testing.assert_close(sines(5, 6), torch.tensor(expected))


@pytest.mark.parametrize("positions", ["learned", "sines"])
@pytest.mark.parametrize(("initialization", "tokens", "head"), [("gpt2", 0.02, 0.02), ("pytorch", 1.0, 1 / 384**0.5)])
def test_standard_deviations_at_the_start(initialization, tokens, head, positions):
    torch.manual_seed(1)
    model = Transformer(initialization=initialization, positions=positions).build(sample(ModularArithmetic("division")))
    assert model.tokens.weight.std().item() == pytest.approx(tokens, rel=0.05)
    assert model.head.weight.std().item() == pytest.approx(head, rel=0.05)
    if positions == "learned":
        assert model.positions.std().item() == pytest.approx(tokens, rel=0.1)
    else:
        assert torch.equal(model.positions, sines(4, 128))
        assert "positions" not in dict(model.named_parameters())


def test_the_recorder_finds_blocks_and_head():
    data = sample(ModularArithmetic("division"))
    model = build(data, norm="post")
    inputs = data.train_inputs[:8]
    assert find_last_layer(model, inputs) == find_last_layer(model, None) == "head"
    assert find_feature_layers(model, "head", inputs) == ["blocks.0", "blocks.1"]
    assert find_feature_layers(build(data, norm="pre"), "head", inputs) == ["blocks.0", "blocks.1", "head:input"]


def test_a_normalised_head_gives_cosines_over_the_temperature():
    head = NormalizedLinear(5, 3, temperature=0.25)
    features = torch.randn(4, 5, generator=torch.Generator().manual_seed(3))
    f, w = features.numpy().astype(float), head.weight.detach().numpy().astype(float)
    cosines = f @ w.T / np.outer(np.linalg.norm(f, axis=1), np.linalg.norm(w, axis=1))
    np.testing.assert_allclose(head(features).detach(), cosines / 0.25, rtol=1e-5, atol=1e-6)
    before = head(features)
    head.weight.data *= torch.tensor([[2.0], [30.0], [0.1]])
    torch.testing.assert_close(head(7 * features), before)


def test_a_temperature_changes_the_head_alone():
    data = sample(ModularArithmetic("division"))
    plain, normalized = build(data), build(data, temperature=0.5)
    assert find_last_layer(normalized, data.train_inputs[:8]) == "head"
    for (name, a), (other, b) in zip(plain.named_parameters(), normalized.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(a, b)
    assert type(plain.head) is nn.Linear


def test_setups_cover_every_operation():
    assert set(BY_NAME) == {
        *(f"modular_{operation}" for operation in TABLE),
        *(f"s5_{operation}" for operation in ("multiplication", "conjugation", "sandwich")),
        "modular_division_sgd",
        "modular_division_weight_decay",
        "modular_division_normalized",
        "modular_division_prenorm",
    }
