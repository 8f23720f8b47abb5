"""How many small faults in a package its tests find: a mutation score of a seeded random sample.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/mutants.py detectors

A mutant is the package with one operator, number or condition changed. It runs in its own process, forked from one that
has loaded the heavy libraries. Only those tests of the package run that execute the changed line, the fastest first. A
test that fails kills the mutant, and so does a run of more than 20 s of processor time. The output gives the score of
each package, and each mutant that survived as a difference of one statement.

With ``--also-in FOLDER`` the sample is drawn from the statements that both checkouts have, so that the same mutants can
be run before and after a change. ``--results FILE`` keeps the outcomes. ``--again FILE`` runs only the mutants that
survived in that file, and counts the others with their old outcomes.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import importlib.abc
import importlib.util
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click
import coverage
import pytest

LIMIT_SECONDS = 20
"""Limit of processor time, so that other work on the machine kills no mutant."""
BUDGET_SECONDS = 2.0
"""Tests are chosen until their usual processor times add up to this. So the limit means an endless loop."""

TESTS = {
    "detectors": ("tests/detectors", "tests/contract/test_every_detector.py"),
    "slingshots": ("tests/slingshots",),
    "association": ("tests/association",),
    "trace": ("tests/trace",),
    "readers": ("tests/readers", "tests/contract/test_every_reader.py"),
}
"""Tests of each package, in addition to the examples in its docstrings."""

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add,
    ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Break: ast.Continue, ast.Continue: ast.Break,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}


@dataclass(frozen=True)
class Mutant:
    """A package with one changed statement.

    Parameters
    ----------
    package, module : str
        Location of the statement.
    where : str
        Dotted name of the function or class around it.
    line : int
        Line of the statement.
    before, after : str
        The statement, without the statements inside it.
    source : str
        The module without the change.
    number : int
        Number of the change among those of the module.
    """

    package: str
    module: str
    where: str
    line: int
    before: str
    after: str
    source: str
    number: int

    @property
    def tree(self) -> ast.Module:
        """The whole changed module."""
        tree = ast.parse(self.source)
        _, _, change = next(islice(_places(tree), self.number, None))
        change()
        return tree

    @property
    def key(self) -> str:
        """Name of the mutant, which is the same in another version of the code even if the module has moved."""
        return " | ".join((self.package, self.where, self.before, self.after))


def mutants_of(package: str, module: str, source: str) -> Iterator[Mutant]:
    """Yield all mutants of a module. Annotations, docstrings and code under TYPE_CHECKING do not change."""
    for number, (where, statement, change) in enumerate(_places(ast.parse(source))):
        before = _own(statement)
        undo = change()
        after = _own(statement)
        undo()
        yield Mutant(package, module, ".".join(where), statement.lineno, before, after, source, number)


def _places(tree: ast.Module) -> Iterator[tuple[tuple[str, ...], ast.stmt, Any]]:
    for where, statement in _statements(tree.body, ()):
        for change in _changes(statement):
            yield where, statement, change


def _statements(body: Iterable[ast.stmt], where: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], ast.stmt]]:
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.Assert):
            continue
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            continue
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            continue
        inner = where
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            inner = (*where, statement.name)
        else:
            yield where, statement
        for field in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, field, []), inner)
        for handler in getattr(statement, "handlers", []):
            yield from _statements(handler.body, inner)


def _own(statement: ast.stmt) -> str:
    """Return the first line of a compound statement, and the whole of a simple one."""
    text = ast.unparse(statement)
    return text.partition("\n")[0] if hasattr(statement, "body") else text


def _changes(statement: ast.stmt) -> Iterator[Any]:
    """Yield functions that change one place of the statement and return a function that undoes the change."""
    if type(statement) in (ast.Break, ast.Continue):
        return
    own = [child for name, child in ast.iter_fields(statement) if name not in ("annotation", "returns", "type_params")]
    stack = [node for child in own for node in (child if isinstance(child, list) else [child])]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.stmt | ast.ExceptHandler) or not isinstance(node, ast.AST):
            continue
        if isinstance(node, ast.Compare):
            yield from (_set(node.ops, i, SWAPS[type(op)]()) for i, op in enumerate(node.ops) if type(op) in SWAPS)
        elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPS:
            yield _set(node, "op", SWAPS[type(node.op)]())
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield _set(node, "op", ast.UAdd())
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield _set(node, "operand", ast.UnaryOp(ast.Not(), node.operand))
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
            yield _set(node, "value", not node.value if type(node.value) is bool else 2 * node.value + 1)
        elif isinstance(node, ast.Name) and node.id in NAMES:
            yield _set(node, "id", NAMES[node.id])
        elif isinstance(node, ast.Attribute) and node.attr in NAMES:
            yield _set(node, "attr", NAMES[node.attr])
        stack += ast.iter_child_nodes(node)


def _set(owner: Any, place: str | int, value: Any) -> Any:
    def change() -> Any:
        old = owner[place] if isinstance(place, int) else getattr(owner, place)
        _put(owner, place, value)
        return lambda: _put(owner, place, old)

    return change


def _put(owner: Any, place: str | int, value: Any) -> None:
    if isinstance(place, int):
        owner[place] = value
    else:
        setattr(owner, place, value)


def all_mutants(root: Path, package: str) -> list[Mutant]:
    """Return the mutants of a package in a checkout, one for each key."""
    folder = root / "slingshot_analysis" / package
    found: dict[str, Mutant] = {}
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for mutant in mutants_of(package, module, path.read_text()):
            found.setdefault(mutant.key, mutant)
    return list(found.values())


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a changed tree instead of its file."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the module's own spec with this loader."""
        if name != self._mutant.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        spec.loader = self
        return spec

    def exec_module(self, module: Any) -> None:
        """Run the changed code."""
        exec(compile(ast.fix_missing_locations(self._mutant.tree), module.__spec__.origin, "exec"), vars(module))


