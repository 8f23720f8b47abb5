"""The tables of causes and of remedies in docs/diagnosis.md say what the code does."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from slingshot_analysis.diagnosis import causes, remedies

ROOT = Path(__file__).parents[2]
TREES = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in Path(causes.__path__[0]).glob("[a-z]*.py")}
ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in (ROOT / "docs" / "diagnosis.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ")
]
REMEDIES = {name: value for name, value in vars(remedies).items() if isinstance(value, remedies.Remedy)}


def name_of(module):
    return import_module(f"{causes.__name__}.{module}").NAME


def weights(tree):
    """Return the second argument of each Sign that a module makes; a choice of two gives both."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Sign":
            weight = node.args[1]
            for each in (weight.body, weight.orelse) if isinstance(weight, ast.IfExp) else (weight,):
                yield float(ast.literal_eval(each))


def documented(cell):
    return [float(number.replace("−", "-")) for part in re.findall(r"\(([^)]*)\)", cell)
            for number in re.findall(r"−?\d+(?:\.\d+)?", part)]  # fmt: skip


@pytest.mark.parametrize("module", TREES)
def test_the_weights_of_a_cause(module):
    (row,) = [row for row in ROWS if row[0].partition(" (")[0] == name_of(module)]
    found = sorted(weights(TREES[module]))
    assert sorted(documented(row[1])) == [weight for weight in found if weight > 0]
    assert sorted(documented(row[2])) == [weight for weight in found if weight < 0]


@pytest.mark.parametrize("remedy", REMEDIES)
def test_a_remedy_its_source_and_its_causes(remedy):
    known = REMEDIES[remedy]
    (row,) = [row for row in ROWS if row[0].startswith(known.what)]
    assert row[0] == f"{known.what} {known.evidence}"
    assert row[2].startswith(f"[{known.source}]")
    helped = {name_of(module) for module, tree in TREES.items() if f"remedies.{remedy}" in ast.unparse(tree)}
    assert set(row[1].split(", ")) == helped
