"""The hook that energybench offers to plugins and conftests. Every pytest loads this when it starts: keep it small."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from energybench.errors import EnergybenchError, MeterError

if TYPE_CHECKING:
    from energybench.metering import Meter, Opened


@pytest.hookspec
def pytest_energybench_meters(config: pytest.Config) -> Meter | Opened | Iterable[Meter | Opened] | None:
    """Give meters of your own to the session: one, several, or None.

    Called once, after collection and before the first round, in sessions that meter a case; not where `replay:FILE`
    stands in for every meter. What a meter must have stands in `energybench.metering.Meter`; the session closes it.
    It is read after the built-in counters were opened and before anything is estimated.

    Return `Opened(meter, diagnoses, covers)` where the meter's total holds what other meters read too, such as a wall
    meter with covers={"package", "dram", "gpu"}: nothing that it covers is estimated then, and where a counter reads
    any of it, the meter is reported beside the total and not added. `Opened(None, diagnoses)` says why there is none.

    Its `comparability()` and `conditions()` are stored with the built-in ones. Begin the keys of `comparability()` with
    `meter_`: another meter then spoils the comparison of joules and not that of accuracies.
    """


def offered(config: pytest.Config) -> list[Any]:
    """What plugins and conftests give, in the order in which pytest asks them, unchecked.

    Raises MeterError where one raises, with the place in its code.
    """
    try:
        results: list[Any] = config.hook.pytest_energybench_meters(config=config)
        given: list[Any] = []
        for result in results:
            # Opened is a tuple, and so is a sequence of meters: a meter has `read`, Opened has `meter`.
            one = hasattr(result, "meter") or not isinstance(result, Iterable)
            given.extend([result] if one else result)
    except EnergybenchError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise MeterError(
            f"the hook pytest_energybench_meters raised {type(error).__name__} ({error}) at "
            f"{last.filename}:{last.lineno}. Where a device may be absent, return Opened(None, diagnoses) instead."
        ) from error
    return given
