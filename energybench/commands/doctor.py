"""`energybench doctor`: what can be metered on this machine, what cannot, and the command that mends it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, TextIO

from energybench.commands.arguments import terminal_width
from energybench.commands.colour import for_terminal


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "doctor",
        help="examine the energy counters of this machine",
        epilog="Exit codes: 0 energy is measured here; 2 usage; 3 only estimates, or nothing, are left. No setting is "
        "ever changed.",
    )
    parser.add_argument("--energy-powercap-root", type=Path, metavar="DIR", help="stands for /sys/class/powercap")
    parser.add_argument("--energy-meters", default="auto", metavar="NAMES", help="comma list (default auto)")
    parser.add_argument("--energy-cpu-tdp", type=float, metavar="W", help="rated power of all CPU sockets")
    parser.add_argument("--energy-no-estimate", action="store_true", help="estimate nothing")
    parser.add_argument(
        "--seconds", type=_watched, default=1.0, metavar="S", help="watch the counters for so long (default 1)"
    )
    parser.add_argument("--json", action="store_true", help="the same for programs, as strict JSON")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print the examination; its exit code says whether anything is measured here."""
    from energybench.metering.doctor import report_document, report_text
    from energybench.metering.examination import examine
    from energybench.metering.meter import MeterOptions

    meters = MeterOptions(
        names=tuple(name.strip() for name in options.energy_meters.split(",") if name.strip()),
        powercap_root=options.energy_powercap_root,
        estimate=not options.energy_no_estimate,
        cpu_tdp_w=options.energy_cpu_tdp,
    )
    seen = examine(meters, options.seconds)
    if options.json:
        print(json.dumps(report_document(seen), indent=1, allow_nan=False), file=out)
    else:
        print(for_terminal(report_text(seen, width=terminal_width(out)), out), file=out)
    return seen.exit_code


def _watched(text: str) -> float:
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"seconds to watch are above 0 and at most 3600, not {text!r}")
    return value


_watched.__name__ = "seconds"
