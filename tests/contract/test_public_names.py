"""What is public, and that nobody outside uses what is not.

A package exports what its ``__init__`` names in ``__all__`` or imports as ``name as name``. ``public_names.txt`` lists
these names, so that changing them is a decision. A module whose name begins with an underscore is used only inside the
package below ``slingshot_analysis`` or ``trainers`` to which it belongs; tests and benchmarks may look inside.
"""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import slingshot_analysis

PROJECT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("public_names.txt")
PACKAGES = ["slingshot_analysis", *(
    module.name for module in pkgutil.walk_packages(slingshot_analysis.__path__, "slingshot_analysis.")
    if module.ispkg and "._" not in module.name
)]  # fmt: skip


def imports(path):
    """Return (module, name, alias) for each name that a file imports from a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name, alias.asname) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "", alias.asname) for alias in node.names)


def exported(package):
    """Return the public names of a package."""
    init = Path(importlib.import_module(package).__file__)
    reexported = {name for _, name, alias in imports(init) if name == alias}
    return reexported | set(getattr(importlib.import_module(package), "__all__", ()))


def test_the_public_names_are_those_of_the_list():
    names = {f"{package}.{name}" for package in PACKAGES for name in exported(package)}
    listed = LIST.read_text(encoding="utf-8").split()
    assert listed == sorted(set(listed)), f"sort the lines of tests/contract/{LIST.name}, capitals before small letters"
    new, gone = sorted(names - set(listed)), sorted(set(listed) - names)
    assert not new + gone, (
        f"the public names have changed; if that is wanted, change tests/contract/{LIST.name}, whose lines are sorted: "
        f"add {new}, remove {gone}"
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there(package):
    module = importlib.import_module(package)
    assert [name for name in exported(package) if not hasattr(module, name)] == []


def test_modules_with_an_underscore_are_used_in_their_own_package_only():
    outside = []
    folders = ("slingshot_analysis", "trainers", "cli", "examples")
    for path in (path for folder in folders for path in PROJECT.glob(f"{folder}/**/*.py")):
        own = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
        for module, name, _ in imports(path):
            public, private, _ = f"{module}.{name}".partition("._")
            owner = ".".join(public.split(".")[:2])
            if private and not name.startswith("__") and not own.startswith(f"{owner}."):
                outside.append(f"{own} imports {module}.{name}")
    assert outside == []
