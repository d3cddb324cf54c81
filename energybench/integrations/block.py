"""Metering without pytest: the fixture's laps and records around a block of a script or a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from energybench.errors import UsageError

if TYPE_CHECKING:
    from energybench.harness.result import Result
    from energybench.metering import MeterOptions, Meters, OpenWindow
    from energybench.model import Domain, Window


class Metered:
    """A block that is being metered; afterwards `result` has what the call of the `energy` fixture returns."""

    def __init__(self, window: OpenWindow, domains: tuple[Domain, ...]) -> None:
        self._window = window
        self._metrics: dict[str, Any] = {}
        self._result: Result | None = None
        self.domains = domains
        """what was read, with the provenance of each"""

    def lap(self, label: str) -> AbstractContextManager[None]:
        """Meter a part, such as an epoch. MeterError after the block."""
        return self._window.lap(label)

    def record(self, **metrics: Any) -> None:
        """Keep numbers with it: accuracy in [0, 1], epochs, images, ... UsageError for what is no number."""
        from energybench.harness.case import plain_metrics

        if self._result is not None:
            raise UsageError("energy.record(...) belongs inside the block that metered() meters")
        plain_metrics(metrics)
        self._metrics.update(metrics)

    def note(self, *, loss: Any = None, **settings: Any) -> None:
        """Takes what the fixture takes; nothing is projected here."""

    @property
    def result(self) -> Result:
        """Joules, kWh, seconds and metrics; `result.case` is the value that the store writes.

        UsageError inside the block, and where it raised: what a failed block drew is no result.
        """
        if self._result is None:
            raise UsageError("there is no result: the metered block is not over, or it raised")
        return self._result

    @property
    def window(self) -> Window:
        """Seconds, joules by domain and laps. Raises as `result` does."""
        return self.result.rounds[0].window


@contextmanager
def metered(
    label: str = "metered", *, meters: Meters | None = None, options: MeterOptions | None = None, pue: float = 1.0
) -> Iterator[Metered]:
    """Meter a block: `with metered() as energy: train(energy)`, then `energy.result.joules`.

    Opens the meters that `options` names (default: whatever is there, and estimates for what is not), reads how often
    their counters are updated, and closes them at the end; `meters`, opened by `open_meters`, stay open and serve
    several blocks. `pue` is a factor of kWh only. Raises UsageError or MeterError where no window can be opened.
    """
    from energybench.harness.case import plain_metrics
    from energybench.harness.result import Result
    from energybench.harness.surroundings import now
    from energybench.harness.windows import opened
    from energybench.metering import open_meters
    from energybench.model import Case, Round

    if meters is not None and options is not None:
        raise UsageError("metered() takes open meters or the options to open some, not both")
    own = meters is None
    used = open_meters(options) if meters is None else meters
    try:
        if own:
            used.calibrate()
        started, conditions = now(), used.conditions()
        with opened(used, label) as within:
            energy = Metered(within.window, used.domains)
            yield energy
        assert within.result is not None
        metrics, complaints = plain_metrics(energy._metrics)
        round = Round(within.result, metrics, started=started, conditions=conditions, conditions_end=used.conditions())
        case = Case(
            id=label,
            rounds=(round,),
            domains=used.domains,
            comparability=used.comparability(),
            warnings=(*complaints, *within.result.warnings),
            pue=pue,
        )
        energy._result = Result(case)
    finally:
        if own:
            used.close()
