"""Which runs and cells may stand in one table, and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from energybench.analysis.interactions_cells import PROTOCOLS, Cell, data_of, is_candidate, kind_of
from energybench.analysis.row import workload
from energybench.errors import UsageError
from energybench.model import Run

MEASURE = "Measure with `pytest benches/ --energy-study environment --energy-interleave`"
"""what to do where cells are missing"""


def protocol_of(runs: Mapping[str, Run]) -> str:
    """The best protocol of which every run has cases."""
    for protocol in PROTOCOLS:
        if all(any(is_candidate(case, protocol) for case in run.cases) for run in runs.values()):
            return protocol
    known = ", ".join(PROTOCOLS)
    for label, run in runs.items():
        if not any(is_candidate(case, protocol) for case in run.cases for protocol in PROTOCOLS):
            raise UsageError(f"{label} holds no case that trained an uncompressed model ({known}). {MEASURE}.")
    raise UsageError(f"The runs have no protocol in common of {known}. {MEASURE} on each machine.")


def refuse_two_kinds(cells: Sequence[Cell]) -> None:
    """Measured and estimated joules are two quantities; so are those of other domains or machines within one run."""
    kinds: dict[str, list[Cell]] = {}
    for cell in cells:
        kinds.setdefault(kind_of(cell.case), []).append(cell)
    if len(kinds) > 1:
        said = "; ".join(
            f"{len(group)} {kind}, such as {group[0].case.short_id} of {group[0].run}" for kind, group in kinds.items()
        )
        raise UsageError(f"Joules of several kinds do not make one table: {said}. Name runs of one kind.")
    for run in dict.fromkeys(cell.run for cell in cells):
        here = [cell for cell in cells if cell.run == run]
        for what, key in (("domains", _domains), ("machine or meters", lambda cell: cell.machine)):
            other = next((cell for cell in here if key(cell) != key(here[0])), None)
            if other is not None:
                raise UsageError(
                    f"{run}: {other.case.short_id} and {here[0].case.short_id} have not the same {what}, so their "
                    f"joules do not make one table. Measure them in one session."
                )


def _domains(cell: Cell) -> str:
    return "+".join(sorted(cell.case.total_domains))


def refuse_other_work(cells: Sequence[Cell]) -> None:
    """The same cell of two runs must be the same work: joules per epoch of other images are another quantity."""
    first: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        known = first.setdefault((cell.model, cell.setting), cell)
        old, new = _declared(known), _declared(cell)
        changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
        if changed:
            said = ", ".join(f"{key} {old.get(key, 'absent')} and {new.get(key, 'absent')}" for key in changed[:4])
            raise UsageError(
                f"{cell.model} in {cell.setting} is not the same work in {known.run} and {cell.run}: {said}. "
                "Measure both with the same profile and settings."
            )


def _declared(cell: Cell) -> dict[str, object]:
    """The declared inputs, the recipe's by dotted name; threads that only feed a GPU are no part of the work."""
    found: dict[str, object] = {}
    for key, value in workload(cell.case).items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{name}": inner for name, inner in value.items()}
        elif key != "threads" or cell.device == "cpu":
            found[key] = value
    return found


def doubts(runs: Mapping[str, Run], cells: Sequence[Cell]) -> list[str]:
    """What a reader must know of how the cells came about."""
    notes = []
    blocked = [label for label, run in runs.items() if not run.session.get("interleaved")]
    if blocked:
        notes.append(
            f"not interleaved: {', '.join(blocked)}; the machine's drift stands between the environments as if it "
            "were their own"
        )
    for label in runs:
        data = data_of([cell for cell in cells if cell.run == label])
        if len(data) > 1:
            notes.append(
                f"{label}: its models trained on different data ({', '.join(data)}), so that their scores cannot be "
                "held against each other and no model is chosen"
            )
    shares = [share for cell in cells if (share := cell.case.measured_share) is not None]
    if shares and min(shares) != max(shares) and kind_of(cells[0].case) == "estimated":
        notes.append(
            f"part of the joules is estimated: {100 * min(shares):.0f} to {100 * max(shares):.0f} % of a cell's are "
            "read from counters, so a difference between devices rests on the estimate too"
        )
    return notes
