"""Full-cycle energies as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from energybench.analysis.cycle import CycleRow
from energybench.reports.part import Part
from energybench.reports.table import Column
from energybench.units import Scale, energy_scale, significant


def cycle_part(cycles: Sequence[CycleRow]) -> Part:
    """One row per inference case: what comes before the first image, J per image, and where it has paid for itself."""
    known = [row.cycle for row in cycles if row.cycle is not None]
    fixed, each = energy_scale(c.fixed_j for c in known), energy_scale(c.inference_j for c in known)
    search, later = energy_scale(c.search_j for c in known), energy_scale(c.at(1e6) for c in known)

    def column(head: str, scale: Scale, value: Callable[[CycleRow], float | None], drop: int = 0) -> Column:
        return Column(head, tuple(scale.text(value(row)) for row in cycles), drop=drop)

    meets = [row.against_none for row in cycles]
    columns = (
        Column("case", tuple(row.case.short_id for row in cycles), left=True),
        Column("batch", tuple("-" if row.batch is None else f"{row.batch:g}" for row in cycles), drop=3),
        column(f"search {search.unit}", search, lambda row: None if row.cycle is None else row.cycle.search_j, drop=2),
        column(f"fixed {fixed.unit}", fixed, lambda row: None if row.cycle is None else row.cycle.fixed_j),
        column(f"{each.unit}/image", each, lambda row: None if row.cycle is None else row.cycle.inference_j),
        Column("/ none's", tuple("-" if row.inference is None else f"{row.inference.value:.3f}" for row in cycles)),
        column(f"E(10^6) {later.unit}", later, lambda row: None if row.cycle is None else row.cycle.at(1e6), drop=1),
        Column("n*", tuple("-" if m is None or m.images is None else significant(m.images) for m in meets)),
    )
    lines = [
        "E(n) = search + compression + training + n x inference, IT joules; fixed is all before the first image, with "
        "the compression inside the search. n*: images at which a case and none have cost the same."
    ]
    lines += [f"{row.case.short_id}: {row.against_none.reason}." for row in cycles if row.against_none is not None]
    lines += [f"{row.case.short_id}: {row.reason}." for row in cycles if row.reason]
    return Part("Full cycle: from compression to the n-th inference", columns, lines=tuple(lines))
