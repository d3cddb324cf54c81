"""The values that carry everything: domain, window, round, case, run, metric, comparison, estimate.

They are frozen, know nothing of files, pytest or counters, and travel in one direction: a meter makes windows, the
harness makes rounds and cases of them, the store makes runs, the analysis makes comparisons.

Units inside are joules, watts and seconds. Joules are IT energy, before the data centre's PUE. An absent reading is
None (or a missing key), never 0.
"""

from __future__ import annotations

from energybench.model.case import Case, Run, Status
from energybench.model.columns import Columns, LapColumns, LateRounds
from energybench.model.energy import Domain, Provenance, Quantity, mean, total, weakest
from energybench.model.round import Round, Span
from energybench.model.verdict import Comparison, Estimate, Metric, Verdict
from energybench.model.window import Mark, Window

__all__ = [
    "Case",
    "Columns",
    "Comparison",
    "Domain",
    "Estimate",
    "LapColumns",
    "LateRounds",
    "Mark",
    "Metric",
    "Provenance",
    "Quantity",
    "Round",
    "Run",
    "Span",
    "Status",
    "Verdict",
    "Window",
    "mean",
    "total",
    "weakest",
]
