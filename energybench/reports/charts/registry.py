"""The charts that there are, in the order in which a report shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from energybench.reports.charts.chart import Chart
from energybench.reports.charts.subject import Subject


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of chart. Its module `energybench.reports.charts.<name>` is loaded when it is made."""

    name: str
    """the word of `energybench plot`"""
    line: str
    """what it shows"""
    absent: str
    """why it cannot be drawn, where it cannot"""
    needs: str = ""
    """the field of Subject that it is made of, beside the runs: `comparison`, `trends`, `trainings`, `traced`"""

    def make(self, subject: Subject) -> Chart | None:
        """The chart, None where there is nothing to draw."""
        chart: Callable[[Subject], Chart | None] = import_module(f"energybench.reports.charts.{self.name}").chart
        return chart(subject)


_KINDS = (
    Kind(
        "compare",
        "change of each case against a baseline, with its interval and verdict",
        "No case of the two runs could be compared.",
        "comparison",
    ),
    Kind(
        "heatmap",
        "model x compressor: kWh, change against none, accuracy",
        "No case with an energy reading names a model and a compressor.",
    ),
    Kind(
        "pareto",
        "energy against accuracy, with the cases that no other beats",
        "No case has both an energy reading and an accuracy.",
    ),
    Kind("domains", "energy of each case by GPU, CPU and DRAM", "No case has an energy reading."),
    Kind(
        "decompose",
        "each saving as epochs x seconds per epoch x power",
        "No case can be held against a `none` case of the same model, or none of the two has a reading.",
    ),
    Kind(
        "epochs",
        "energy per epoch, with the stable window and projection of STEP",
        "No round has two epochs or more (laps named `epoch`) with a reading each.",
        "trainings",
    ),
    Kind(
        "predicted",
        "what STEP would have projected when 20, 40 and 80 % of the epochs had ended",
        "No round has three epochs or more (laps named `epoch`) with a reading each.",
        "trainings",
    ),
    Kind(
        "power",
        "power over time, from the trace or as the mean of each lap",
        "No round has a trace or laps with a reading.",
        "traced",
    ),
    Kind(
        "bits",
        "accuracy against the low bits that were overwritten",
        "There is no accuracy-against-bits curve to plot: the run has no capacity or stego case.",
    ),
    Kind(
        "tolerance",
        "energy and accuracy against the tolerance of a compressor",
        "No compressor was run at two tolerances or more beside a `none` case.",
    ),
    Kind(
        "cycle",
        "energy from compression to the n-th inference, with break-even",
        "No inference case has its fine-tune case in the same run.",
    ),
    Kind(
        "trend",
        "energy of each case through the stored runs, with its changes of level",
        "No case was stored by two runs or more that may be compared.",
        "trends",
    ),
)

CHARTS: Mapping[str, Kind] = {kind.name: kind for kind in _KINDS}
"""name -> kind"""


def all_charts(subject: Subject) -> tuple[Chart, ...]:
    """Every chart that has something to draw, in the order of CHARTS. Nothing is drawn and no matplotlib loaded yet."""
    made = (kind.make(subject) for kind in CHARTS.values())
    return tuple(chart for chart in made if chart is not None)
