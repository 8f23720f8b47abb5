"""Claims: their runs are made, used again and decided; every rule can say yes, no, and that it can't tell."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import main
from slingshot_analysis import InputError, association_test, gain_association, open_trace
from slingshot_analysis.association import EventOrder
from slingshot_analysis.report.paper import FIGURES
from trainers.claims import CLAIMS, Finding, Measured, find_claim, planned_runs, reproduce
from trainers.claims._rules import by_test
from trainers.claims.effective_step import EVENT

QUADRATICS = """
title = "small quadratics"
setup = "quadratic"
steps = {steps}
[set]
model.dimension = 2
model.distance = 0.02
[grid]
model.spectral_norm = {norms}
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("claims")


def small(folder, steps=300, norms="[1.0, 1.5, 2.5, 4.0]", name="quadratics"):
    """The claim of the bound, on a few short runs."""
    file = folder / f"{name}.toml"
    file.write_text(QUADRATICS.format(steps=steps, norms=norms))
    return dataclasses.replace(CLAIMS["contraction_bound"], sweeps={"small": (str(file.with_suffix("")),)})


def made(claim, out, **options):
    with ThreadPoolExecutor(1) as engine:
        return reproduce(claim, out, engine=engine, jobs=1, **options)


def test_a_claim_from_training_to_verdict(out):
    steps = []
    result = made(small(out), out, progress=lambda status: steps.append(sum(run.step for run in status.runs.values())))
    assert result.finding.verdict == "holds", result.finding
    assert (result.planned, len(result.measured), result.problems) == (4, 4, ())
    assert [round(run.config["model.spectral_norm"], 1) for run in result.measured] == [1.0, 1.5, 2.5, 4.0]
    assert steps[-1] == 4 * 300
    assert result.versions["torch"]
    assert result.seconds > 0


def test_the_same_rule_fails_on_runs_that_do_otherwise(out):
    """Runs that are too short for convergence contradict the bound, which says that two of them converge."""
    result = made(small(out, steps=5, name="short"), out)
    assert result.finding.verdict == "does not hold"
    assert result.finding.because.startswith("2 of 4 ")


