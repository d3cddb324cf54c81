"""`energybench show`: one run in full."""

from __future__ import annotations

import argparse
from typing import Any, TextIO

from energybench.commands.arguments import add_pue, add_run, add_storage, storage_folder, terminal_width
from energybench.commands.colour import for_terminal
from energybench.errors import UsageError


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("show", help="show one run in full")
    add_run(parser, "run")
    add_pue(parser)
    add_layout(parser)
    add_storage(parser)
    parser.set_defaults(command=run)


def add_layout(parser: argparse.ArgumentParser) -> None:
    """--columns, --sort and --group-by of the table of cases."""
    table = parser.add_argument_group("the table of cases")
    table.add_argument(
        "--columns",
        type=_columns,
        default=(),
        metavar="NAME,...",
        help="show these columns, all of them whatever the width: kwh, joules, accuracy, power, per-sample, ...",
    )
    table.add_argument(
        "--sort", type=_sort, default=(), metavar="NAME[:desc],...", help="sort by any column, smallest first"
    )
    table.add_argument(
        "--group-by", type=_group_by, metavar="NAME", help="model, compressor, study, param:NAME or none"
    )


def _columns(text: str) -> Any:
    return _laid_out("columns", text)


def _sort(text: str) -> Any:
    return _laid_out("sort", text)


def _group_by(text: str) -> Any:
    return _laid_out("group_by", text)


def _laid_out(what: str, text: str) -> Any:
    from energybench.reports import layout

    try:
        return getattr(layout, what)(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print the run; StoreError where it cannot be found or read, UsageError where no case has a named parameter."""
    from energybench.reports.layout import Layout
    from energybench.reports.show import show
    from energybench.store import find_run, read_run

    found = find_run(options.run, storage_folder(options), any_status=True)
    for note in found.notes:
        print(f"energybench: {note}", file=err)
    layout = Layout(options.columns, options.sort, options.group_by or "")
    text = show(read_run(found.path), width=terminal_width(out), pue=options.pue, layout=layout)
    print(for_terminal(text, out), file=out)
    return 0
