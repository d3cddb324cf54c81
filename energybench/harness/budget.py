"""A case's own limits, `@pytest.mark.energybench(max_kwh=0.5, max_j_per_sample=2, min_accuracy=0.9)`.

They are absolute: no baseline is needed, and none excuses. Joules are IT energy, before PUE. What was not recorded, not
read or only estimated meets no limit.
"""

from __future__ import annotations

from energybench.harness.marker import Budget
from energybench.model import Case, Estimate, Provenance
from energybench.reports.projections import progress
from energybench.units import significant

SAMPLES = ("images", "samples", "tokens")
"""What `max_j_per_sample` divides by: the first of these that the rounds recorded."""


def budget_failure(case: Case, budget: Budget) -> str:
    """Why `case` does not meet its budget, a sentence for each limit; empty where it does or has none."""
    failures = [
        *([] if budget.max_kwh is None else [_energy(case, budget.max_kwh)]),
        *([] if budget.max_j_per_sample is None else [_energy_per_sample(case, budget.max_j_per_sample)]),
        *([] if budget.min_accuracy is None else [_accuracy(case, budget.min_accuracy)]),
    ]
    return "; ".join(failure for failure in failures if failure)


def projected_failure(estimate: Estimate, case: Case, budget: Budget) -> str:
    """Why a round of `case` will exceed its `max_kwh` whatever is left of it; empty where that is not sure.

    Sure is that the lower end of the interval exceeds it. Joules that cannot meet a budget cannot break one either.
    """
    if budget.max_kwh is None or estimate.interval is None or not case.meets_budgets:
        return ""
    middle, low, high = (joules / 3.6e6 for joules in (estimate.joules, *estimate.interval))
    if low <= budget.max_kwh:
        return ""
    return (
        f"the budget of {significant(budget.max_kwh)} kWh will be exceeded: {significant(middle)} kWh of IT energy "
        f"({significant(low)} to {significant(high)}) are projected after {progress(estimate)} epochs"
    )


def _energy(case: Case, max_kwh: float) -> str:
    budget = f"the budget of {significant(max_kwh)} kWh"
    quantity = case.mean_quantity
    if quantity is None:
        return f"{budget} cannot be checked: no round of this case has a full energy reading"
    spent_kwh = quantity.joules / 3.6e6
    weak = _not_counted(case, budget, f"{significant(spent_kwh)} kWh", "max_kwh")
    if weak:
        return weak
    if spent_kwh > max_kwh:
        over = f"{100 * (spent_kwh / max_kwh - 1):.3g} %"
        return f"{budget} was exceeded by {over}: {significant(spent_kwh)} kWh of IT energy, mean of the rounds"
    return ""


def _energy_per_sample(case: Case, max_j: float) -> str:
    name = next((name for name in SAMPLES if any(case.metric(name))), None)
    if name is None:
        return (
            f"the budget of {significant(max_j)} J per sample cannot be checked: no round recorded how many it "
            "processed; call energy.record(images=...) (or samples=, tokens=) inside the metered function"
        )
    each = name.removesuffix("s")
    budget = f"the budget of {significant(max_j)} J per {each}"
    known = [
        (joules, count)
        for joules, count in zip(case.joules(), case.metric(name), strict=True)
        if joules is not None and count is not None and count > 0
    ]
    if len(known) < len(case.rounds):
        lacking = f"{len(case.rounds) - len(known)} of {len(case.rounds)} rounds"
        return f"{budget} cannot be checked: {lacking} have no full energy reading, or no {name} recorded"
    spent_j = sum(joules for joules, _ in known) / sum(count for _, count in known)
    weak = _not_counted(case, budget, f"{significant(spent_j)} J", "max_j_per_sample")
    if weak:
        return weak
    if spent_j > max_j:
        over = f"{100 * (spent_j / max_j - 1):.3g} %"
        return f"{budget} was exceeded by {over}: {significant(spent_j)} J of IT energy, all rounds together"
    return ""


def _accuracy(case: Case, least: float) -> str:
    demand = f"the demanded accuracy of {100 * least:.4g} %"
    known = [value for value in case.metric("accuracy") if value is not None]
    if len(known) < len(case.rounds):
        return (
            f"{demand} cannot be checked: {len(case.rounds) - len(known)} of {len(case.rounds)} rounds recorded none; "
            "call energy.record(accuracy=...) inside the metered function"
        )
    reached = sum(known) / len(known)
    # The 1e-12 lets a mean of exactly the demand pass, whatever the last bit of the division is.
    if reached < least - 1e-12:
        short = f"{100 * (least - reached):.3g} points"
        return f"{demand} was missed by {short}: {100 * reached:.4g} %, mean of the rounds"
    return ""


def _not_counted(case: Case, budget: str, spent: str, keyword: str) -> str:
    """An estimate cannot meet a budget: it may be wrong by half and more, so passing would say nothing."""
    if case.meets_budgets:
        return ""
    if case.measured_share:
        guessed = ", ".join(d.name for d in case.domains if d.in_total and d.provenance is Provenance.ESTIMATED)
        return (
            f"{budget} cannot be met while {guessed} is estimated: make its counter readable (`energybench doctor` "
            "says how), or budget the metered domains alone with --energy-no-estimate"
        )
    return (
        f"{budget} cannot be met by an estimate ({spent}, wrong by half or more): measure on "
        f"a machine with counters (`energybench doctor` says what is missing here), or drop {keyword}"
    )