def test_finished_traces_are_used_again_wherever_they_are(out):
    first = small(out)
    made(first, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.h5")}
    other = small(out, norms="[1.0, 4.0]", name="two_of_them")
    result = made(other, out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.h5")} == before
    assert result.finding.verdict == "not decided"
    assert [open_trace(run.analysis.path).config["model"]["spectral_norm"] for run in result.measured] == [1.0, 4.0]


@pytest.mark.slow
def test_an_interrupted_reproduction_goes_on(tmp_path):
    claim = small(tmp_path)

    def stop(status):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(claim, tmp_path, progress=stop)
    assert made(claim, tmp_path).finding.verdict == "holds"


def test_without_runs_nothing_is_decided(tmp_path):
    result = reproduce(small(tmp_path), tmp_path, train=False)
    assert (result.finding.verdict, result.planned, result.measured) == ("not decided", 4, ())


def test_a_shortened_claim_is_never_decided(out):
    result = made(dataclasses.replace(small(out), shortened="300 updates in place of 5,000"), out)
    assert result.finding.verdict == "not decided"
    assert "300 updates" in result.finding.because


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_is_complete(name):
    claim = CLAIMS[name]
    assert claim.title.endswith(".")
    assert claim.rule.endswith(".")
    assert claim.draws in FIGURES
    assert claim.core_hours > 0
    for scale in ("small", "paper"):
        assert planned_runs(claim, scale)
    assert claim.decide([]).verdict == "not decided"


def test_an_unknown_claim_is_explained():
    with pytest.raises(InputError, match="did you mean 'features'"):
        find_claim("feature")


def run(slingshots=0, best=0.0, found=None, verdict="none", grokking=None, spikes=(), before=None, **config):
    """A run as rules see it: the number of its slingshots, its best accuracy, and its configuration."""
    events = tuple(SimpleNamespace(transition=1000 * (i + 1)) for i in range(slingshots))
    analysis = SimpleNamespace(
        certain=events,
        best_val_accuracy_before=best if before is None else before,
        best_val_accuracy_after=best if slingshots else None,
        grokking_step=grokking,
        terminal_phase_start=100,
        loss_spikes=[SimpleNamespace(start=at) for at in spikes],
        verdict=verdict,
        config={key.replace("__", "."): value for key, value in config.items()},
    )
    return Measured(analysis, found)


def parity(slung, eps, n=10, lrs=(0.002, 0.003, 0.004), best=0.5):
    return [
        run(int(i < slung), best, optimizer__eps=eps, optimizer__lr=lr, optimizer__kind="Adam")
        for lr in lrs
        for i in range(n)
    ]


def decays(slung=0, grokking=None, spikes=(500,), first=300.0, plain=5000.0):
    operations = "division", "addition", "multiplication"
    return [
        run(slung, 1.0, first if decay else plain, grokking=grokking, spikes=spikes,
            optimizer__weight_decay=decay, data__operation=operation)
        for operation in operations for decay in (0.0, 0.1, 1.0)
    ]  # fmt: skip


def twins(slung=0):
    plain = {"dtype": "float32", "loss_dtype": "same", "loss": "cross_entropy", "orthogonal_gradient": False}
    kinds = {"dtype": "float64"}, {"loss_dtype": "float64"}, {"loss": "stablemax"}, {"orthogonal_gradient": True}
    return [run(2, **plain) for _ in range(10)] + [run(slung, **(plain | kind)) for kind in kinds for _ in range(10)]


def images(linear=0, gd=0, deep=1, adaptive=1):
    slung = {
        ("cifar10_linear_200", "Adam"): linear,
        ("cifar10_mlp2_200", "Adam"): deep,
        ("cifar10_fcn6_200", "Adam"): 1,
        ("cifar10_deep_linear_200", "Adam"): 1,
        ("cifar10_deep_linear_200", "AdamW"): adaptive,
        ("cifar10_deep_linear_200_rmsprop", "RMSProp"): 1,
        ("cifar10_deep_linear_200_gd", "SGD"): gd,
    }
    return [run(n, setup=setup, optimizer__kind=kind) for (setup, kind), n in slung.items() for _ in range(3)]


def betas(at_zero=3, best=0.4):
    values = [(a, b) for a in (0, 0.2, 0.5, 0.9, 0.95) for b in (0, 0.9, 0.95, 0.99, 0.999)]
    return [
        run(
            at_zero if a == b == 0 else 0 if b == 0 else 5,
            best,
            before=0.3,
            verdict="diverged" if b == 0 < a else "slingshots",
            optimizer__beta1=a,
            optimizer__beta2=b,
        )
        for a, b in values
    ]


def epsilons(counts, grokking=(None,) * 4, bests=(0.3,) * 4, seeds=1):
    values = zip((1e-8, 1e-7, 1e-6, 1e-5), counts, grokking, bests, strict=True)
    return [run(n, best, grokking=step, optimizer__eps=eps) for eps, n, step, best in values for _ in range(seeds)]


SGD = [{"optimizer__lr": lr} for lr in (0.001, 0.01, 0.1)]
HOT = {"model__temperature": 0.25}
WIDE = [(w, {"model__width": w}) for w in (64, 128, 256) for _ in range(10)]
CASES = {
    "adaptive_optimizers": (images(), images(adaptive=0)),
    "classifier_moves_farther": ([run(1, found=2.5)], [run(1, found=2.5), run(1, found=1.5)]),
    "cycles_width": ([run(w // 64, **c) for w, c in WIDE], [run(i % 3, **c) for i, (_, c) in enumerate(WIDE)]),
    "depth": (images(), images(deep=0)),
    "division_cycles": (epsilons((6, 4, 4, 0)), epsilons((6, 4, 5, 0))),
    "division_earlier": (epsilons((1,) * 4, (900, 1500, None, None)), epsilons((1,) * 4, (900, None, 1500, None))),
    "epsilon_generalisation": (parity(0, 1e-7), parity(0, 1e-7, best=0.7)),
    "epsilon_none_above": (parity(0, 1e-7) + parity(0, 1e-6), parity(1, 1e-7) + parity(0, 1e-6)),
    "epsilon_slingshots": (parity(8, 1e-8) + parity(0, 1e-6), parity(2, 1e-8) + parity(0, 1e-6)),
    "features": ([run(5, found=[4.0] * 8 + [2.0] * 2)], [run(5, found=[4.0] * 7 + [2.0] * 3)]),
    "float64": (twins(), twins(1)),
    "gradient_descent": (images(), images(gd=1)),
    "grokking_data_sets": ([run(2, 0.99)] * 4 + [run(2, 0.3)], [run(2, 0.99)] * 3 + [run(0, 0.99)] * 2),
    "growth_law": ([run(found=[True] * 9 + [False])], [run(found=[True] * 7 + [False] * 3)]),
    "hypercube_after": (betas(), betas(best=0.2)),
    "hypercube_betas": (betas(), betas(at_zero=0)),
    "hypercube_epsilon": (
        epsilons((3,) * 4, bests=(0.3, 0.3, 0.3, 0.4), seeds=3),
        epsilons((3,) * 4, bests=(0.3, 0.3, 0.5, 0.4), seeds=3),
    ),
    "linear_model": (images(), images(linear=1)),
    "no_grokking_without": ([run(1, grokking=5000)], [run(1, grokking=500)]),
    "precision_twins": (twins(), twins(1)),
    "sgd_grokking": ([run(0, 0.02, **lr) for lr in SGD], [run(0, 0.18, **lr) for lr in SGD]),
    "sgd_slingshots": ([run(0, **lr) for lr in SGD], [run(1, **lr) for lr in SGD]),
    "slingshots_cease": ([run(1, found=1.0)] * 4 + [run(0)], [run(1, found=0.5)] * 3),
    "temperature": ([run(0, 0.99, **HOT)], [run(1, 0.99, **HOT)]),
    "update_sharpness": ([run(5, found=[(3, 50.0)] * 9 + [(40, 50.0)])], [run(5, found=[(3, 5.0)] * 5)]),
    "vgg": ([run(1, setup="cifar10_vgg11_200")] * 2, [run(0, setup="cifar10_vgg11_200")] * 2),
    "vision_transformers": ([run(2, 0.7, before=0.6)] * 5, [run(2, 0.5, before=0.6)] * 5),
    "weight_decay_accuracy": (decays(), decays(first=6000.0)),
    "weight_decay_grokking": (decays(), decays(grokking=9000)),
    "weight_decay_instability": (decays(), decays(spikes=())),
    "weight_decay_slingshots": (decays(), decays(slung=1)),
}
"""For each claim, runs with which it holds, and runs with which it does not."""


@pytest.mark.parametrize("name", CASES)
def test_a_rule_can_hold_and_can_fail(name):
    for runs, verdict in zip(CASES[name], ("holds", "does not hold"), strict=True):
        assert CLAIMS[name].decide(runs).verdict == verdict, CLAIMS[name].decide(runs)


def crossed(lags):
    """A run with a recorded transition for each lag at which the effective step passes 2/L, or None."""
    one = run(len(lags))
    one.analysis.order = [
        EventOrder(event.transition, {"update sharpness peaks": 1} | ({} if lag is None else {EVENT: lag}))
        for event, lag in zip(one.analysis.certain, lags, strict=True)
    ]
    return [one]


def test_the_rule_of_the_effective_step():
    decide = CLAIMS["effective_step"].decide
    assert decide(crossed([-3] * 9 + [40])).verdict == "holds"
    assert decide(crossed([-3] * 8 + [40, None])).verdict == "does not hold"


def with_tests(setup, jumps, shift):
    """A run with transitions every 10,000 updates, jumps after a given number of them, and gain at these jumps."""
    transitions, span = range(10_000, 100_000, 10_000), (0, 100_000)
    steps = np.arange(0, 100_000, 500)
    at = [transition + shift for transition in transitions][:jumps]
    accuracy = 0.1 + 0.05 * np.searchsorted(at, steps, side="right")
    one = run(9, setup=setup)
    one.analysis.association = association_test(at, transitions, (-1000, 1000), span)
    one.analysis.gain_association = gain_association(steps, accuracy, transitions, span)
    return one


@pytest.mark.parametrize("name", ["jumps_at_transitions", "gain_after_transitions"])
def test_the_rules_of_the_validation_accuracy(name):
    decide = CLAIMS[name].decide
    near, far = ([with_tests("parity_3_50", 9, shift) for _ in range(4)] for shift in (300, 7000))
    other = [with_tests("hypercube", 9, 7000) for _ in range(4)]
    assert decide(near).verdict == "holds"
    assert decide(far).verdict == "does not hold"
    assert decide(near * 5 + other).verdict == "does not hold"  # one family is against


def test_a_test_that_can_decide_says_no_and_one_that_cannot_says_so():
    assert by_test(0.5, 0.001, 0.01, "x", "n").verdict == "does not hold"
    assert by_test(0.05, 0.05, 0.01, "x", "n").verdict == "not decided"


def test_the_command_says_what_was_not_run_and_what_it_costs(tmp_path):
    done = CliRunner().invoke(main, ["reproduce", "features", "--no-training", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "features: not decided" in done.stdout
    assert "slingshot reproduce features --scale small makes 7 runs, about 0.1 core-hours" in done.stdout
    kept = json.loads((tmp_path / "features-small.json").read_text())
    assert (kept["verdict"], kept["runs"], kept["planned"]) == ("not decided", 0, 7)


def test_the_command_decides_and_draws(out, tmp_path, monkeypatch):
    made(small(out), out)
    monkeypatch.setitem(CLAIMS, "contraction_bound", small(out))
    arguments = ["reproduce", "contraction_bound", "--out", str(out), "--jobs", "1", "--figures", "png,svg"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "contraction_bound: holds" in done.stdout
    assert "4 of 4 runs were made" in done.stdout
    assert {path.suffix for path in out.glob("contraction_bound.*")} == {".png", ".svg"}


def test_the_claims_are_listed():
    rows = json.loads(CliRunner().invoke(main, ["reproduce", "--list", "--format", "json"]).stdout)
    assert [row["name"] for row in rows] == list(CLAIMS)
    assert all(row["small"]["updates"] > 0 for row in rows)
    assert "epsilon_slingshots" in CliRunner().invoke(main, ["reproduce", "--list"]).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce"], "no claim is named"),
        (["reproduce", "feature"], "did you mean"),
        (["reproduce", "features", "--figures", "gif"], "unknown format 'gif'"),
        (["figure", "features"], "a name and files are needed"),
    ],
)
def test_a_wrong_command_is_explained(arguments, message):
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_findings_are_plain():
    assert Finding("holds", "because", "3 runs").numbers == {}
