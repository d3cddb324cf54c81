"""A static site over a store: its runs, and the history of every case. Needs the extra `report`.

Links are relative, so it opens from a disk as from a server. A run's own page is the report of `energybench report`.
"""

from __future__ import annotations

from energybench.reports.site.contents import CasePage, Index, MachineIndex, case_page, machine_index
from energybench.reports.site.rendering import case_html, index_html

__all__ = ["CasePage", "Index", "MachineIndex", "case_html", "case_page", "index_html", "machine_index"]
