"""The figures at the top of a report: energy with and without PUE, carbon, price, time, and where joules come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from energybench.model import Case, Provenance, Run, Status
from energybench.reports.case_columns import total_j
from energybench.reports.factors import footprint, stated
from energybench.reports.page.contents import Headline, Tile
from energybench.reports.text import branch
from energybench.units import duration, energy, kwh, significant, watt_hours

_MACHINE = ("node", "system", "machine")


def headline(run: Run, pue: float | None) -> Headline:
    """One run; kWh include `pue`, else each case's own."""
    return Headline(
        run=run.name,
        where=_where(run),
        provenance=provenance(run.cases),
        tiles=(*_energy_tiles(run, pue), _cases_tile(run.cases), *_time_tiles(run.cases)),
        sentences=tuple(_sentences(run)),
    )


def provenance(cases: Iterable[Case]) -> str:
    """Where the joules of all cases come from: a class, or how much of the energy was metered."""
    every = tuple(cases)
    classes = {case.provenance for case in every if case.mean_j is not None} - {None}
    if not classes:
        return "no energy"
    if classes == {Provenance.ESTIMATED}:
        shares = [share for case in every if (share := case.measured_share)]
        if shares:
            low, high = (f"{100 * end:.0f}" for end in (min(shares), max(shares)))
            return f"{low if low == high else f'{low} to {high}'} % metered"
    ordered = sorted((c for c in classes if c is not None), key=lambda c: c.rank)
    return " and ".join(c.value for c in ordered)


def energy_label(cases: Iterable[Case]) -> str:
    """What must stand at every chart of joules: `estimated`, `partly estimated`, `replayed`; else nothing."""
    every = [case for case in cases if case.mean_j is not None]
    modelled = [case for case in every if case.provenance is Provenance.ESTIMATED]
    if modelled:
        whole = len(modelled) == len(every) and not any(case.measured_share for case in modelled)
        return "estimated" if whole else "partly estimated"
    return "replayed" if any(case.provenance is Provenance.REPLAYED for case in every) else ""


def _energy_tiles(run: Run, pue: float | None) -> Sequence[Tile]:
    factors = [case.pue if pue is None else pue for case in run.cases]
    rounds = [total_j(case, (round.window for round in case.rounds)) for case in run.cases]
    known = [(joules, factor) for joules, factor in zip(rounds, factors, strict=True) if joules is not None]
    if not known:
        return (Tile("Energy", "not read", "no case has a full reading", "warn"),)
    it_j, final_j = sum(joules for joules, _ in known), sum(joules * factor for joules, factor in known)
    pues = sorted({factor for _, factor in known})
    factor = f"PUE {pues[0]:g}" if len(pues) == 1 else f"PUE {pues[0]:g} to {pues[-1]:g}"
    left_out = len(run.cases) - len(known)
    tiles = [
        Tile("Energy", watt_hours(final_j), f"{significant(kwh(final_j))} kWh with {factor}, all rounds"),
        Tile(
            "IT energy",
            energy(it_j),
            f"before PUE; {left_out} of {len(run.cases)} cases not read" if left_out else "before PUE",
        ),
    ]
    for label, keys in (("CO2e", ("carbon_g_per_kwh",)), ("Price", ("price_per_kwh", "currency"))):
        text = footprint(final_j, {key: run.session.get(key) for key in keys})
        if text:
            tiles.append(Tile(label, text.removesuffix(" CO2e").removeprefix("cost "), _rate(run.session, keys)))
    return tiles


def _rate(session: Mapping[str, object], keys: Sequence[str]) -> str:
    """`344 gCO2e/kWh (DE 2024: ...)`: what the figure was made with."""
    wanted = {**{key: session.get(key) for key in keys}, "carbon_source": session.get("carbon_source")}
    return next((text for _, text in stated(wanted)), "")


def _cases_tile(cases: Sequence[Case]) -> Tile:
    counts = Counter(case.status for case in cases)
    if not cases:
        return Tile("Cases", "0", "nothing was measured", "warn")
    bad = [f"{count} {status.value}" for status, count in counts.items() if status is not Status.OK]
    spans = sorted({len(case.rounds) for case in cases})
    rounds = f"{spans[0]}" if len(spans) == 1 else f"{spans[0]} to {spans[-1]}"
    said = ", ".join(bad) if bad else "all ok" if len(cases) > 1 else "ok"
    below = f"{said}; {rounds} round{'' if spans == [1] else 's'} each"
    return Tile("Cases", str(len(cases)), below, "warn" if bad else "")


def _time_tiles(cases: Sequence[Case]) -> Sequence[Tile]:
    seconds = sum(sum(case.seconds) for case in cases)
    return (Tile("Metered time", duration(seconds), "sum of all rounds"),) if seconds else ()


def _where(run: Run) -> str:
    machine = " ".join(str(run.machine[key]) for key in _MACHINE if run.machine.get(key))
    devices = list(dict.fromkeys(d.device for case in run.cases for d in case.domains if d.in_total and d.device))
    commit = str(run.commit.get("id") or "")[:12]
    known = "" if commit in ("", "unknown", "unversioned") else f"commit {commit} ({branch(run)})"
    dirty = " with uncommitted changes" if known and run.commit.get("dirty") else ""
    return " · ".join(
        p for p in (", ".join(devices), machine, f"{known}{dirty}", run.created[:16].replace("T", " ")) if p
    )


def _sentences(run: Run) -> list[str]:
    status = str(run.session.get("status") or "")
    lines = [] if status in ("", "ok") else [f"The session ended as {status}."]
    if provenance(run.cases) == "no energy":
        lines.append("No energy was read: seconds and accuracy stand below, joules nowhere.")
    elif energy_label(run.cases) == "estimated":
        lines.append(
            "All joules are estimated from utilisation and rated power; no counter was read. They rank cases of one "
            "machine, and are no measurement."
        )
    if run.foreign:
        lines.append(f"{run.foreign} plain pytest-benchmark cases in the same file carry no energy.")
    return lines
