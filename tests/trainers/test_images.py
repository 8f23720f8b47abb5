"""The image networks against closed forms, plain functions and PyTorch's encoder; what recording needs of them."""

import dataclasses
import types
from itertools import pairwise

import numpy as np
import pytest
import torch
from bundles import AT_FIXED_STEPS
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import conv2d, cross_entropy, linear, max_pool2d, relu, unfold

from slingshot_analysis import InputError, Recorder
from slingshot_analysis.recording.subject.model import find_feature_layers, find_last_layer
from trainers import cost
from trainers.data.cifar10 import RandomImages
from trainers.data.parity import SparseParity
from trainers.loop import train
from trainers.models.vgg import VGG
from trainers.models.vit import ViT
from trainers.overrides import override_all
from trainers.run import Run
from trainers.setups import find_setup

CPU = torch.device("cpu")
LAYOUT = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]
SMALL_VIT = ViT(layers=3, width=24, heads=4, patch=8, mlp_ratio=2)


def images(count):
    return RandomImages(count).make(torch.Generator().manual_seed(1))


def build(config, dtype=torch.float64):
    torch.manual_seed(0)
    return config.build(images(1)).to(dtype)


def size(model):
    return sum(p.numel() for p in model.parameters())


def is_close(a, b, **tolerances):
    torch.testing.assert_close(a, b, **{"rtol": 1e-10, "atol": 1e-12, **tolerances})


@pytest.mark.parametrize("batch_norm", [False, True])
def test_size_of_vgg11(batch_norm):
    channels = [3, *(word for word in LAYOUT if word != "M")]
    convolutions = sum(9 * a * b + b for a, b in pairwise(channels))
    norms = 2 * sum(channels[1:]) if batch_norm else 0
    assert size(build(VGG(batch_norm))) == convolutions + norms + 512 * 10 + 10


@pytest.mark.parametrize(("name", "width", "millions"), [("cifar10_vit_1000", 256, 10), ("cifar10_vit", 384, 21)])
def test_size_of_vit(name, width, millions):
    attention, mlp, norms = 4 * (width**2 + width), 2 * 4 * width**2 + 5 * width, 2 * 2 * width
    tokens = (3 * 4 * 4 * width + width) + width + (1 + 8 * 8) * width
    model = build(find_setup(name).model)
    assert size(model) == tokens + 12 * (attention + mlp + norms) + 2 * width + (10 * width + 10)
    assert round(size(model) / 1e6) == millions


@pytest.mark.parametrize("batch_norm", [False, True])
def test_vgg_against_functions(batch_norm):
    """The layout word by word, with batch norm written out."""
    model = build(VGG(batch_norm))
    x = inputs = torch.rand(6, 3, 32, 32, dtype=torch.float64)
    weights = iter(model.parameters())
    for word in LAYOUT:
        if word == "M":
            x = max_pool2d(x, 2, 2)
            continue
        x = conv2d(x, next(weights), next(weights), padding=1)
        assert x.shape[1] == word
        if batch_norm:
            mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, correction=0)
            x = (x - mean) / torch.sqrt(variance + 1e-5)
            x = x * next(weights)[:, None, None] + next(weights)[:, None, None]
        x = relu(x)
    assert x.shape == (6, 512, 1, 1)
    is_close(model(inputs), linear(x[:, :, 0, 0], next(weights), next(weights)), rtol=1e-8)
    assert next(weights, None) is None


