"""`energybench show`: one run in full."""

from __future__ import annotations

import argparse
from typing import Any, TextIO

from energybench.commands.arguments import add_pue, add_run, add_storage, storage_folder, terminal_width


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("show", help="show one run in full")
    add_run(parser, "run")
    add_pue(parser)
    add_storage(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print the run; StoreError where it cannot be found or read."""
    from energybench.reports.show import show
    from energybench.store import find_run, read_run

    found = find_run(options.run, storage_folder(options), any_status=True)
    for note in found.notes:
        print(f"energybench: {note}", file=err)
    print(show(read_run(found.path), width=terminal_width(out), pue=options.pue), file=out)
    return 0
