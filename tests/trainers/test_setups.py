"""The setups against the paper, value by value, and the loop against a loop written out by hand."""

import dataclasses

import numpy as np
import pytest
import torch
from outside import outside
from torch import nn

from slingshot_analysis import InputError, Recorder, open_trace
from trainers.cost import estimate_cost
from trainers.data.parity import SparseParity
from trainers.loop import Run, train
from trainers.overrides import override_all, with_optimizer
from trainers.recorded_run import default_name, find_device, record
from trainers.setup import settings_of
from trainers.setups import SETUPS, find_setup

CPU = torch.device("cpu")

TRANSFORMER = {"model.layers": 2, "model.width": 128, "model.heads": 4, "data.train_share": 0.5, "batch_size": 512}
WARMED_UP = {"optimizer.lr": 1e-3, "optimizer.betas": (0.9, 0.98), "optimizer.eps": 1e-8, "optimizer.warmup": 10}
ADAM = {"optimizer.lr": 1e-3, "optimizer.betas": (0.9, 0.95), "optimizer.eps": 1e-8}
CIFAR = {"data.train": 200, "data.val": 10_000, "batch_size": 200}
DEEP_LINEAR = CIFAR | {"model.layers": 6, "model.linear": True}
OPERATIONS = (
    "addition", "subtraction", "multiplication", "division", "square_plus", "cube_plus", "sum_of_squares", "quadratic",
    "quadratic_plus", "cubic", "cubic_plus", "odd_divide_else_subtract", "even_add_else_multiply",
    "even_add_else_subtract",
)  # fmt: skip

PAPER = {
    "parity_3_50": {
        "data.n": 50,
        "data.k": 3,
        "data.train": 1000,
        "data.val": 8000,
        "model.layers": 3,
        "model.width": 128,
        "optimizer.lr": 0.004,
        "optimizer.betas": (0.9, 0.999),
        "optimizer.eps": 1e-8,
        "batch_size": 32,
        "dtype": "float32",
        "loss_dtype": "same",
    },
    "hypercube": ADAM
    | {"data.dimensions": 128, "data.informative": 3, "data.classes": 8, "data.train": 256, "data.val": 256}
    | {"model.layers": 4, "model.linear": False, "batch_size": 128},
    "cifar10_fcn6_200": CIFAR | ADAM | {"model.layers": 6, "model.linear": False},
    "cifar10_linear_200": CIFAR | ADAM | {"model.layers": 1},
    "cifar10_mlp2_200": CIFAR | ADAM | {"model.layers": 2, "model.linear": False},
    "cifar10_mlp3_200": CIFAR | ADAM | {"model.layers": 3, "model.linear": False},
    "cifar10_deep_linear_200": DEEP_LINEAR | ADAM,
    "cifar10_deep_linear_200_rmsprop": DEEP_LINEAR | {"optimizer.alpha": 0.95, "optimizer.momentum": 0.0},
    "cifar10_deep_linear_200_gd": DEEP_LINEAR | {"optimizer.momentum": 0.9, "optimizer.weight_decay": 0.0},
    "cifar10_vgg11_200": CIFAR | ADAM | {"model.batch_norm": False},
    "cifar10_vgg11_bn_200": CIFAR | ADAM | {"model.batch_norm": True},
    "cifar10_vit_1000": ADAM | {"data.train": 1000, "data.val": 10_000, "model.layers": 12, "batch_size": 128},
    "cifar10_vit": {"optimizer.lr": 1e-4, "optimizer.betas": (0.9, 0.95), "optimizer.eps": 1e-8}
    | {"optimizer.weight_decay": 0.0, "optimizer.warmup": 97, "data.train": 50_000, "data.val": 10_000}
    | {"model.layers": 12, "model.width": 384, "model.heads": 12, "batch_size": 512},
    "modular_division_sgd": TRANSFORMER
    | {"data.operation": "division", "data.p": 97, "optimizer.lr": 0.01, "optimizer.momentum": 0.9, "steps": 1_500_000},
    "modular_division_weight_decay": TRANSFORMER
    | WARMED_UP
    | {"data.operation": "division", "data.p": 97, "optimizer.weight_decay": 0.1},
    "modular_division_normalized": TRANSFORMER
    | WARMED_UP
    | {"data.operation": "division", "data.p": 97, "model.temperature": 0.5},
    "quadratic": {"optimizer.betas": (0.0, 0.0), "loss": "output"},
}
PAPER |= {
    f"modular_{operation}": {"data.operation": operation, "data.p": 97, "steps": 500_000} | TRANSFORMER | WARMED_UP
    for operation in OPERATIONS
}
PAPER |= {
    f"s5_{operation}": {"data.operation": operation, "data.n": 5, "steps": 500_000} | TRANSFORMER | WARMED_UP
    for operation in ("multiplication", "conjugation", "sandwich")
}

