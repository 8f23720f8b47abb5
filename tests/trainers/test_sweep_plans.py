"""Which runs a sweep makes."""

import dataclasses

import pytest

from slingshot_analysis import InputError
from trainers.recorded_run import default_name
from trainers.setups import find_setup
from trainers.sweep import parse_seeds, parse_values, plan_runs, read_config
from trainers.sweep.plan import draw_values

PARITY = find_setup("parity_3_50")


def test_a_grid_is_every_combination_with_every_seed():
    runs = plan_runs(
        PARITY, {"optimizer.eps": [1e-8, 1e-7], "optimizer.betas": [(0.9, 0.999), "0.9,0.99"]}, seeds=[0, 4]
    )
    found = [(run.optimizer.eps, run.optimizer.betas[1], run.seed) for run in runs]
    assert found == [(eps, beta, seed) for eps in (1e-8, 1e-7) for beta in (0.999, 0.99) for seed in (0, 4)]
    assert len({default_name(run) for run in runs}) == 8


def test_the_optimizer_and_the_data_can_vary():
    runs = plan_runs(find_setup("modular_division"), {"optimizer": ["adam", "sgd"], "data.operation": ["addition"]})
    assert [type(run.optimizer).__name__ for run in runs] == ["Adam", "SGD"]
    assert {run.data.operation for run in runs} == {"addition"}


def test_runs_that_are_the_same_are_made_once():
    assert len(plan_runs(PARITY, {"optimizer.eps": ["1e-8", "0.00000001"]})) == 1


def test_what_differs_from_a_setup_of_ones_own_is_in_its_name():
    mine = dataclasses.replace(PARITY, name="mine", steps=50)
    runs = plan_runs(mine, {"optimizer.lr": [mine.optimizer.lr, 1e-1, 1e-2]}, seeds=[0, 1])
    assert [default_name(run) for run in runs] == [
        f"mine{rate}-s{seed}.h5" for rate in ("", "-optimizer.lr=0.1", "-optimizer.lr=0.01") for seed in (0, 1)
    ]


def test_runs_of_one_name_are_refused():
    with pytest.raises(InputError, match=r"two runs would be written to cifar10_fcn6_200-s0\.h5"):
        plan_runs(find_setup("cifar10_fcn6_200"), {"data.folder": ["/a", "/b"]}, seeds=[0])


def test_a_list_has_seeds_of_its_own_or_those_of_all():
    runs = plan_runs(PARITY, runs=[{"optimizer.lr": 0.1}, {"optimizer.lr": 0.2, "seed": 9}], seeds=[1, 2])
    assert [(run.optimizer.lr, run.seed) for run in runs] == [(0.1, 1), (0.1, 2), (0.2, 9)]


