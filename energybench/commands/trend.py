"""`energybench trend`: where the level of a case changed in its history.

Runs of one machine folder that ended ok, in the order in which they were saved. A step counts where its p value,
corrected for all the places where one might have been, is at most 0.05; a level lasts two runs at least, so a change in
the newest run alone is not one yet.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import add_storage, at_least_one, storage_folder, terminal_width
from energybench.commands.waiting import tracked
from energybench.errors import StoreError, UsageError

if TYPE_CHECKING:
    from energybench.analysis.trend import Measured
    from energybench.store import PastCase, RunEntry

_LAST = 200
_NAMED = 8
"""runs that a note names before it only counts"""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("trend", help="where the level of a case changed in its history", epilog=__doc__)
    parser.add_argument(
        "cases",
        nargs="*",
        metavar="CASE",
        help="a full id, the part in brackets (resnet18-stego), or a glob of either; default: every case",
    )
    parser.add_argument("--metric", choices=("energy", "accuracy", "seconds"), default="energy", help="of the case")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json for programs")
    parser.add_argument(
        "--last",
        type=at_least_one("runs", "the newest N runs are"),
        default=_LAST,
        metavar="N",
        help=f"only the newest N runs (default {_LAST})",
    )
    parser.add_argument("--machine", metavar="FOLDER", help="another machine folder than this machine's")
    add_storage(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print the trends; UsageError for a folder that is not there, StoreError where it holds no such run or case."""
    from energybench.analysis.trend import trend
    from energybench.store import history_of, machine_id

    storage = storage_folder(options)
    if options.storage is not None and not storage.is_dir():
        raise UsageError(f"There is no folder {storage}; give the folder of the runs with --storage")
    folder = options.machine or machine_id()
    fit, passed_over = _fit_runs(storage, folder, options.last, err)
    if passed_over:
        more = f" and {len(passed_over) - _NAMED} more" if len(passed_over) > _NAMED else ""
        print(f"energybench: not in the trend: {', '.join(passed_over[:_NAMED])}{more}.", file=err)
    histories: dict[str, tuple[PastCase, ...]] = {}
    for pattern in options.cases or ("*",):
        histories.update(history_of(fit, pattern))
    trends = [trend(id, _measured(past), options.metric) for id, past in histories.items()]
    if options.format == "json":
        from energybench.reports.trend import trend_json

        print(trend_json(trends, options.metric, machine=folder), file=out)
    else:
        from energybench.reports.trend import trend_text

        names = [entry.name for entry in fit]
        print(trend_text(trends, options.metric, runs=names, width=terminal_width(out)), file=out)
    return 0


def _fit_runs(storage: Path, folder: str, last: int, err: TextIO) -> tuple[list[RunEntry], list[str]]:
    """The newest `last` runs of the folder that ended ok, oldest first, and those beside them that did not."""
    from energybench.store.runs import entries, read_entry

    stored = entries(storage)
    folders = sorted({entry.machine for entry in stored} - {""})
    if folder not in folders:
        there = f"Name one of these with --machine: {', '.join(folders)}" if folders else "Measure one with pytest"
        raise StoreError(f"{storage} holds no runs of {folder}. {there}.")
    fit: list[RunEntry] = []
    passed_over: list[str] = []
    newest_first = sorted((e for e in stored if e.machine == folder), key=lambda entry: entry.age, reverse=True)
    for entry in tracked(newest_first, "reading runs", err, min(last, len(newest_first))):
        read = read_entry(entry)
        if read.unfit:
            passed_over.append(f"{read.name} ({read.unfit})")
        else:
            fit.append(read)
        if len(fit) == last:
            break
    if not fit:
        raise StoreError(
            f"No run of {folder} in {storage} ended ok: {', '.join(passed_over[:_NAMED])}. Measure one with pytest: a "
            "trend takes no other."
        )
    return fit[::-1], passed_over[::-1]


def _measured(past: Iterable[PastCase]) -> list[Measured]:
    from energybench.analysis.trend import Measured

    return [
        Measured(one.run, one.created, f"{one.commit.id}{'+' if one.commit.id and one.commit.dirty else ''}", one.case)
        for one in past
    ]
