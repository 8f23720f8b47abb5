"""The Python that stands in the README and in pages of the documentation."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
DOCS = README.parent / "docs"
PAGES = README, DOCS / "integrations.md", DOCS / "detection.md"


def code(name):
    """Return the block of Python behind the comment that gives it this name."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return re.search(rf"<!-- test: {name} -->\n```python\n(.*?)```", text, re.DOTALL).group(1)
