"""Carbon and cost: factors on kWh with PUE, for what is shown. Joules and verdicts never carry them.

They come from a run's session: `carbon_g_per_kwh` with its `carbon_source`, `price_per_kwh` and its `currency`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from energybench.units import kwh, mass_scale, significant


def footprint(joules: float | None, session: Mapping[str, Any]) -> str:
    """`42.3 g CO2e, 0.0369 EUR` for joules that include the PUE; empty without joules or factors."""
    if joules is None:
        return ""
    parts = []
    g_per_kwh, price = session.get("carbon_g_per_kwh"), session.get("price_per_kwh")
    if g_per_kwh is not None:
        grams = kwh(joules) * g_per_kwh
        scale = mass_scale([grams])
        parts.append(f"{scale.text(grams)} {scale.unit} CO2e")
    if price is not None:
        cost, currency = significant(kwh(joules) * price), session.get("currency")
        parts.append(f"{cost} {currency}" if currency else f"cost {cost}")
    return ", ".join(parts)


def stated(session: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the factors are, each with its name: `carbon`, `344 gCO2e/kWh (DE 2024: ...)`."""
    rows = []
    g_per_kwh, source = session.get("carbon_g_per_kwh"), session.get("carbon_source")
    if g_per_kwh is not None:
        rows.append(("carbon", f"{g_per_kwh:.4g} gCO2e/kWh" + (f" ({source})" if source else "")))
    elif source:
        rows.append(("carbon", str(source)))
    price = session.get("price_per_kwh")
    if price is not None:
        currency = session.get("currency")
        rows.append(("price", f"{price:g}{f' {currency}' if currency else ''} per kWh"))
    return rows
