"""Branches of recorded runs: the control repeats its parent to the bit, and each arm changes what it says."""

import dataclasses
import json
import multiprocessing
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from cli.main import main
from slingshot_analysis import InputError, open_trace
from slingshot_analysis.signal import Signal
from trainers.branch import branch, find_step, null_arms, open_parent, parse_arm, state_at
from trainers.overrides import override_all, with_optimizer
from trainers.recorded_run import record
from trainers.setups import find_setup

CPU = torch.device("cpu")
FAMILIES = {
    "parity_3_50": ["data.val=100", "model.width=32"],
    "hypercube": ["model.width=32"],
    "modular_division": ["data.p=11", "model.width=16", "batch_size=16"],
}
KINDS = "adam", "adamw", "rmsprop", "sgd", "adaptive"
DTYPES = "float32", "float64"
CASES = [(name, kind, dtype) for name in FAMILIES for kind in KINDS for dtype in DTYPES]


def slow_except(is_quick):
    """Return all cases, of which those that are not quick carry the marker."""
    return [pytest.param(*case, marks=[] if is_quick(*case) else pytest.mark.slow) for case in CASES]


PROBES = "batch,norms:1,evaluation:5"


def recorded(folder, name="parity_3_50", steps=30, settings=(), optimizer=None, **options):
    setup = find_setup(name) if optimizer is None else with_optimizer(find_setup(name), optimizer)
    setup = override_all(setup, [f"steps={steps}", *FAMILIES[name], *settings])
    return open_parent(record(setup, folder / "run.h5", probes=PROBES, **options))


def control_of(parent, step, steps, folder, **options):
    ((arm, found),) = branch(parent, step, steps, [], folder, probes=PROBES, **options)
    assert arm.name == "control"
    return found


@pytest.mark.parametrize(
    ("name", "optimizer", "dtype"), slow_except(lambda name, kind, _: name == "parity_3_50" or kind == "adam")
)
def test_the_control_equals_its_parent_to_the_bit(name, optimizer, dtype, tmp_path):
    settings = [f"dtype={dtype}", "optimizer.warmup=12"]
    parent = recorded(tmp_path, name, 20, settings, optimizer, checkpoint_every=6, keep=None)
    nulls, made = null_arms(parent.setup, 20, 1), []
    (_, found), _ = branch(parent, 8, 12, nulls, tmp_path, probes=PROBES, progress=lambda *a: made.append(a))
    assert found.is_equal
    assert (found.rows, found.signals) == (12, 14)
    one_by_one = {"control", "null-1"}
    assert {arm for arm, _ in made} - {"replay"} == (one_by_one if name == "modular_division" else {"arms"})


def test_without_a_checkpoint_a_branch_is_replayed_from_the_beginning(tmp_path):
    parent, made = recorded(tmp_path, settings=["dtype=float64"]), []
    assert control_of(parent, 10, 20, tmp_path / "branch", progress=lambda arm, at: made.append((arm, at))).is_equal
    assert made[:10] == [("replay", step) for step in range(1, 11)]
    made.clear()
    nulls = null_arms(parent.setup, 30, 1)
    with_others = branch(parent, 10, 20, nulls, tmp_path / "branch", progress=lambda *a: made.append(a))
    assert [arm.name for arm, _ in with_others] == ["control", "null-1"]
    assert {arm for arm, _ in made} == {"arms"}


def test_a_control_that_differs_ends_the_branch(tmp_path):
    parent = recorded(tmp_path)
    other = dataclasses.replace(parent, setup=dataclasses.replace(parent.setup, batch_size=31))
    results = list(branch(other, 0, 20, null_arms(other.setup, 20, 3), tmp_path / "branch", probes=PROBES))
    assert [(arm.name, found.is_equal) for arm, found in results] == [("control", False)]
    assert results[0][1].differs_at == 0


ARMS = {
    "optimizer.eps=1e-3": lambda run: run.optimizer.param_groups[0]["eps"] == 1e-3,
    "optimizer.lr=0.1,optimizer.betas=0.5,0.9": lambda run: run.optimizer.param_groups[0]["betas"] == (0.5, 0.9),
    "optimizer=adamw": lambda run: len(run.optimizer.state) == 6,
    "optimizer=adaptive": lambda run: {state["step"] for state in run.optimizer.state.values()} == {10},
    "optimizer=sgd": lambda run: not run.optimizer.state,
    "dtype=float64": lambda run: run.optimizer.state_dict()["state"][0]["exp_avg"].dtype == torch.float64,
    "loss_dtype=float64": lambda run: run.setup.torch_loss_dtype == torch.float64,
    "loss=stablemax,label_smoothing=0.1": lambda run: run.setup.loss_function.label_smoothing == 0.1,
    "reset=second_moment": lambda run: not run.optimizer.state_dict()["state"][4]["exp_avg_sq"].any(),
    "reset=moments": lambda run: run.optimizer.state_dict()["state"][4]["step"] == 0,
    "skip=4": lambda run: run.batches.state_dict()["taken"] == 14,
    "order=5": lambda run: run.batches.state_dict()["taken"] == 0,
    "norm=clamp": lambda run: run.setup.interventions.largest_norm == pytest.approx(run.model[4].weight.norm().item()),
    "perpendicular": lambda run: run.setup.orthogonal_gradient,
    "freeze=0+2": lambda run: run.intervening.is_needed,
    "clip_update=0.1,clip_gradient=1": lambda run: run.setup.interventions.clip_update == 0.1,
}