BIG = {
    "cifar10_vgg11_200": (3, ["data.val=8"]),
    "cifar10_vgg11_bn_200": (3, ["data.val=8"]),
    "cifar10_vit_1000": (2, ["data.val=8", "data.train=32", "batch_size=32"]),
    "cifar10_vit": (1, ["data.val=8", "data.train=32", "batch_size=32"]),
}
"""Updates, and images, that fit into a test."""


def short(name="parity_3_50", **changes):
    return dataclasses.replace(find_setup(name), **{"steps": 40, **changes})


@pytest.mark.parametrize("name", SETUPS)
def test_a_setup_says_what_the_paper_says(name):
    fields = settings_of(find_setup(name))
    assert {key: fields[key] for key in PAPER[name]} == PAPER[name]
    assert find_setup(name).figures


@pytest.mark.parametrize("name", SETUPS)
def test_every_setup_trains_and_writes_a_trace(name, tmp_path, monkeypatch):
    if name.startswith("cifar10"):
        monkeypatch.setenv("SLINGSHOT_DATA", str(outside("cifar10")))
    steps, changes = BIG.get(name, (20, []))
    trace = open_trace(record(override_all(short(name, steps=steps), changes), tmp_path))
    assert trace.finished
    assert trace.attributes["setup"] == name
    assert len(trace["last_layer_norm"]) == steps
    assert np.isfinite(trace["batch_loss"].value).all()
    assert ("val_accuracy" in trace) == (name != "quadratic")


@pytest.mark.parametrize(("n", "k"), [(50, 3), (12, 2), (9, 9)])
def test_parity_labels_are_the_parity_of_k_bits(n, k):
    data = SparseParity(n=n, k=k, train=300, val=200).make(torch.Generator().manual_seed(5))
    bits = torch.cat([data.train_inputs, data.val_inputs]).numpy()
    targets = torch.cat([data.train_targets, data.val_targets]).numpy()
    assert set(np.unique(bits)) == {-1.0, 1.0}
    # over the field of two elements the label is linear in the bits: solve for which of them make it up
    rows = np.column_stack([(bits < 0).astype(int), targets])
    pivot = 0
    for column in range(n):
        candidates = np.flatnonzero(rows[pivot:, column]) + pivot
        rows[[pivot, candidates[0]]] = rows[[candidates[0], pivot]]
        others = np.flatnonzero(rows[:, column])
        rows[others[others != pivot]] ^= rows[pivot]
        pivot += 1
    assert rows[:n, n].sum() == k
    assert not rows[n:].any()


