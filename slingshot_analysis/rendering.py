"""Pages from the templates of the folder ``templates``, in which every text that is put in is escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slingshot_analysis.errors import InputError
from slingshot_analysis.safe_text import printable

if TYPE_CHECKING:
    from jinja2 import Environment

LONGEST = 1000
"""Characters of a text that a page shows."""
MINUS = re.compile(r"(?:(?<=\de)|(?<![\w.)\]-]))-(?=\d)")
"""The minus sign of a number or of its exponent, but no hyphen of a name."""


@lru_cache
def environment(folder: str = "") -> Environment:
    r"""Return what renders templates.

    Parameters
    ----------
    folder : str, optional
        A folder whose files take the place of the packaged ones of the same names.

    Examples
    --------
    >>> environment().from_string("{{ name|plain }}").render(name="<b>\x1b[2J")
    '&lt;b&gt;\\x1b[2J'
    """
    from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

    packaged = PackageLoader("slingshot_analysis", "templates")
    loader = ChoiceLoader([FileSystemLoader(folder), packaged]) if folder else packaged
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.filters["plain"] = printable
    found.filters["prose"] = prose
    return found


def prose(text: str, longest: int = LONGEST) -> str:
    """Return a printable text in which the minus signs of numbers are such, so that no line ends after them.

    Examples
    --------
    >>> prose("run-3: [-1,000, +2.1e-08]")
    'run-3: [−1,000, +2.1e−08]'
    """
    return MINUS.sub("−", printable(text, longest))


def render(template: str, folder: str | Path | None = None, **values: Any) -> str:
    """Return a page or a part of one.

    Parameters
    ----------
    template : str
        Its name, such as ``"report.html"``.
    folder : path-like, optional
        A folder whose files take the place of the packaged ones of the same names.
    **values
        What the template names.
    """
    return environment(str(folder or "")).get_template(template).render(**values)


def source(name: str, folder: str | Path | None = None) -> str:
    """Return the text of a script or style sheet of the folder, as it is."""
    found = environment(str(folder or ""))
    assert found.loader is not None
    return found.loader.get_source(found, name)[0]


def check_templates(folder: str | Path) -> None:
    """Raise InputError unless this is a folder."""
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder of templates; copy the packaged ones and change those")


def script_hash(script: str) -> str:
    """Return the source expression of a content security policy that allows this script and no other.

    Examples
    --------
    >>> script_hash("")
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
