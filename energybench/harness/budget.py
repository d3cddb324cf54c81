"""A case's own budget, `@pytest.mark.energybench(max_kwh=0.5)`: an absolute limit on the mean IT energy of a round."""

from __future__ import annotations

from energybench.model import Case, Provenance
from energybench.units import significant


def budget_failure(case: Case, max_kwh: float | None) -> str:
    """Why `case` does not meet its budget of `max_kwh` (IT energy, before PUE); empty where it does or has none.

    An estimate cannot meet a budget: it may be wrong by half and more, so passing would say nothing. The same holds for
    energy that could not be read.
    """
    if max_kwh is None:
        return ""
    budget = f"the budget of {significant(max_kwh)} kWh"
    quantity = case.mean_quantity
    if quantity is None:
        return f"{budget} cannot be checked: no round of this case has a full energy reading"
    spent_kwh = quantity.joules / 3.6e6
    if not case.meets_budgets and case.measured_share:
        guessed = ", ".join(d.name for d in case.domains if d.in_total and d.provenance is Provenance.ESTIMATED)
        return (
            f"{budget} cannot be met while {guessed} is estimated: make its counter readable (`energybench doctor` "
            "says how), or budget the metered domains alone with --energy-no-estimate"
        )
    if not case.meets_budgets:
        return (
            f"{budget} cannot be met by an estimate ({significant(spent_kwh)} kWh, wrong by half or more): measure on "
            "a machine with counters (`energybench doctor` says what is missing here), or drop max_kwh"
        )
    if spent_kwh > max_kwh:
        over = f"{100 * (spent_kwh / max_kwh - 1):.3g} %"
        return f"{budget} was exceeded by {over}: {significant(spent_kwh)} kWh of IT energy, mean of the rounds"
    return ""
