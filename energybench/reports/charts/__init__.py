"""Charts: pure functions from stored values to a `Chart`, which `figure` draws as inline SVG or into a file.

One chart is one module with a function `chart(subject) -> Chart | None`, and a line in `CHARTS`.
"""

from __future__ import annotations

from energybench.reports.charts.chart import Cell, Chart, Field, Numbers
from energybench.reports.charts.registry import CHARTS, Kind, all_charts
from energybench.reports.charts.subject import Subject, Traced, Training

__all__ = ["CHARTS", "Cell", "Chart", "Field", "Kind", "Numbers", "Subject", "Traced", "Training", "all_charts"]
