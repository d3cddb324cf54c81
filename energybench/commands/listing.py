"""`energybench list`: the stored runs."""

from __future__ import annotations

import argparse
from typing import Any, TextIO

from energybench.commands.arguments import add_storage, storage_folder, terminal_width
from energybench.errors import UsageError


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("list", help="list the stored runs")
    add_storage(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print a line per stored run; UsageError where the folder that was named is not there."""
    from energybench.reports.text import runs_table
    from energybench.store import list_runs

    storage = storage_folder(options)
    if options.storage is not None and not storage.is_dir():
        raise UsageError(f"There is no folder {storage}; give the folder of the runs with --storage")
    entries = list_runs(storage)
    print(runs_table(entries, width=terminal_width(out)), file=out)
    if not entries:
        print(f"energybench: {storage} holds no runs yet.", file=err)
    return 0