class Watcher:
    """A plugin of pytest that keeps the lines that each test executes, and its time."""

    def __init__(self, folder: Path) -> None:
        self.lines: dict[str, set[tuple[str, int]]] = {}
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self._folder = folder

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Any:
        """Measure one test, including its fixtures."""
        measured = coverage.Coverage(data_file=None, source=[str(self._folder)], config_file=False)
        measured.set_option("run:disable_warnings", ["no-data-collected"])  # a warning would end the whole run
        start = time.process_time()
        measured.start()
        try:
            return (yield)
        finally:
            measured.stop()
            self.seconds[item.nodeid] = time.process_time() - start
            data = measured.get_data()
            self.lines[item.nodeid] = {(file, n) for file in data.measured_files() for n in data.lines(file) or ()}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Leave out tests that fail without any mutant."""
        if report.failed:
            self.failed.add(report.nodeid)


def forked(work: Any, seconds: int) -> tuple[str, bytes]:
    """Run `work` in a fork with this limit of processor time; return "ok", "failed" or "timeout", and its result."""
    with tempfile.TemporaryFile() as answer:
        gc.freeze()  # so that no collection in the fork looks through what its parent has loaded
        child = os.fork()
        if child == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            spent = int(time.process_time())
            signal.alarm(10 * seconds)  # for what waits without computing
            resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, spent + seconds + 1))
            code = 1
            try:
                code, result = work()
                answer.write(result)
                answer.flush()
            finally:
                os._exit(code)
        state = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answer.seek(0)
        ended = {0: "ok"} | dict.fromkeys((-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGALRM), "timeout")
        return ended.get(state, "failed"), answer.read()


def usual_run(root: Path, package: str) -> Watcher:
    """Run the package's tests without a mutant, and measure the lines that each executes."""
    folder = root / "slingshot_analysis" / package

    def work() -> tuple[int, bytes]:
        watcher = Watcher(folder)
        places = [path for path in TESTS[package] if (root / path).exists()]
        code = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *places, str(folder)], plugins=[watcher])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return 1, b""
        tests = [name for name in watcher.lines if name not in watcher.failed]
        kept = {name: [watcher.seconds[name], sorted(watcher.lines[name])] for name in tests}
        libraries = [name for name in list(sys.modules) if _is_library(name)]  # looking at one may load more
        return 0, json.dumps({"tests": kept, "libraries": libraries}).encode()

    state, answer = forked(work, 3600)
    assert state == "ok", f"the tests of {package} could not be run"
    watcher = Watcher(folder)
    found = json.loads(answer)
    for name in found["libraries"]:  # loaded here, so that the forks need not
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    for name, (seconds, lines) in found["tests"].items():
        watcher.seconds[name] = seconds
        watcher.lines[name] = {(file, n) for file, n in lines}
    return watcher


