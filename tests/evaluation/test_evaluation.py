"""Detectors against truths: which runs are scored, and which truths can't be used."""

from pathlib import Path

import pytest

from slingshot_analysis import InputError, evaluate
from slingshot_analysis.readers import Log
from slingshot_analysis.synthetic import slingshot_run


def made(name, seed=0):
    return Log(Path(f"{name}{seed}.csv"), name, slingshot_run(seed).signals)


def test_a_truth_names_each_run_once():
    runs = [made("a"), made("b"), made("b", 1)]
    assert list(evaluate(runs, {"a": [5]}).scores) == ["a"]
    with pytest.raises(InputError, match="truth: unknown run 'aa'; did you mean 'a'"):
        evaluate(runs, {"a": [5], "aa": [5]})
    with pytest.raises(InputError, match=r"several runs are named 'b' \(b0.csv, b1.csv\)"):
        evaluate(runs, {"b": [5]})


def test_a_run_that_can_not_be_scored_is_a_problem_and_the_others_are_scored():
    def find(run):
        if run.name == "b":
            raise InputError("has no loss")
        return [7]

    found = evaluate([made("a"), made("b")], {"a": [7], "b": [7]}, detector=find)
    assert list(found.scores) == ["a"]
    assert found.problems == ("b0.csv: has no loss",)
