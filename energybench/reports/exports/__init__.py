"""One stored run for readers that are not energybench, a module per format.

Each module has `write(run, metric, pue)`, which gives a `readings.Export`: the text of the file, and which cases are
not in it, with the reason. An absent reading is absent there too, and joules that no counter delivered are labelled
wherever the format has a place for a label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """What a format is for, and which options mean anything to it."""

    module: str
    """in this package"""
    reader: str
    metrics: tuple[str, ...] = ()
    """that it can hold one of, the default first; empty: it holds all"""
    kwh: bool = True
    """whether it holds kWh, which a PUE changes"""


FORMATS: Mapping[str, Format] = {
    "github-action-benchmark": Format(
        "github_action", "benchmark-action/github-action-benchmark", ("kwh", "joules", "accuracy", "seconds")
    ),
    "bencher": Format("bencher", "Bencher Metric Format, for `bencher run --adapter json`", kwh=False),
    "csv": Format("rounds", "a row per round, for a spreadsheet or a data frame"),
    "openmetrics": Format("openmetrics", "the textfile collector of node_exporter (name the file *.prom)", kwh=False),
    "codecarbon": Format("codecarbon", "the columns of CodeCarbon's emissions.csv"),
    "pytest-benchmark": Format("pytest_benchmark", "pytest-benchmark compare FILE, in joules", ("joules",), kwh=False),
}