def test_draws_lie_in_their_range_and_more_of_them_begin_alike():
    few, many = (
        plan_runs(PARITY, draw={"optimizer.lr": "loguniform(1e-4, 1e-2)"}, draws=n, draw_seed=7) for n in (5, 40)
    )
    rates = [run.optimizer.lr for run in many]
    assert [run.optimizer.lr for run in few] == rates[:5]
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert 10 < sum(rate < 1e-3 for rate in rates) < 30  # half of them, as the logarithm is uniform
    assert {int(value) for value in draw_values("integers(2, 4)", 60)} == {2, 3, 4}
    assert set(draw_values("choice(a, b)", 30)) == {"a", "b"}
    assert set(draw_values("choice(0.9,0.99; 0.5,0.9)", 30)) == {"0.9,0.99", "0.5,0.9"}
    assert all(-1 <= float(value) < 3 for value in draw_values("uniform(-1, 3)", 30))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid": {"optimizer.epss": [1]}}, "grid optimizer.epss=1: unknown key .* did you mean 'optimizer.eps'"),
        ({"grid": {"optimizer.eps": ["x"]}}, "grid optimizer.eps=x: not a valid float"),
        ({"grid": {"optimizer": ["adm"]}}, "did you mean 'adam'"),
        ({"grid": {"optimizer.eps": [1e-8]}, "draw": {"optimizer.eps": "uniform(0,1)"}}, "is also in the grid"),
        ({"draw": {"optimizer.lr": "lognormal(1,2)"}}, "unknown distribution 'lognormal'"),
        ({"draw": {"optimizer.lr": "loguniform(0,2)"}}, "above 0"),
        ({"draw": {"optimizer.lr": "uniform(1)"}}, "needs two numbers"),
        ({"draw": {"optimizer.lr": "0.1"}}, "write a distribution"),
        ({"draw": {"optimizer.lr": "uniform(0,1)"}, "draws": 0}, "draws=0 .* at least 1"),
        ({"draw": {"batch_size": "integers(0.5,3)"}}, "two whole numbers"),
        ({"grid": {"seed": [1, 2]}, "seeds": [0]}, "seeds: the seed is also given by the grid"),
        ({"runs": [{"optimizer.lr": "fast"}]}, "^runs optimizer.lr=fast: not a valid float"),
        ({"draw": {"batch_size": "uniform(16,64)"}}, r"^draw batch_size=[\d.]+: not a valid int"),
        ({"draw": {"optimizer.lr": 0.1}}, "draw optimizer.lr=0.1: write a distribution"),
        ({"draw": {"optimizer.lr": "uniform(0,1)"}, "draw_seed": -1}, "draw_seed=-1: .* at least 0"),
        ({"seeds": [-1]}, "^seeds -1: .* seed at least 0"),
        ({"seeds": []}, r"seeds: is \[\]; give seeds"),
        ({"seeds": 5}, "seeds: is 5; give seeds"),
        ({"seeds": "0-4"}, "seeds: is '0-4'; give seeds"),
        ({"grid": {"optimizer.eps": []}}, r"grid optimizer.eps: is \[\]; give a list"),
        ({"grid": {"optimizer.eps": "1e-8"}}, "grid optimizer.eps: is '1e-8'; give a list"),
        ({"grid": {"optimizer.eps": 1e-8}}, "grid optimizer.eps: is 1e-08; give a list"),
        ({"grid": {"optimizer.eps": ["x"]}, "places": {"optimizer.eps": "a.toml"}}, "^a.toml optimizer.eps=x"),
    ],
)
def test_what_cannot_be_planned_is_explained(arguments, message):
    with pytest.raises(InputError, match=message):
        plan_runs(PARITY, **arguments)


def test_values_that_hold_commas_are_separated_by_semicolons():
    assert parse_values(PARITY, "optimizer.eps=1e-8, 1e-7") == ("optimizer.eps", ["1e-8", "1e-7"])
    assert parse_values(PARITY, "optimizer.betas=0.9,0.99") == ("optimizer.betas", ["0.9,0.99"])
    for text in ("optimizer.eps", "optimizer.eps=", "optimizer.eps=1,"):
        with pytest.raises(InputError, match="key=value,value"):
            parse_values(PARITY, text)


@pytest.mark.parametrize("text", ["", "a", "4-2", "1,,2", "-3"])
def test_seeds_that_are_none(text):
    with pytest.raises(InputError, match="neither a seed nor a range"):
        parse_seeds(text)


def test_a_plan_in_a_file(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(
        'setup = "parity_3_50"\nsteps = 30\nseeds = "0-1"\n[set]\ndtype = "float64"\n'
        "[grid]\noptimizer.eps = [1e-8, 1e-7]\n[draw]\noptimizer.lr = 'uniform(0,1)'\n[[runs]]\noptimizer.lr = 0.5\n"
    )
    config = read_config(path)
    assert (config.setup, config.steps, config.seeds, config.set) == ("parity_3_50", 30, "0-1", {"dtype": "float64"})
    assert (config.grid, config.runs) == ({"optimizer.eps": [1e-8, 1e-7]}, [{"optimizer.lr": 0.5}])
    assert config.draw == {"optimizer.lr": "uniform(0,1)"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grids = 1", "unknown key 'grids'; did you mean 'grid'"),
        ("steps = '3'", "steps is '3'; give a number of updates"),
        ("[grid]\noptimizer.eps = 1e-8", "optimizer.eps is 1e-08; give a list"),
        ("[draw]\noptimizer.lr = 3", "optimizer.lr is 3; give a distribution"),
        ("draws = 0", "draws is 0; give at least 1"),
        ("draw_seed = -1", "draw_seed is -1; give at least 0"),
        ("runs = [1]", "runs is .*; give tables"),
        ("steps = ", "is not TOML"),
    ],
)
def test_a_file_that_is_no_plan_is_explained(text, message, tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_config(path)
    assert str(path) in str(caught.value)