@pytest.fixture(scope="module")
def parent_and_state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parent")
    parent = recorded(folder)
    return parent, state_at(parent, 10, folder)


@pytest.mark.parametrize("text", ARMS)
def test_an_arm_changes_what_it_says_and_nothing_of_the_state(text, parent_and_state):
    parent, state = parent_and_state
    run = parse_arm(text, parent.setup, 30).begin(parent.setup, state, CPU, "4")
    assert ARMS[text](run)
    for name, weight in run.model.named_parameters():
        assert torch.equal(weight.to(torch.float32), state["model"][name]), name


TOGETHER = [
    "optimizer=sgd",
    "loss_dtype=float64",
    "loss=stablemax",
    "skip=3",
    "norm=clamp",
    "perpendicular",
]


def test_arms_that_are_trained_together_have_the_bits_that_each_has_alone(parent_and_state, tmp_path, monkeypatch):
    parent, _ = parent_and_state
    arms = [
        *null_arms(parent.setup, 30, 2),
        *(parse_arm(text, parent.setup, 30) for text in (*TOGETHER, "dtype=float64")),
    ]
    made = []
    together = list(branch(parent, 10, 20, arms, tmp_path / "a", probes=PROBES, progress=lambda *a: made.append(a)))
    assert {arm for arm, _ in made} == {"replay", "arms", "dtype=float64"}
    monkeypatch.setattr("trainers.branch.train.exact_key", lambda run: None)
    assert list(branch(parent, 10, 20, arms, tmp_path / "b", probes=PROBES)) == together
    for arm, _ in together:
        one, other = (open_trace(tmp_path / folder / arm.file) for folder in "ab")
        assert list(one) == list(other)
        for name in one:
            assert one[name].value.tobytes() == other[name].value.tobytes(), (arm.name, name)


def test_arms_are_trained_one_by_one_where_a_batch_rounds_differently(parent_and_state, tmp_path, monkeypatch):
    parent, _ = parent_and_state
    monkeypatch.setattr("trainers.passes.torch.baddbmm", _rounded)
    made = []
    arms = branch(
        parent, 10, 20, null_arms(parent.setup, 30, 1), tmp_path, probes=PROBES, progress=lambda *a: made.append(a)
    )
    assert next(arms)[1].is_equal
    assert len(list(arms)) == 1
    assert {arm for arm, _ in made} == {"replay", "arms", "control", "null-1"}


def _rounded(bias, inputs, weights, out):
    return torch.bmm(inputs, weights, out=out).add_(bias).mul_(1 + 1e-6)


def test_arms_do_not_share_their_state(parent_and_state, tmp_path):
    parent, _ = parent_and_state
    arms = [parse_arm(text, parent.setup, 30) for text in ("optimizer.lr=0.0041", "optimizer.eps=1e-8")]
    found = dict(branch(parent, 10, 20, arms, tmp_path, probes=PROBES))
    assert [each.differs_at for each in found.values()] == [None, 11, None]


def test_a_null_arm_changes_one_digit_of_one_weight(parent_and_state):
    parent, state = parent_and_state
    for arm in null_arms(parent.setup, 30, 3):
        run = arm.begin(parent.setup, state, CPU, "4")
        differ = {name: (w != state["model"][name]).sum().item() for name, w in run.model.named_parameters()}
        assert differ.pop("4.weight") == 1
        assert not any(differ.values())
        change = (run.model[4].weight - state["model"]["4.weight"]).abs().max().item()
        assert 0 < change < 1e-7


def test_the_header_says_what_an_arm_is(parent_and_state, tmp_path):
    parent, _ = parent_and_state
    list(branch(parent, 10, 5, [parse_arm("optimizer.eps=1e-6", parent.setup, 15)], tmp_path, probes=PROBES))
    trace = open_trace(tmp_path / "optimizer.eps=1e-6.h5")
    assert trace.attributes["change"] == trace.attributes["arm"] == "optimizer.eps=1e-6"
    assert (tmp_path / trace.attributes["parent"]).resolve() == parent.trace.path.resolve()
    assert trace.attributes["branch_step"] == 10
    assert trace.steps == (10, 15)
    assert trace.config["optimizer"]["eps"] == 1e-6
    np.testing.assert_array_equal(trace["batch_loss"].step, np.arange(10, 15))


def _killed(path, folder):
    import os

    parent = open_parent(path)

    def stop(arm, made):
        if made >= 20:
            os._exit(9)

    list(branch(parent, 10, 20, null_arms(parent.setup, 30, 2), folder, probes=PROBES, progress=stop))


