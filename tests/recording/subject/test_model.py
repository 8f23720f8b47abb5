import pytest
import torch
from torch import nn

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.subject.model import ForwardPass, find_feature_layers, find_last_layer


class HeadFirst(nn.Module):
    """The module that makes the logits is registered first."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU())

    def forward(self, x):
        return self.head(self.body(x) * 2)


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.blocks = nn.ModuleList([nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(3)])
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def mlp():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def test_last_layer_is_the_one_called_last():
    inputs = torch.zeros(2, 4)
    assert find_last_layer(mlp(), inputs) == "2"
    assert find_last_layer(HeadFirst(), inputs) == "head"
    assert find_last_layer(HeadFirst(), None) == "body.0"
    assert find_last_layer(HeadFirst(), None, "head") == "head"
    assert find_last_layer(nn.Linear(4, 2), inputs) == ""


def test_last_layer_has_to_be_there():
    with pytest.raises(InputError, match="did you mean 'head'"):
        find_last_layer(HeadFirst(), None, "heat")
    with pytest.raises(InputError, match="last_layer="):
        find_last_layer(nn.BatchNorm1d(4), None)


def test_feature_layers():
    inputs = torch.ones(2, 4)
    assert find_feature_layers(mlp(), "2", inputs) == ["1"]
    assert find_feature_layers(HeadFirst(), "head", inputs) == ["body.1", "head:input"]
    tokens = torch.zeros(2, 5, dtype=torch.long)
    blocks = ["blocks.0", "blocks.1", "blocks.2", "head:input"]
    assert find_feature_layers(Transformer().eval(), "head", tokens) == blocks
    assert find_feature_layers(nn.Linear(4, 2), "", inputs) == [":input"]
    with pytest.raises(InputError, match="unknown feature layer"):
        find_feature_layers(mlp(), "2", inputs, ["7"])


def test_features_are_outputs_and_inputs():
    model, inputs = HeadFirst(), torch.randn(5, 4)
    body, into_head = ForwardPass(model, ["body.1", "head:input"]).features(inputs)
    assert torch.equal(body, model.body(inputs))
    assert torch.equal(into_head, 2 * model.body(inputs))
    assert not body.requires_grad
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_layer_that_is_never_called_is_an_error():
    model = HeadFirst()
    model.spare = nn.Linear(1, 1)
    with pytest.raises(InputError, match="never calls"):
        ForwardPass(model, ["spare"]).features(torch.zeros(1, 4))


def convolutional():
    body = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4, 2)]
    return nn.Sequential(*body), torch.randn(5, 3, 4, 4)


CASES = {
    "chain": lambda: (mlp(), torch.randn(5, 4)),
    "chain of images, in place": lambda: (
        nn.Sequential(nn.Flatten(), nn.Linear(12, 6, bias=False), nn.ReLU(inplace=True), nn.Linear(6, 2)),
        torch.randn(5, 3, 2, 2),
    ),
    "chain over a sequence": lambda: (mlp(), torch.randn(5, 3, 4)),
    "convolutional with batch norm": convolutional,
    "user's own": lambda: (HeadFirst(), torch.randn(5, 4)),
}


@pytest.mark.parametrize("case", CASES)
def test_features_of_states_are_those_of_the_model_in_each_state(case):
    model, inputs = CASES[case]()
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.ReLU)]
    states, expected = [], []
    for _ in range(3):
        model.train()(inputs)
        with torch.no_grad():
            for tensor in model.parameters():
                tensor.add_(torch.randn_like(tensor))
        states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        model.eval()
        outputs = [[] for _ in layers]
        modules = [model.get_submodule(layer) for layer in layers]
        hooks = [
            module.register_forward_hook(lambda m, i, out, keep=keep: keep.append(out.detach().clone()))
            for module, keep in zip(modules, outputs, strict=True)
        ]
        model(inputs)
        for hook in hooks:
            hook.remove()
        expected.append([out for (out,) in outputs])
    stacked = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    found = ForwardPass(model, layers).features_of_states(inputs, stacked)
    for of_layer, wanted in zip(found, zip(*expected, strict=True), strict=True):
        torch.testing.assert_close(of_layer, torch.stack(wanted))


def tied():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    model[2].weight = model[0].weight
    return model


def frozen(part):
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    (model[0] if part == "layer" else model[0].bias).requires_grad_(False)
    return model


@pytest.mark.parametrize("make", [lambda: frozen("layer"), lambda: frozen("bias"), tied])
def test_features_of_states_that_do_not_hold_every_weight_of_a_chain(make):
    model, inputs = make(), torch.randn(5, 4)
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    states, expected = [], []
    for _ in range(2):
        with torch.no_grad():
            for tensor in trainable.values():
                tensor.add_(torch.randn_like(tensor))
            expected.append(model[:2](inputs))
        states.append({name: tensor.detach().clone() for name, tensor in trainable.items()})
    stacked = {name: torch.stack([state[name] for state in states]) for name in trainable}
    (found,) = ForwardPass(model, ["1"]).features_of_states(inputs, stacked)
    torch.testing.assert_close(found, torch.stack(expected))
