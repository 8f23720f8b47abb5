"""The wheel: what is in it, and that it runs outside the checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    kept = ["pyproject.toml", "README.md", "LICENSE", "slingshot_analysis", "trainers", "cli"]
    source.mkdir()
    for name in kept:
        (source / name).symlink_to(PROJECT / name)
    options = ["--no-build-isolation", "--no-deps", "--quiet", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_it_holds_the_three_packages_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "slingshot_analysis",
        "trainers",
        "cli",
    }
    sources = {
        str(path.relative_to(PROJECT))
        for package in ("slingshot_analysis", "trainers", "cli")
        for path in (PROJECT / package).rglob("*.py")
    }
    assert sources <= set(names)
    assert "cli/demo_files/parity_3_50.h5" in names
    others = {"py.typed", "__init__.pyi", "readers/names.toml", "templates/vendor/uPlot.LICENSE"}
    assert {f"slingshot_analysis/{name}" for name in others} <= set(names)
    templates = PROJECT / "slingshot_analysis" / "templates"
    assert {str(path.relative_to(PROJECT)) for path in templates.rglob("*.*")} <= set(names)


def test_it_runs_in_a_clean_environment_outside_the_checkout(wheel, tmp_path):
    """The new environment has the wheel alone; a .pth file lends it the dependencies installed here."""
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    install = ["install", "--no-deps", "--quiet", "--target", str(site), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, capture_output=True)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(*words):
        code = "import sys; from cli.main import main; sys.argv[0] = 'slingshot'; main()"
        done = subprocess.run([python, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = subprocess.run(
        [python, "-c", "import slingshot_analysis; print(slingshot_analysis.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(environment) in where
    run("record", "--setup", "parity_3_50", "--steps", "300")
    text = run("analyze", "runs/parity_3_50-s3-steps=300.h5", "--format", "json", "--plot", "figures")
    assert json.loads(text)["runs"][0]["steps"] == [0, 300]
    assert (tmp_path / "figures" / "parity_3_50-s3-steps=300.png").stat().st_size > 10_000
