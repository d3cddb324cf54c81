"""`energybench list`: the stored runs, or one case through all of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import add_storage, storage_folder, terminal_width
from energybench.commands.colour import for_terminal
from energybench.errors import StoreError, UsageError

if TYPE_CHECKING:
    from energybench.store import RunEntry


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("list", help="list the stored runs, or one case through all of them")
    parser.add_argument(
        "--history",
        metavar="CASE",
        help="every run of a case: its full id, the part in brackets (resnet18-stego), or a glob of either",
    )
    parser.add_argument(
        "--machine", metavar="FOLDER", help="with --history: the runs of another machine folder than this machine's"
    )
    add_storage(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print a line per stored run; UsageError where the folder that was named is not there."""
    from energybench.reports.text import runs_table
    from energybench.store import list_runs

    storage = storage_folder(options)
    if options.storage is not None and not storage.is_dir():
        raise UsageError(f"There is no folder {storage}; give the folder of the runs with --storage")
    if options.machine is not None and options.history is None:
        raise UsageError("--machine goes with --history: without it the runs of every machine are listed")
    if options.history is not None:
        return _history(options, storage, out, err)
    entries = list_runs(storage)
    print(for_terminal(runs_table(entries, width=terminal_width(out)), out), file=out)
    if not entries:
        print(f"energybench: {storage} holds no runs yet.", file=err)
    return 0


def _history(options: argparse.Namespace, storage: Path, out: TextIO, err: TextIO) -> int:
    """Print a table per case; StoreError where the folder holds no runs, or no run such a case."""
    from energybench.reports.history import history_tables
    from energybench.store import history_of, machine_id, read_entries
    from energybench.store.runs import entries

    folder = options.machine or machine_id()
    folders = sorted({entry.machine for entry in entries(storage)} - {""})
    if folder not in folders:
        there = f"Name one of these with --machine: {', '.join(folders)}" if folders else "Measure one with pytest"
        raise StoreError(f"{storage} holds no runs of {folder}. {there}.")
    unreadable: list[str] = []

    def readable() -> Iterator[RunEntry]:
        for entry in read_entries(storage, folder):
            if entry.error:
                unreadable.append(entry.name)
            yield entry

    text = history_tables(history_of(readable(), options.history), width=terminal_width(out))
    print(for_terminal(text, out), file=out)
    if unreadable:
        more = f" and {len(unreadable) - 8} more" if len(unreadable) > 8 else ""
        out.flush()
        print(
            f"energybench: not read: {', '.join(unreadable[:8])}{more}; `energybench list` says why.",
            file=err,
        )
    return 0
