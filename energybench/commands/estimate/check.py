"""`energybench estimate check`: the estimators judged by what a stored run came to.

Each checker takes the run and gives its part of the report; a further estimator appends one to CHECKERS.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import add_run, add_storage, storage_folder, terminal_width
from energybench.commands.estimate.pre_check import pre
from energybench.commands.waiting import tracked

if TYPE_CHECKING:
    from energybench.estimators.step.replay import Score
    from energybench.model import Case, Run
    from energybench.reports.part import Part

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Checked:
    """What one checker found."""

    name: str
    """key in the JSON"""
    parts: tuple[Part, ...] = ()
    lines: tuple[str, ...] = ()
    """below the tables, or alone"""
    data: Any = field(default_factory=dict)
    """the same for the JSON"""
    fits: bool = True
    """False fails the command: the run contradicts itself"""


Checker = Callable[["Run", argparse.Namespace], Checked]


def add(actions: Any) -> None:
    """Declare the subcommand."""
    parser = actions.add_parser(
        "check",
        help="replay the estimators over a stored run: errors and coverage beside simpler rules; consistency",
        epilog="Exit 1 where the run's numbers do not fit one another.",
    )
    add_run(parser, "run")
    parser.add_argument(
        "--rated-w",
        type=float,
        metavar="WATTS",
        help="rated power of what was metered, for the rule "
        "TDP x time (default: GPUs' power limits and the CPU's entry in the table of ratings)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json for programs")
    add_storage(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print every checker's tables; 1 where one says that the run does not fit."""
    from energybench.reports.part import as_text, filled
    from energybench.store import find_run, read_run

    found = find_run(options.run, storage_folder(options), any_status=True)
    for note in found.notes:
        print(f"energybench: {note}", file=err)
    stored = read_run(found.path)
    checks = [checker(stored, options) for checker in tracked(CHECKERS, f"checking {stored.name}", err)]
    if options.format == "json":
        document = {"schema": SCHEMA, "run": stored.name, **{check.name: check.data for check in checks}}
        print(json.dumps(document, indent=1, allow_nan=False), file=out)
    else:
        width = terminal_width(out)
        blocks = [stored.name]
        for check in checks:
            blocks += [as_text(part, width) for part in check.parts]
            if check.lines:
                blocks.append("\n".join(filled(line, width, "  ") for line in check.lines))
        print("\n\n".join(blocks), file=out)
    return 0 if all(check.fits for check in checks) else 1


def step(stored: Run, options: argparse.Namespace) -> Checked:
    """STEP over every finished training of the run: share of epochs seen and window swept."""
    from energybench.estimators.step.replay import FEWEST, SHARES, WINDOWS, replays, score
    from energybench.reports.part import Part
    from energybench.reports.table import Column

    rated: Callable[[Case], float | None] = rated_w if options.rated_w is None else lambda case: options.rated_w
    trainings = replays(stored, rated)
    if not trainings:
        said = f"STEP: no training of {stored.name} has {FEWEST} epochs with energy, so there is nothing to replay."
        return Checked("step", lines=(said,), data=[])
    scores = [score(trainings, share, window) for window in WINDOWS for share in SHARES]
    shown = [one for one in scores if one.answered]
    columns = (
        Column("window", tuple("stable" if one.window is None else str(one.window) for one in shown), left=True),
        Column("seen", tuple(f"{100 * one.share:.0f} %" for one in shown)),
        Column("n", tuple(str(one.answered) for one in shown)),
        Column("STEP %", tuple(_percent(one.step) for one in shown)),
        Column("9 of 10 %", tuple(_percent(one.step_p90) for one in shown), drop=1),
        Column("in interval", tuple(f"{100 * (one.covered or 0):.0f} %" for one in shown)),
        Column("so far %", tuple(_percent(one.so_far) for one in shown)),
        Column("TDP x t %", tuple(_percent(one.rated) for one in shown)),
    )
    counts = [len(training.epochs) for training in trainings]
    lines = [
        f"{len(trainings)} trainings of {min(counts)} to {max(counts)} epochs. The interval is meant to hold 90 %. "
        f"So far: the mean of the epochs so far for all. TDP x t is given the true duration.",
        *_unanswered(scores),
    ]
    title = "STEP replayed: median absolute error of the total energy of the epochs"
    part = Part(title, columns, groups=tuple(str(one.window) for one in shown), lines=tuple(lines))
    return Checked("step", (part,), data=[asdict(one) for one in scores])


def consistent(stored: Run, options: argparse.Namespace) -> Checked:
    """Whether the run's numbers fit one another."""
    from energybench.commands.estimate.consistency import lines
    from energybench.estimators.step.consistency import consistency

    check = consistency(stored)
    return Checked("consistency", lines=tuple(lines(check)), data=asdict(check), fits=not check.findings)


CHECKERS: tuple[Checker, ...] = (step, pre, consistent)


def rated_w(case: Case) -> float | None:
    """Rated power of the domains that add up to the case's energy; None where that of one is not known.

    GPUs by their power limit; the CPU by the table of makers' ratings, else by what the estimate took for it. Memory
    has no rating and counts nothing, as in TDP x time elsewhere.
    """
    from energybench.metering.tdp import watts_per_cpu

    said, total = case.comparability, 0.0
    gpus = [gpu.get("power_limit_w") for gpu in said.get("gpus") or () if isinstance(gpu, dict)]
    for domain in case.domains:
        kind, _, number = domain.name.partition(":")
        if not domain.in_total or kind in ("dram", "ram"):
            continue
        watts: Any = None
        if kind == "gpu" and number.isdigit() and int(number) < len(gpus):
            watts = gpus[int(number)]
        elif domain.name in ("cpu", "package:0"):
            per_cpu = watts_per_cpu(str(said.get("cpu", ""))) or said.get("estimate_w_per_cpu")
            count = said.get("cpu_count")
            watts = per_cpu * count if per_cpu and count else None  # all sockets: their CPUs are counted together
        elif kind == "package":
            continue
        if not watts:
            return None
        total += watts
    return total or None


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _unanswered(scores: list[Score]) -> list[str]:
    none = [one for one in scores if not one.answered]
    said = [f"{one.window or 'stable'} at {100 * one.share:.0f} %" for one in none]
    return [f"Not shown, since too few epochs have ended for the window: {', '.join(said)}."] if said else []