def _is_library(name: str) -> bool:
    """Return whether a loaded module is an installed library, and none of the project, its tests or pytest's."""
    file = getattr(sys.modules[name], "__file__", None) or ""
    return "site-packages" in file and not name.startswith(("_pytest", "pytest", "coverage", "__editable__"))


def tests_for(mutant: Mutant, root: Path, usual: Watcher) -> list[str]:
    """Return the tests that execute the mutant's statement, the fastest first, within the budget of time."""
    path = root.joinpath(*mutant.module.split("."))
    file = str(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))
    names = sorted((n for n, lines in usual.lines.items() if (file, mutant.line) in lines), key=usual.seconds.get)
    if not (mutant.where and names):  # a statement of a module or class runs at its import, before any test
        own = {name for name, lines in usual.lines.items() if any(f == file for f, _ in lines)}
        names = sorted(own, key=usual.seconds.get)
    chosen, total = [], 0.0
    for name in names:
        total += usual.seconds[name]
        if chosen and total > BUDGET_SECONDS:
            break
        chosen.append(name)
    return chosen


def outcome(mutant: Mutant, tests: list[str]) -> str:
    """Return "killed", "survived" or "timeout"."""
    if not tests:
        return "survived"

    def work() -> tuple[int, bytes]:
        sys.meta_path.insert(0, Finder(mutant))
        switches = "-x -q --assert=plain --doctest-modules -p no:cacheprovider -p no:xdist -o addopts="
        return int(pytest.main([*switches.split(), *tests])), b""

    state, _ = forked(work, LIMIT_SECONDS)
    return {"ok": "survived", "failed": "killed", "timeout": "timeout"}[state]


@click.command(help=__doc__)
@click.argument("package", type=click.Choice(list(TESTS)))
@click.option("--sample", default=150, show_default=True, help="Mutants of each package.")
@click.option("--seed", default=0, show_default=True)
@click.option("--also-in", type=click.Path(path_type=Path), help="Another checkout; both have the same mutants.")
@click.option("--results", type=click.Path(path_type=Path), help="Where to keep the outcomes, as JSON.")
@click.option("--again", type=click.Path(path_type=Path), help="Outcomes of an earlier run: only survivors are run.")
def main(package: str, sample: int, seed: int, also_in: Path | None, results: Path | None, again: Path | None) -> None:
    """Measure the mutation score of a package."""
    root = Path.cwd()
    earlier = json.loads(again.read_text()) if again else {}
    known = all_mutants(root, package)
    if earlier:
        chosen = [mutant for mutant in known if mutant.key in earlier]
    else:
        if also_in:
            shared = {mutant.key for mutant in all_mutants(also_in, package)}
            known = [mutant for mutant in known if mutant.key in shared]
        chosen = random.Random(seed).sample(sorted(known, key=lambda mutant: mutant.key), min(sample, len(known)))
    usual = usual_run(root, package)
    outcomes: dict[str, str] = {}
    for mutant in chosen:
        state = earlier.get(mutant.key, "survived")
        outcomes[mutant.key] = outcome(mutant, tests_for(mutant, root, usual)) if state == "survived" else state
        if results:
            results.write_text(json.dumps(outcomes, indent=1))
    survivors = [mutant for mutant in chosen if outcomes[mutant.key] == "survived"]
    killed, timeouts = len(chosen) - len(survivors), list(outcomes.values()).count("timeout")
    click.echo(f"{package}: {killed} of {len(chosen)} killed ({killed / len(chosen):.0%}), {timeouts} by the limit")
    for mutant in survivors:
        click.echo(f"  {mutant.module}:{mutant.line}\n    - {mutant.before}\n    + {mutant.after}")


if __name__ == "__main__":
    main()
