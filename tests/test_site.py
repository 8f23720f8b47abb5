"""The documentation site: every public name stands on the API page, and the pages link to each other and to nobody else."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from made_runs import write_staircase

from slingshot_analysis import open_trace

PROJECT = Path(__file__).parents[1]
API = PROJECT / "docs" / "api.md"
NAMES = PROJECT / "tests" / "contract" / "public_names.txt"
EVIL = "<script>alert(1)</script>"


def test_every_public_name_stands_on_the_api_page():
    listed = {name.rpartition(".")[2] for name in re.findall(r"~((?:slingshot_analysis|trainers)[\w.]+)", API.read_text())}
    public = {name.rpartition(".")[2] for name in NAMES.read_text(encoding="utf-8").split()}
    used = {"SETUPS", "find_setup", "plan_runs", "sweep", "SlingshotCallback"}
    assert sorted(public - listed) == [], "add these names to docs/api.md"
    assert sorted(listed - public - used) == [], "these names of docs/api.md are not public"
