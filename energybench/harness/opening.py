"""What happens before the first case: options that exclude one another are refused, meters and the trace are opened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from energybench.errors import UsageError
from energybench.harness.options import EnergyOptions

if TYPE_CHECKING:
    from energybench.metering import Meters
    from energybench.metering.ranks import Rank
    from energybench.store import TraceWriter


def check_together(options: EnergyOptions, rank: Rank | None) -> None:
    """Raises UsageError for options that cannot stand together, or not in one of several ranks."""
    if options.resume and not options.save:
        raise UsageError("--energy-resume reads and continues the journal, which --energy-no-save turns off: drop one")
    if rank is None:
        return
    if options.looks is not None:
        raise UsageError(
            "--energy-looks decides after its own joules who goes on, and the ranks of one training would decide "
            "apart: give --energy-rounds"
        )
    if options.stop_after is not None:
        raise UsageError(
            "--energy-stop-after decides after its own joules when a case ends, and the ranks of one training would "
            "decide apart: --energy-project alone shows the projection"
        )


def meters_for(options: EnergyOptions, further: Callable[[], Iterable[object]] | None = None) -> Meters:
    """Open and calibrated, with the meters that `further` gives. Raises UsageError or MeterError."""
    from energybench.metering import MeterOptions, open_meters

    meters = open_meters(
        MeterOptions(
            names=options.meters,
            powercap_root=options.powercap_root,
            estimate=options.estimate,
            cpu_tdp_w=options.cpu_tdp_w,
            scope=options.scope,
            check_integral=options.check_integral,
        ),
        further=further,
    )
    meters.calibrate()
    return meters


def trace_of(meters: Meters, hertz: float, storage: Path, session: str) -> TraceWriter:
    """Record the joules of every domain `hertz` times a second from now on, beside this machine's runs."""
    from energybench.store import TraceWriter, machine_id

    trace = TraceWriter(storage / machine_id(), session, [domain.name for domain in meters.domains])
    meters.trace(hertz, trace.append)
    return trace


def idle_power(meters: Meters, seconds: float) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """Watts of each domain while nothing is done for so long, and the warnings of that window."""
    window = meters.open_window("idle")
    time.sleep(seconds)
    idle = window.close()
    watts = {name: None if joules is None else joules / idle.seconds for name, joules in idle.joules.items()}
    return watts, idle.warnings
