"""Which cases may be compared at all. Two numbers that do not measure the same thing get no verdict."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from energybench.model import Case, Provenance, Status

_MACHINE_WORDS = ("estimate", "gpu", "hwmon", "cpu", "power", "scope", "clock", "machine", "meter", "host", "device")
"""First words of the comparability keys that bear on energy only: another machine spoils joules, not accuracy."""


def differences(baseline: Case, candidate: Case, vary: Collection[str] = ()) -> tuple[str, ...]:
    """Why the energy of the two cases cannot be compared, one clause each; empty where it can.

    `vary` names comparability keys, or `workload`, that are meant to differ. Provenance and domains never are:
    joules of another kind, or of other devices, are other quantities.
    """
    old, new = baseline.verdict_provenance, candidate.verdict_provenance
    found = _declared(baseline, candidate, vary, machine=True)
    if found and Provenance.ESTIMATED not in (old, new):
        # A verdict on counters does not rest on the model that fills in the rest.
        found = [clause for clause in found if not clause.startswith("estimate_")]
    if old is None or new is None:
        found.append(f"no energy reading in the {'baseline' if old is None else 'candidate'}")
        return tuple(found)
    if old is not new:
        found.append(f"provenance ({old.value} -> {new.value})")
    if sorted(baseline.verdict_domains) != sorted(candidate.verdict_domains):
        found.append(f"domains ({_names(baseline)} -> {_names(candidate)})")
    elif old is Provenance.ESTIMATED is new:
        found.extend(_estimating_devices(baseline, candidate))
    for case, side in ((baseline, "baseline"), (candidate, "candidate")):
        if case.status is Status.FAILED:
            found.append(f"the {side} failed (it raised, or an assertion did not hold)")
    return tuple(found)


def accuracy_differences(baseline: Case, candidate: Case, vary: Collection[str] = ()) -> tuple[str, ...]:
    """Why the accuracy of the two cases cannot be compared. Another machine or meter is no reason."""
    return tuple(_declared(baseline, candidate, vary, machine=False))


def _declared(baseline: Case, candidate: Case, vary: Collection[str], *, machine: bool) -> list[str]:
    found = []
    if baseline.workload != candidate.workload and "workload" not in vary:
        found.append(f"workload ({_changed_inputs(baseline, candidate)})")
    old, new = baseline.comparability, candidate.comparability
    if old == new:
        return found
    for key in sorted(old.keys() | new.keys()):
        if key in vary or (not machine and key.partition("_")[0].rstrip("s") in _MACHINE_WORDS):
            continue
        if old.get(key) != new.get(key):
            found.append(f"{key} ({_text(old.get(key))} -> {_text(new.get(key))})")
    return found


def _changed_inputs(baseline: Case, candidate: Case) -> str:
    """The declared facts that differ, for the hash alone tells a person nothing."""
    old, new = (_declared_inputs(case) for case in (baseline, candidate))
    changed = [
        f"{key}: {_text(old.get(key))} -> {_text(new.get(key))}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if changed:
        return ", ".join(changed[:4]) + (", ..." if len(changed) > 4 else "")
    return f"{baseline.workload[:12] or 'none'} -> {candidate.workload[:12] or 'none'}"


def _declared_inputs(case: Case) -> dict[str, Any]:
    """By dotted name: a recipe that differs in its learning rate is `recipe.lr`, not two long dictionaries."""
    declared = case.facts.get("workload")
    return dict(_leaves(declared)) if isinstance(declared, Mapping) else {}


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _estimating_devices(baseline: Case, candidate: Case) -> list[str]:
    old = {domain.name: domain.device for domain in baseline.domains if domain.name in baseline.verdict_domains}
    new = {domain.name: domain.device for domain in candidate.domains if domain.name in candidate.verdict_domains}
    return [
        f"device of the estimated {name} ({old[name] or 'unknown'} -> {new[name] or 'unknown'})"
        for name in sorted(old)
        if old[name] != new[name]
    ]


def _names(case: Case) -> str:
    return "+".join(sorted(case.verdict_domains)) or "none"


def _text(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
