"""`energybench estimate consistency`: whether the numbers of stored runs fit one another."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import RUN, add_storage, storage_folder

if TYPE_CHECKING:
    from energybench.estimators.step.consistency import Consistency

UNFIT = 1


def add(actions: Any) -> None:
    """Declare the subcommand."""
    parser = actions.add_parser(
        "consistency",
        help="check stored runs: power x seconds = joules, epochs no running total, laps no more than their round",
        epilog="Exit 1 where something does not fit.",
    )
    parser.add_argument("run", nargs="*", metavar="RUN", help=f"{RUN} (default: every stored run)")
    add_storage(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print a line per run and per finding; 1 where something does not fit, 2 where a run cannot be read."""
    from energybench.estimators.step.consistency import consistency
    from energybench.store import find_run, list_runs, read_run

    storage = storage_folder(options)
    code = 0
    if options.run:
        stored = [read_run(find_run(ref, storage, any_status=True).path) for ref in options.run]
    else:
        entries = list_runs(storage)
        stored = [entry.run for entry in entries if entry.run is not None]
        for entry in entries:
            if entry.run is None:
                print(f"energybench: {entry.error}", file=err)
                code = 2
        if not entries:
            print(f"energybench: no runs are stored in {storage}.", file=err)
    checks = [consistency(one) for one in stored]
    for check in checks:
        print("\n".join(lines(check)), file=out)
    return UNFIT if any(check.findings for check in checks) else code


def lines(check: Consistency) -> list[str]:
    """What was checked in a run, and what does not fit."""
    traced = f"{check.traced} against their trace" if check.traced else "none against a trace (no trace was recorded)"
    head = f"{check.run}: {check.rounds} rounds, {check.lapped} with laps, {traced}: "
    return [
        head + (f"{len(check.findings)} do not fit" if check.findings else "consistent"),
        *(f"  {finding}" for finding in check.findings),
    ]