def pytorch_layer(block, width, heads):
    """Return nn.TransformerEncoderLayer with the weights of an EncoderBlock."""
    layer = nn.TransformerEncoderLayer(
        width, heads, block.mlp[0].out_features, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    pairs = {
        "self_attn.out_proj": block.output, "linear1": block.mlp[0], "linear2": block.mlp[2],
        "norm1": block.attention_norm, "norm2": block.mlp_norm,
    }  # fmt: skip
    state = {f"{name}.{part}": getattr(m, part) for name, m in pairs.items() for part in ("weight", "bias")}
    state["self_attn.in_proj_weight"] = torch.cat([block.query.weight, block.key_value.weight])
    state["self_attn.in_proj_bias"] = torch.cat([block.query.bias, block.key_value.bias])
    layer.load_state_dict(state)
    return layer


def test_vit_against_pytorch():
    """Patches by unfolding, PyTorch's encoder at all positions: same logits, same gradients of the tokens."""
    model = build(SMALL_VIT)
    nn.init.normal_(model.class_token)
    inputs = torch.rand(5, 3, 32, 32, dtype=torch.float64)
    patches = linear(unfold(inputs, 8, stride=8).transpose(1, 2), model.patches.weight.flatten(1), model.patches.bias)
    x = torch.cat([model.class_token.expand(5, 1, 24), patches], 1) + model.positions
    for block in model.blocks:
        x = pytorch_layer(block, 24, 4)(x)
    expected = linear(model.norm(x)[:, 0], model.head.weight, model.head.bias)
    logits = model(inputs)
    assert logits.shape == (5, 10)
    is_close(logits, expected)
    weights = [model.class_token, model.positions, model.patches.weight]
    for a, b in zip(*(torch.autograd.grad(y.square().sum(), weights) for y in (logits, expected)), strict=True):
        is_close(a, b)


@pytest.mark.parametrize("config", [VGG(), VGG(batch_norm=True), SMALL_VIT])
def test_hessian_vector_products_against_differences_of_gradients(config):
    model, data, step = build(config), images(4), 1e-8
    inputs, targets = data.train_inputs.double(), data.train_targets
    parameters = list(model.parameters())
    direction = [torch.randn_like(p) * p.detach().std() for p in parameters]

    def gradient(**options):
        return torch.autograd.grad(cross_entropy(model(inputs), targets), parameters, **options)

    def moved(by):
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p.add_(d, alpha=by)

    with sdpa_kernel(SDPBackend.MATH):
        products = torch.autograd.grad(gradient(create_graph=True), parameters, direction)
    moved(step)
    forward = gradient()
    moved(-2 * step)
    backward = gradient()
    flat = [torch.cat([part.flatten() for part in parts]) for parts in (products, forward, backward)]
    expected = (flat[1] - flat[2]) / (2 * step)
    assert expected.norm() > 0
    assert (flat[0] - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("batch_norm", [False, True])
def test_features_of_vgg_are_its_relus(batch_norm):
    model, inputs = build(VGG(batch_norm), torch.float32), images(2).train_inputs
    relus = [name for name, module in model.named_children() if isinstance(module, nn.ReLU)]
    assert len(relus) == 8
    last = find_last_layer(model, inputs)
    assert model.get_submodule(last).out_features == 10
    assert find_feature_layers(model, last, inputs) == [*relus, f"{last}:input"]


def test_features_of_vit_are_its_blocks():
    model, inputs = build(SMALL_VIT, torch.float32), images(2).train_inputs
    assert find_last_layer(model, inputs) == "head"
    assert find_feature_layers(model, "head", inputs) == ["blocks.0", "blocks.1", "blocks.2", "head:input"]


def test_recording_leaves_weights_and_running_statistics_bit_identical(tmp_path, monkeypatch):
    for name, records in [("data_batch_1.bin", 24), ("test_batch.bin", 6)]:
        random = np.random.default_rng(records)
        rows = np.hstack([random.integers(0, 10, (records, 1)), random.integers(0, 256, (records, 3072))])
        (tmp_path / name).write_bytes(rows.astype(np.uint8).tobytes())
    monkeypatch.setenv("SLINGSHOT_DATA", str(tmp_path))
    setup = override_all(find_setup("cifar10_vgg11_bn_200"), ["data.train=12", "batch_size=6", "steps=2"])
    bare, recorded = Run(setup, CPU), Run(setup, CPU)
    start = {name: value.clone() for name, value in bare.model.state_dict().items()}
    train(bare)
    data = recorded.data
    sets = {
        "train_data": (data.train_inputs, data.train_targets),
        "val_data": (data.val_inputs, data.val_targets),
    }
    with Recorder(tmp_path / "run.h5", recorded.model, recorded.optimizer, probes=AT_FIXED_STEPS, **sets) as recorder:
        train(recorded, recorder)
    assert any(name.endswith("running_var") for name in start)
    for name, value in bare.model.state_dict().items():
        assert torch.equal(value, recorded.model.state_dict()[name]), name
        assert not torch.equal(value, start[name]), name


@pytest.mark.parametrize("config", [VGG(), ViT()])
def test_samples_that_are_no_images_are_refused(config):
    with pytest.raises(InputError, match=r"\(50,\)"):
        config.build(SparseParity(train=1, val=1).make(torch.Generator()))


@pytest.mark.parametrize(
    ("assignment", "message"),
    [("model.heads=7", "heads that divide its width"), ("model.patch=0", "at least 1"), ("model.layers=0", "at least")],
)
def test_wrong_overrides_of_vit_say_what_is_allowed(assignment, message):
    with pytest.raises(InputError, match=message):
        override_all(find_setup("cifar10_vit"), [assignment])


def test_patches_tile_the_image():
    with pytest.raises(InputError, match=r"shape \(3, 32, 32\) can't be divided into patches of 5 x 5"):
        build(ViT(patch=5))


@dataclasses.dataclass(frozen=True)
class Slow:
    """A network whose forward pass moves a clock of its own, and notes its batch size."""

    per_update: float
    per_sample: float

    def build(self, data):
        config = self

        class Module(nn.Linear):
            def forward(self, inputs):
                Slow.batches.append(len(inputs))
                Slow.now += config.per_update + config.per_sample * len(inputs)
                return super().forward(inputs.flatten(1))

        return Module(data.train_inputs[0].numel(), data.classes)


@pytest.mark.parametrize(("per_update", "per_sample", "largest"), [(0.0, 0.01, 32), (0.01, 0.0, 512), (0.0, 1.0, 16)])
def test_cost_of_a_slow_update_is_measured_on_a_part_of_its_batch(per_update, per_sample, largest, monkeypatch):
    Slow.batches, Slow.now = [], 0.0
    monkeypatch.setattr(cost, "time", types.SimpleNamespace(perf_counter=lambda: Slow.now))
    monkeypatch.setenv("SLINGSHOT_DATA", "no images here")
    setup = dataclasses.replace(find_setup("cifar10_vit"), model=Slow(per_update, per_sample))
    measured = cost.estimate_cost(setup)
    assert measured.seconds_per_update == pytest.approx(per_update + 512 * per_sample)
    assert measured.parameters == 3072 * 10 + 10
    assert max(Slow.batches) == largest
