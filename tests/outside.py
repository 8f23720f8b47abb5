"""Logs and images of others, which are no part of the project."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def outside(name: str) -> Path:
    """Return a file or folder in SLINGSHOT_TEST_DATA, or else beside the checkout; skip the test that lacks it."""
    path = Path(os.environ.get("SLINGSHOT_TEST_DATA") or BESIDE) / name
    if not path.exists():
        pytest.skip(f"needs {name} in the folder SLINGSHOT_TEST_DATA")
    return path
