"""The report as one HTML file: contents as values, then the template around them. Needs the extra `report`."""

from __future__ import annotations

from energybench.reports.page.assembly import page
from energybench.reports.page.contents import Page
from energybench.reports.page.rendering import html, require

__all__ = ["Page", "html", "page", "require"]
