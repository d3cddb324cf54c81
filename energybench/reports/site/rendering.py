"""The pages as HTML: no script, no network, links relative to the page."""

from __future__ import annotations

from importlib.resources import files

from energybench.reports.page import require
from energybench.reports.site.contents import CasePage, Index


def index_html(index: Index) -> str:
    """The first page, which lies at the top. UsageError where jinja2 is not installed."""
    return _rendered("index.html", index)


def case_html(page: CasePage) -> str:
    """The page of a case, which lies two folders below the top."""
    return _rendered("case.html", page)


def _rendered(template: str, page: Index | CasePage) -> str:
    require()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("energybench.reports.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template).render(page=page, style=_style())
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _style() -> str:
    from energybench.reports.charts.palette import properties

    text = files("energybench.reports.site").joinpath("templates", "site.css").read_text(encoding="utf-8")
    for theme in ("light", "dark"):
        text = text.replace(f"/* {theme} */", properties(theme))
    return text
