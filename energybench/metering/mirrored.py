"""Packages that show one counter several times: on some AMD parts every die repeats the package's own value.

Two counters are one only where their steps agree within 0.1 % over at least 5 J, twice. Comparing the values themselves
would also merge two dies of a machine that was just started, whose counters all stand near 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

AGREEMENT = 1e-3
LEAST_J = 5.0
AT_MOST_S = 4.0
"""How long to wait for twice 5 J; a package that idles below 2.5 W is given up on, and counted."""
_POLL_S = 0.02

Register = tuple[Callable[[], int], int | None]
"""(read the raw value, the value at which it wraps around)"""


def mirrors(registers: Mapping[str, Register], unit_j: float, at_most_s: float = AT_MOST_S) -> dict[str, str]:
    """Name -> the earlier name whose counter it repeats; without the names that count on their own.

    Takes as long as the counters need for twice 5 J, at most `at_most_s`. A register that cannot be read is no mirror.
    """
    deadline = time.monotonic() + at_most_s
    agreed: dict[str, str] | None = None
    try:
        for _ in range(2):
            steps = _steps(registers, unit_j, deadline)
            if steps is None:
                return {}
            found = _equal(steps)
            agreed = found if agreed is None else {name: of for name, of in agreed.items() if found.get(name) == of}
    except (OSError, ValueError):
        return {}
    return agreed or {}


def _steps(registers: Mapping[str, Register], unit_j: float, deadline: float) -> dict[str, float] | None:
    start = _look(registers)
    while time.monotonic() < deadline:
        time.sleep(_POLL_S)
        now = _look(registers)
        steps = {
            name: (now[name] - start[name] if modulus is None else (now[name] - start[name]) % modulus) * unit_j
            for name, (_, modulus) in registers.items()
        }
        if min(steps.values()) >= LEAST_J:
            return steps
    return None


def _look(registers: Mapping[str, Register]) -> dict[str, int]:
    """All values of one update: the first is read again at the end, for an update in between would tell mirrors apart.

    Counters that change faster than they can be read are taken as they are.
    """
    (first, _), *_ = registers.values()
    for _ in range(5):
        values = {name: read() for name, (read, _) in registers.items()}
        if first() == next(iter(values.values())):
            break
    return values


def _equal(steps: Mapping[str, float]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, step in steps.items():
        for other, its in steps.items():
            if other == name:
                break
            if other not in found and abs(step - its) <= AGREEMENT * max(step, its):
                found[name] = other
                break
    return found
