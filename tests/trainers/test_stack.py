"""Where the parameters of a stack stand in its one vector."""

import dataclasses

import torch

from trainers.run import Run
from trainers.setups import find_setup
from trainers.stack import Stack


def run_of_odd_sizes(seed=0):
    setup = find_setup("parity_3_50")
    return Run(
        dataclasses.replace(setup, seed=seed, model=dataclasses.replace(setup.model, width=13)), torch.device("cpu")
    )


def test_every_parameter_starts_at_a_multiple_of_64_bytes_as_tensors_of_their_own_do():
    runs = [run_of_odd_sizes(seed) for seed in range(3)]
    stack = Stack(runs, [0, 0, 0])
    for values in (stack.parameters, stack.gradients):
        assert {value.data_ptr() % 64 for value in values.values()} == {0}


def test_what_stands_between_two_parameters_stays_zero():
    run = run_of_odd_sizes()
    stack = Stack([run], [0])
    for gradient in stack.gradients.values():
        gradient.fill_(0.5)
    for _ in range(3):
        stack.update()
    (part,) = stack._groups[0].parts
    used = torch.zeros_like(part.values, dtype=torch.bool)
    for view in part.views(used).values():
        view.fill_(True)
    assert (~used).any()
    for values in (part.values, part.state["exp_avg"], part.state["exp_avg_sq"]):
        assert torch.count_nonzero(values[~used]) == 0
        assert torch.count_nonzero(values[used]) > 0