@pytest.mark.parametrize(
    ("name", "optimizer", "dtype"), slow_except(lambda *case: case == ("parity_3_50", "adam", "float32"))
)
def test_a_killed_branch_goes_on(name, optimizer, dtype, tmp_path):
    parent = recorded(tmp_path, name, settings=[f"dtype={dtype}"], optimizer=optimizer)
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=_killed, args=(parent.trace.path, tmp_path / "killed"))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert not open_trace(tmp_path / "killed" / "control.h5").finished
    arms = null_arms(parent.setup, 30, 2)
    for folder in ("killed", "whole"):
        assert next(branch(parent, 10, 20, [], tmp_path / folder, probes=PROBES))[1].is_equal
        assert len(list(branch(parent, 10, 20, arms, tmp_path / folder, probes=PROBES))) == 3
    for arm in arms:
        killed, whole = (open_trace(tmp_path / folder / arm.file) for folder in ("killed", "whole"))
        assert killed.finished
        for name in killed:
            assert killed[name].value.tobytes() == whole[name].value.tobytes(), name


def test_arms_of_another_branch_are_refused(parent_and_state, tmp_path):
    parent, _ = parent_and_state
    control_of(parent, 10, 5, tmp_path)
    with pytest.raises(InputError, match=r"control\.h5: belongs to another branch \(branch_step differ"):
        control_of(parent, 11, 5, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizer.epz=1", "optimizer.epz"),
        ("optimizer.momentum=0.9", "optimizer.momentum"),
        ("data.k=4", "data.k"),
        ("norm=1", "norm is '1'; give clamp"),
        ("reset=all", "first_moment or second_moment or moments"),
        ("skip=x", "give a number"),
        ("eps", "write it as KEY=VALUE"),
        ("optimizer.eps=x", "not a valid float"),
    ],
)
def test_a_wrong_arm_is_named(text, message, parent_and_state):
    with pytest.raises(InputError, match=message):
        parse_arm(text, parent_and_state[0].setup, 30)


@pytest.mark.parametrize("text", ["x", "1", "before:1", "1-5", "99", "before:0,warning"])
def test_a_place_that_does_not_exist_is_named(text, parent_and_state, tmp_path):
    parent, _ = parent_and_state
    if text.isdecimal():
        assert find_step(parent.trace, text) == int(text)
        if text == "99":
            with pytest.raises(InputError, match="the run has the steps 0 to 30"):
                state_at(parent, 99, tmp_path)
        return
    with pytest.raises(InputError, match=r"at=|has no event"):
        find_step(parent.trace, text)


class Warned(dict):
    """A run with warnings at 99 and 1,050, and events at 500, 1,000 and 1,500."""

    path = "run.h5"

    def __init__(self):
        steps = np.arange(2000)
        super().__init__(softmax_collapse=Signal(steps, (steps // 500 % 2 == 0).astype(float), "softmax_collapse", ""))


def test_a_warning_belongs_to_the_event_that_follows(monkeypatch):
    events = [SimpleNamespace(transition=step, growth_start=None) for step in (500, 1000, 1500)]
    monkeypatch.setattr("trainers.branch.point.analyze", lambda run: SimpleNamespace(certain=events))
    assert [find_step(Warned(), f"before:{number},warning") for number in (1, 3)] == [99, 1050]
    with pytest.raises(InputError, match=r"before:2,warning: there was no warning between 500 and 1,000"):
        find_step(Warned(), "before:2,warning")


def test_the_command_prints_a_line_for_each_arm(parent_and_state, tmp_path):
    path, out = str(parent_and_state[0].trace.path), str(tmp_path / "branch")
    command = ["branch", path, "--at", "10", "--steps", "10", "--arm", "optimizer.eps=1e-6", "--out", out]
    found = CliRunner().invoke(main, [*command, "--plot", str(tmp_path / "arms.png")])
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0].split(maxsplit=1) == ["control", "equals the parent bit for bit: 10 rows, 14 signals"]
    assert [line.split()[0] for line in lines[1:5]] == ["null-1", "null-2", "null-3", "optimizer.eps=1e-6"]
    assert "the control has no event by the horizon" in found.output
    assert "a short branch can mislead" in found.output
    assert (tmp_path / "arms.png").stat().st_size > 10_000
    again = CliRunner().invoke(main, ["branch", "--compare", out, "--format", "json"])
    document = json.loads(again.stdout)
    assert [arm["verdict"] for arm in document["branches"][0]["arms"]] == ["not decided"] * 5


def test_the_command_fails_where_the_control_differs(tmp_path):
    parent = recorded(tmp_path)
    from trainers.batch import record_batch

    record_batch([parent.setup], [tmp_path / "batch.h5"], probes=PROBES.split(","))
    out = ["--out", str(tmp_path / "branch")]
    found = CliRunner().invoke(main, ["branch", str(tmp_path / "batch.h5"), "--at", "0", "--steps", "30", *out])
    assert found.exit_code == 1
    assert found.stdout.startswith("control ")
    assert "differs from the parent from step" in found.output
    assert "null-1" not in found.output
