"""How ``make site`` builds the documentation site: the pages of this folder, and the docstrings."""

import re
import shutil
from functools import partial
from pathlib import Path

from jinja2 import FileSystemBytecodeCache
from jinja2.sandbox import SandboxedEnvironment
from numpydoc import docscrape_sphinx

import slingshot_analysis

COPIES = {"../CONTRIBUTING.md": "contributing.md", "../examples/analyze_a_run.ipynb": "analyze_a_run.ipynb"}
TOP_LEVEL = "api/slingshot_analysis"

project = "slingshot"
author = "The slingshot authors"
release = slingshot_analysis.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "sphinx_copybutton"]
exclude_patterns = ["_build", "templates"]
nb_execution_mode = "off"
myst_heading_anchors = 4

autosummary_generate = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
# numpydoc compiles its template anew for each docstring, which took an eighth of the time of a build.
docscrape_sphinx.SandboxedEnvironment = partial(SandboxedEnvironment, bytecode_cache=FileSystemBytecodeCache())
default_role = "code"
highlight_language = "text"
copybutton_prompt_text = "$ "
autodoc_mock_imports = ["lightning", "transformers"]
nitpicky = True
nitpick_ignore_regex = [("py:class", ".*")]  # the types of values, most of them of other packages

html_theme = "furo"
html_title = "slingshot"
html_show_sourcelink = False


def copy_pages(app):
    """Bring the pages that stand elsewhere in the repository into this folder."""
    for path, page in COPIES.items():
        shutil.copy(Path(app.srcdir) / path, Path(app.srcdir) / page)


def relink(app, docname, source):
    """Let links between pages lead to the copies, and those of the copies to the pages."""
    for path, page in COPIES.items():
        source[0] = source[0].replace(f"]({path})", f"]({page})")
    if f"{docname}.md" in COPIES.values() or f"{docname}.ipynb" in COPIES.values():
        source[0] = re.sub(r"\]\((\.\./)?docs/", "](", source[0])


def describe_once(app, what, name, obj, skip, options):
    """Leave out of the page of a package what the page of the top level describes."""
    return skip or (what == "module" and name in slingshot_analysis.__all__ and app.env.docname != TOP_LEVEL)


def setup(app):
    """Connect the functions of this file with Sphinx."""
    app.connect("builder-inited", copy_pages)
    app.connect("source-read", relink)
    app.connect("autodoc-skip-member", describe_once)
