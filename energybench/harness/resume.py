"""Which rounds of an interrupted sweep still hold, why the others do not, and what is said of its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from energybench.harness.case import Measured
from energybench.harness.journalling import LAPS
from energybench.model import Case, Domain

if TYPE_CHECKING:
    from energybench.harness.journal import JournalText


def notes_on(earlier: JournalText, cases: Set[str], *, resume: bool) -> list[str]:
    """What a reader must know of the journal that a sweep of these cases goes on with."""
    notes = []
    if resume and not earlier.open:
        notes.append("nothing to resume: no unfinished sweep in the journal; everything is measured")
    if earlier.damaged:
        notes.append(f"{earlier.damaged} damaged lines of the journal were left out; those rounds are repeated")
    rounds = [r["case"] for r in earlier.open if r["kind"] == "round"]
    unknown = set(rounds) - cases
    if unknown:
        count = sum(case in unknown for case in rounds)
        some = ", ".join(sorted(unknown)[:3])
        notes.append(f"{count} earlier rounds belong to no selected case (renamed or deselected): {some}")
    return notes


def adopt_rounds(
    case: Measured,
    records: Sequence[Mapping[str, Any]],
    code: str,
    domains: tuple[Domain, ...],
    comparability: Mapping[str, Any],
) -> list[str]:
    """Put the journal's `records` of `case` into it where they still hold; returns notes on those that do not.

    `code` is the hash of the case's code now, `domains` what is read now, `comparability` the keys of now.
    """
    from energybench.store import case_from_record

    refused: list[str] = []
    for record in records:
        if record["kind"] == LAPS:
            continue  # of a round that was ended by its projection: no round
        earlier = case_from_record(case.id, record["record"], case.params)
        kind = record["kind"]
        if kind in case.apart:
            case.earlier_apart[kind] = getattr(earlier, kind)
            continue
        reason = _refusal(case, record, earlier, code, domains, comparability)
        if reason:
            refused.append(reason)
        elif kind == "warmup":
            case.warmups.extend(earlier.warmups)
            case.cold += len(earlier.warmups)
        else:
            case.rounds[record["index"]] = earlier.rounds[0]
            case.facts.update(earlier.facts)
            case.status = earlier.status
            case.warnings.extend(earlier.warnings)
    case.reused = len(case.rounds)
    if not refused:
        return []
    return [f"{case.id}: {len(refused)} earlier rounds not used ({', '.join(dict.fromkeys(refused))})"]


def _refusal(
    case: Measured,
    record: Mapping[str, Any],
    earlier: Case,
    code: str,
    domains: tuple[Domain, ...],
    comparability: Mapping[str, Any],
) -> str:
    index = record["index"]
    if earlier.workload != case.workload:
        return "declared inputs changed"
    if record["code"] != code:
        return "code changed"
    if earlier.domains != domains:
        return "other domains are read now"
    then, now = earlier.comparability, comparability
    changed = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
    if changed:
        return f"changed since: {', '.join(changed)}"
    if index >= len(case.options.seeds):
        return "round not asked for"
    if earlier.rounds and earlier.rounds[0].iterations != case.options.iterations != "auto":
        return "other number of iterations"
    return "other seed" if record["seed"] != case.options.seed(index) else ""
