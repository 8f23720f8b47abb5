"""What is loaded, and when."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "matplotlib", "trainers", "cli")


def loaded_after(code):
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import slingshot_analysis",
        "from slingshot_analysis import analyze, association_test, detect_slingshots, open_trace, TraceWriter",
        "import slingshot_analysis.report.text, slingshot_analysis.report.document",
    ],
)
def test_analysis_stays_light(code):
    assert not loaded_after(code) & set(HEAVY)


def test_the_analyze_command_never_waits_for_torch():
    loaded = loaded_after("from cli.main import main\nmain.get_command(None, 'analyze')")
    assert "cli.analyze" in loaded
    assert not loaded & {"torch", "matplotlib", "trainers"}


def test_every_public_name_is_there():
    import slingshot_analysis

    for name in slingshot_analysis.__all__:
        assert getattr(slingshot_analysis, name).__module__.startswith("slingshot_analysis.")
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        _ = slingshot_analysis.analyse
