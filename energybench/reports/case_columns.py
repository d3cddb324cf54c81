"""The columns of the table of cases: what each says of a case, as a number to sort by and as text.

Energies are means over the rounds. kWh, CO2e and cost include the PUE; joules, watts and what is made of them are IT
energy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from energybench.analysis.stats import sample_variance
from energybench.model import Case, Provenance, Window, mean
from energybench.reports.layout import METRIC, PARAM
from energybench.reports.table import Column
from energybench.units import (
    Scale,
    energy_scale,
    kwh,
    mass_scale,
    power_scale,
    significant,
    time_scale,
    watt_hour_scale,
)

SAMPLES = ("images", "samples", "tokens")
"""what `per-sample` divides by: the first of these that the rounds recorded"""
Value = float | str | None


@dataclass(frozen=True, slots=True)
class Context:
    """What the figures of a case depend on beside the case."""

    pue: float | None = None
    """None: each case's own"""
    session: Mapping[str, Any] = field(default_factory=dict)
    """carbon intensity and price, where they are known"""

    def factor(self, case: Case) -> float:
        """The PUE of `case`."""
        return case.pue if self.pue is None else self.pue


@dataclass(frozen=True, slots=True)
class Figure:
    """One column: its value for a case, and how it is written."""

    value: Callable[[Case, Context], Value]
    """what rows are sorted by; None: absent"""
    header: str | Callable[[Sequence[Case], Context], str] = ""
    """`{}` stands for the unit"""
    scale: Callable[[Iterable[float | None]], Scale] | None = None
    """the unit of the whole column; None: `cell` writes the value"""
    cell: Callable[[Value], str] = lambda value: "-" if value is None else str(value)
    left: bool = False

    def column(self, cases: Sequence[Case], context: Context, drop: int = 0) -> Column:
        """The column of these cases; `drop` as in Column."""
        values = [self.value(case, context) for case in cases]
        header = self.header if isinstance(self.header, str) else self.header(cases, context)
        if self.scale is None:
            return Column(header, tuple(map(self.cell, values)), drop, self.left)
        numbers = [value if isinstance(value, (int, float)) else None for value in values]
        scale = self.scale(numbers)
        return Column(header.replace("{}", scale.unit), tuple(map(scale.text, numbers)), drop, self.left)


def figure(name: str) -> Figure:
    """The column of this name, which is one of `energybench.reports.layout`."""
    if name.startswith(PARAM):
        of = name.removeprefix(PARAM)
        return Figure(lambda case, _: _plain(case.params.get(of)), of, left=True)
    if name.startswith(METRIC):
        of = name.removeprefix(METRIC)
        return Figure(lambda case, _: case.mean_metric(of), of, cell=_number)
    return _FIGURES[name]


def compression_text(facts: Mapping[str, Any]) -> str:
    """What the compressor did, from `facts["compression"]`: `19 bits`, `60.0 %`; a dash where nothing was done."""
    report = facts.get("compression")
    if not isinstance(report, Mapping) or report.get("kind") in (None, "none"):
        return "-"
    if report.get("kind") == "perturbation":
        return "noise"
    if report.get("parts"):
        return " + ".join(compression_text({"compression": part}) for part in report["parts"])
    bits, amount, rate = (report.get(key) for key in ("bits", "amount", "rate"))
    if bits is not None:
        return f"{bits}{'+' if report.get('bits_by_layer') else ''} bits"
    share = amount if amount is not None else rate
    return str(report["kind"]) if not isinstance(share, (int, float)) else f"{100 * share:.1f} %"


def study(case: Case) -> str:
    """The test function's name without `test_`: `finetune`, `matched`."""
    return case.function.removeprefix("test_")


def model(case: Case) -> str:
    """The model that the case's parameters name; what stands before the last dash of its id where they name none."""
    named = case.params.get("model") or case.params.get("model_name")
    return str(named) if named else case.short_id.rpartition("-")[0] or case.short_id


def compressor(case: Case) -> str | None:
    """The compressor that the case's parameters name."""
    named = case.params.get("compressor")
    return None if named is None else str(named)


def provenance_text(case: Case) -> str:
    """The weakest class in the headline energy, with the share that counters delivered where it is mixed."""
    if case.provenance is None:
        return "no energy"
    share = case.measured_share
    if case.provenance is Provenance.ESTIMATED and share:
        return f"{100 * share:.0f} % metered"
    return case.provenance.value


def total_j(case: Case, windows: Iterable[Window]) -> float | None:
    """Sum over windows; None where there is none, or where one has no total."""
    values = [window.total_j(case.total_domains) for window in windows]
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _with_pue(case: Case, context: Context) -> float | None:
    return None if case.mean_j is None else case.mean_j * context.factor(case)


