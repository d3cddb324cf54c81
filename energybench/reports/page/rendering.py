"""A page as one HTML file that asks for nothing from outside: styles, script and pictures are in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING

from energybench.errors import UsageError
from energybench.reports.page.contents import Page
from energybench.reports.page.markup import LONG, as_csv, body, numeric_columns

if TYPE_CHECKING:
    from jinja2 import Environment

WIDEST = 40
"""columns of a table that may be set flush right"""
EXTRA = "A report needs {missing}: pip install 'energybench[report]'"


def require() -> None:
    """Raises UsageError with the pip line where jinja2 or matplotlib is not installed."""
    missing = []
    try:
        import jinja2  # noqa: F401
    except ImportError:
        missing.append("jinja2")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        missing.append("matplotlib")
    if missing:
        raise UsageError(EXTRA.format(missing=" and ".join(missing)))


def html(page: Page) -> str:
    """The file's text. Every text that came out of a run is escaped; UsageError where jinja2 is not installed.

    What UTF-8 cannot hold (half of a surrogate pair, as JSON may smuggle in) is written as an escape.
    """
    from energybench.reports.charts.palette import properties

    require()
    script, style = _file("page.js"), _file("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = (
        _environment()
        .get_template("page.html")
        .render(
            page=page,
            script=script,
            style=f"{_themed(style, properties)}{numeric_columns(WIDEST)}",
            script_hash=f"sha256-{digest}",
            LONG=LONG,
        )
    )
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _themed(style: str, properties: Callable[[str], str]) -> str:
    """The style sheet with the charts' colours in its light and dark blocks."""
    for theme in ("light", "dark"):
        style = style.replace(f"/* {theme} */", properties(theme))
    return style


def _file(name: str) -> str:
    return files("energybench.reports.page").joinpath("templates", name).read_text(encoding="utf-8")


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("energybench.reports.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(body=body, as_csv=as_csv)
    return environment