def test_the_loop_is_the_plain_loop():
    setup = short(steps=70)
    run = Run(setup, CPU)
    train(run)
    other = Run(setup, CPU)
    data, model, samples = other.data, other.model, len(other.data.train_inputs)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.004, betas=(0.9, 0.999), eps=1e-8, fused=True)
    seed = int(np.random.SeedSequence(setup.seed).spawn(3)[2].generate_state(1)[0])
    generator = torch.Generator().manual_seed(seed)
    for step in range(setup.steps):
        if step % 31 == 0:
            order = torch.randperm(samples, generator=generator)
        batch = order[step % 31 * 32 : step % 31 * 32 + 32]
        loss = nn.functional.cross_entropy(model(data.train_inputs[batch]), data.train_targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for a, b in zip(run.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_seed_fixes_data_initialisation_and_order():
    def weights(seed):
        torch.rand(1)
        run = Run(short(seed=seed), CPU)
        start = [p.clone() for p in run.model.parameters()]
        train(run)
        return run.data.train_inputs, start[0], next(iter(run.model.parameters()))

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_recording_a_setup_leaves_its_weights_bit_identical(tmp_path):
    setup = short(steps=200)
    bare, recorded = Run(setup, CPU), Run(setup, CPU)
    train(bare)
    data = recorded.data
    sets = {
        "train_data": (data.train_inputs, data.train_targets),
        "val_data": (data.val_inputs, data.val_targets),
    }
    with Recorder(tmp_path / "run.h5", recorded.model, recorded.optimizer, **sets) as recorder:
        train(recorded, recorder)
    for a, b in zip(bare.model.parameters(), recorded.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_dtypes():
    run = Run(short(dtype="float64"), CPU)
    assert {p.dtype for p in run.model.parameters()} == {torch.float64}
    assert short(loss_dtype="float64").torch_loss_dtype == torch.float64
    assert short(dtype="float64").torch_loss_dtype == torch.float64
    with pytest.raises(InputError, match="allowed: float32, float64"):
        short(dtype="float16")


def test_loss_dtype_casts_the_logits_only(tmp_path):
    trace = open_trace(record(short(loss_dtype="float64"), tmp_path))
    assert (trace.attributes["dtype"], trace.attributes["loss_dtype"]) == ("float32", "float64")
    np.testing.assert_allclose(trace["batch_loss"].value, trace["batch_loss_float64"].value, rtol=1e-12, atol=1e-15)


def test_overrides():
    setup = override_all(
        find_setup("parity_3_50"), ["optimizer.eps=1e-7", "optimizer.betas=0.9,0.95", "data.k=4", "model.width=64"]
    )
    assert (setup.optimizer.eps, setup.optimizer.betas, setup.data.k, setup.model.width) == (1e-7, (0.9, 0.95), 4, 64)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("optimizer.esp=1", "did you mean 'optimizer.eps'"),
        ("optimizer", "write it as key=value"),
        ("data.k=three", "not a valid int"),
        ("data.k=51", "1 <= k <= n"),
        ("optimizer.betas=0.9", "2 numbers"),
        ("optimizer.eps=-1", "eps at least 0"),
        ("model.width=0", "at least one layer"),
        ("batch_size=0", "at least 1"),
        ("name=x", "unknown key"),
        ("loss=stable", "did you mean 'stablemax'"),
    ],
)
def test_wrong_overrides_say_what_is_allowed(assignment, message):
    with pytest.raises(InputError, match=message):
        override_all(find_setup("parity_3_50"), [assignment])


def test_a_batch_larger_than_the_training_set_is_refused():
    with pytest.raises(InputError, match="only 1000 training samples"):
        Run(short(batch_size=2000), CPU)


def test_names_of_traces():
    assert default_name(find_setup("parity_3_50")) == "parity_3_50-s3.h5"
    setup = override_all(find_setup("parity_3_50"), ["optimizer.eps=1e-6", "optimizer.betas=0.9,0.95", "seed=7"])
    assert default_name(setup) == "parity_3_50-s7-optimizer.betas=0.9,0.95-optimizer.eps=1e-06.h5"


def test_names_of_traces_with_another_optimizer():
    setup = with_optimizer(find_setup("parity_3_50"), "adamw")
    assert default_name(setup) == "parity_3_50-s3-optimizer=AdamW.h5"
    setup = override_all(setup, ["optimizer.weight_decay=0.1", "loss=stablemax", "orthogonal_gradient=true"])
    changes = "optimizer=AdamW-optimizer.weight_decay=0.1-loss=stablemax-orthogonal_gradient=True"
    assert default_name(setup) == f"parity_3_50-s3-{changes}.h5"


def test_long_names_of_traces_are_cut_and_differ(tmp_path):
    long = dataclasses.replace(find_setup("parity_3_50"), name="µ" * 300, steps=2)
    names = [default_name(dataclasses.replace(long, seed=seed)) for seed in (0, 1)]
    assert len(set(names)) == 2
    assert all(len(name.encode()) < 220 for name in names)
    assert record(long, tmp_path / "runs", checkpoint_every=1).exists()
    with pytest.raises(InputError, match="can't be written"):
        record(long, tmp_path / f"{'a' * 250}.h5")


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(InputError, match="did you mean 'adam' or 'adamw'"):
        with_optimizer(find_setup("parity_3_50"), "adm")


def test_devices():
    assert find_device("cpu") == CPU
    assert find_device("auto").type in ("cpu", "cuda")
    for name in ("gpu7", "meta", "mps", "xpu", "cpu:7"):
        with pytest.raises(InputError, match=f"device='{name}': allowed are auto, cpu"):
            find_device(name)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA device"):
            find_device("cuda")


def test_cost_is_measured():
    cost = estimate_cost(find_setup("parity_3_50"))
    assert cost.parameters == 50 * 128 + 128 + 128 * 128 + 128 + 128 * 2 + 2
    assert 1e-6 < cost.seconds_per_update < 1


def test_recording_leaves_the_settings_of_the_process_alone(tmp_path):
    threads = torch.get_num_threads()
    record(short(steps=2), tmp_path, threads=threads + 1)
    assert torch.get_num_threads() == threads
    assert (torch.tensor([torch.finfo(torch.float32).tiny]) / 2).any()
    trace = open_trace(tmp_path / "parity_3_50-s3-steps=2.h5")
    assert trace.attributes["threads"] == threads + 1
    assert trace.attributes["flush_denormal"]