def _spread(case: Case, _: Context) -> float | None:
    """Standard deviation of the rounds relative to their mean; one round has none."""
    known = [value for value in case.joules() if value is not None]
    centre = mean(known)
    return None if len(known) < 2 or not centre else sample_variance(known) ** 0.5 / centre


def _error(case: Case, _: Context) -> float | None:
    """Error bar of the absolute joules: twice the random part and the whole gain error, relative."""
    quantity = case.mean_quantity
    if quantity is None or quantity.bound_j is None or not quantity.joules:
        return None
    return quantity.bound_j / quantity.joules


def _epochs(case: Case, _: Context) -> float | None:
    return mean(case.epochs)


def _power(case: Case, _: Context) -> float | None:
    return _ratio(case.mean_j, case.mean_seconds)


def _per_epoch(case: Case, context: Context) -> float | None:
    return _ratio(case.mean_j, _epochs(case, context))


def _sample(case: Case) -> str | None:
    return next((name for name in SAMPLES if any(case.metric(name))), None)


def _per_sample(case: Case, _: Context) -> float | None:
    """Joules of all rounds over what they processed; None where a round has no reading or no count."""
    name = _sample(case)
    if name is None:
        return None
    pairs = list(zip(case.joules(), case.metric(name), strict=True))
    spent = [(joules, count) for joules, count in pairs if joules is not None and count]
    if len(spent) < len(pairs):
        return None
    return sum(joules for joules, _ in spent) / sum(count for _, count in spent)


def _per_sample_header(cases: Sequence[Case], _: Context) -> str:
    names = {name for case in cases if (name := _sample(case)) is not None}
    return f"{{}}/{names.pop().removesuffix('s') if len(names) == 1 else 'sample'}"


def _grams(case: Case, context: Context) -> float | None:
    return _times(_with_pue(case, context), context.session.get("carbon_g_per_kwh"))


def _cost(case: Case, context: Context) -> float | None:
    return _times(_with_pue(case, context), context.session.get("price_per_kwh"))


def _times(joules: float | None, per_kwh: float | None) -> float | None:
    return None if joules is None or per_kwh is None else kwh(joules) * per_kwh


def _ratio(value: float | None, by: float | None) -> float | None:
    return None if value is None or not by else value / by


def _accuracy(case: Case, _: Context) -> float | None:
    return case.mean_metric("accuracy")


def _compression(case: Case, _: Context) -> str | None:
    text = compression_text(case.facts)
    return None if text == "-" else text


def _plain(value: Any) -> Value:
    return value if value is None or isinstance(value, (int, float)) else str(value)


def _percent(digits: str) -> Callable[[Value], str]:
    return lambda value: format(100 * value, digits) if isinstance(value, (int, float)) else "-"


def _with_sign(digits: str) -> Callable[[Value], str]:
    return lambda value: f"{format(100 * value, digits)} %" if isinstance(value, (int, float)) else "-"


def _number(value: Value) -> str:
    return significant(value) if isinstance(value, (int, float)) else "-"


_FIGURES: Mapping[str, Figure] = {
    "case": Figure(lambda case, _: case.short_id, "case", left=True),
    "study": Figure(lambda case, _: study(case), "study", left=True),
    "model": Figure(lambda case, _: model(case), "model", left=True),
    "compressor": Figure(lambda case, _: compressor(case), "compressor", left=True),
    "kwh": Figure(_with_pue, "{}", watt_hour_scale),
    "joules": Figure(lambda case, _: case.mean_j, "{}", energy_scale),
    "error": Figure(_error, "±", cell=_with_sign(".2g")),
    "spread": Figure(_spread, "spread", cell=_with_sign(".1f")),
    "accuracy": Figure(_accuracy, "acc %", cell=_percent(".1f")),
    "epochs": Figure(_epochs, "epochs", cell=lambda value: "-" if value is None else f"{value:.3g}"),
    "compression": Figure(_compression, "compression", left=True),
    "search": Figure(lambda case, _: total_j(case, case.search), "search {}", energy_scale),
    "seconds": Figure(lambda case, _: case.mean_seconds, "{}", time_scale),
    "power": Figure(_power, "{}", power_scale),
    "per-epoch": Figure(_per_epoch, "{}/epoch", energy_scale),
    "per-sample": Figure(_per_sample, _per_sample_header, energy_scale),
    "co2e": Figure(_grams, "{} CO2e", mass_scale),
    "cost": Figure(_cost, lambda _, context: str(context.session.get("currency") or "cost"), cell=_number),
    "rounds": Figure(lambda case, _: float(len(case.rounds)), "n", cell=lambda value: f"{value:.0f}"),
    "status": Figure(lambda case, _: case.status.value, "status", left=True),
    "provenance": Figure(lambda case, _: provenance_text(case), "provenance", left=True),
    "measured": Figure(lambda case, _: case.measured_share, "measured %", cell=_percent(".0f")),
}
