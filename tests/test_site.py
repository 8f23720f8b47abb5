"""The documentation site: the API page has every public name, links lead somewhere, all stands within the site."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from made_runs import write_staircase

from slingshot_analysis import analyze

PROJECT = Path(__file__).parents[1]
API = PROJECT / "docs" / "api.md"
NAMES = PROJECT / "tests" / "contract" / "public_names.txt"
EVIL = "<script>alert(1)</script>"


def test_every_public_name_stands_on_the_api_page():
    names = re.findall(r"~((?:slingshot_analysis|trainers)[\w.]+)", API.read_text(encoding="utf-8"))
    listed = {name.rpartition(".")[2] for name in names}
    public = {name.rpartition(".")[2] for name in NAMES.read_text(encoding="utf-8").split()}
    used = {"SETUPS", "find_setup", "plan_runs", "sweep", "SlingshotCallback"}
    assert sorted(public - listed) == [], "add these names to docs/api.md"
    assert sorted(listed - public - used) == [], "these names of docs/api.md are not public"


class References(HTMLParser):
    """The ids of a page, the targets of its links, what it loads, and the text of its scripts."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loaded, self.scripts, self.in_script = set(), [], [], [], False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.in_script = tag == "script"
        self.ids.add(given.get("id"))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if "src" in given:
            self.loaded.append(given["src"])
        if tag == "link" and given.get("rel") not in ("next", "prev", "index", "search"):
            self.loaded.append(given["href"])

    def handle_data(self, data):
        if self.in_script:
            self.scripts.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site, with one more page that shows a run of an evil name as a notebook does."""
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")
    nbformat = pytest.importorskip("nbformat")
    folder = tmp_path_factory.mktemp("site")
    run = replace(analyze(write_staircase(folder / "run.h5")), name=EVIL)
    for name in ("docs", "examples"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("_build"))
    for name in ("CONTRIBUTING.md", "constraints-integrations.txt", "slingshot_analysis/readers/names.toml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, folder / name)
    shown = nbformat.v4.new_output("display_data", {"text/html": run._repr_html_(), "text/plain": repr(run)})
    cells = [nbformat.v4.new_markdown_cell("# A run"), nbformat.v4.new_code_cell("run", outputs=[shown])]
    metadata = {"language_info": {"name": "python", "pygments_lexer": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), folder / "docs" / "evil.ipynb")
    index = folder / "docs" / "index.md"
    index.write_text(index.read_text(encoding="utf-8").replace("\nexamples\n", "\nexamples\nevil\n"), encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", folder / "docs", folder / "html"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site):
    return {path: References(path) for path in site.rglob("*.html")}


@pytest.mark.slow
def test_every_link_within_the_site_leads_somewhere(site, pages):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].ids if target in pages else {unquote(parts.fragment)}
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert len(pages) > 40
    assert broken == []


@pytest.mark.slow
def test_nothing_is_loaded_from_other_hosts(site, pages):
    assert [url for page in pages.values() for url in page.loaded if urlsplit(url).netloc] == []
    styles = {path.name: path.read_text(encoding="utf-8") for path in site.rglob("*.css")}
    assert styles
    assert [name for name, text in styles.items() if re.search(r"url\(['\"]?(https?:)?//|@import", text)] == []


@pytest.mark.slow
def test_the_name_of_a_run_stays_text(site, pages):
    page = site / "evil.html"
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.read_text(encoding="utf-8")
    assert not any("alert(1)" in script for script in pages[page].scripts)
