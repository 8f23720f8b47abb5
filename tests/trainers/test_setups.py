"""A run of a setup against a loop written out by hand, and changes of a setup."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from slingshot_analysis import InputError, Recorder, open_trace
from trainers.cost import estimate_cost
from trainers.data.parity import SparseParity
from trainers.loop import train
from trainers.overrides import override_all, with_optimizer
from trainers.recorded_run import default_name, find_device, record
from trainers.run import Run
from trainers.setups import find_setup

CPU = torch.device("cpu")


def short(name="parity_3_50", **changes):
    return dataclasses.replace(find_setup(name), **{"steps": 40, **changes})


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
