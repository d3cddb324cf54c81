"""`energybench study`: each compressor beside none and beside what the paper states."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TextIO

from energybench.commands.arguments import RUN, add_pue, add_storage, storage_folder, terminal_width


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "study", help="the study's table: each compressor beside none and beside what the paper states"
    )
    parser.add_argument("run", nargs="+", metavar="RUN", help=f"{RUN}; several: side by side")
    add_pue(parser)
    parser.add_argument(
        "--format", choices=("text", "json", "markdown"), default="text", help="markdown shows all columns"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw accuracy against bits into FILE (.svg, .png, .pdf)"
    )
    add_storage(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print the tables and the judged claims; StoreError where a run cannot be found or read."""
    from energybench.analysis.study import study_table
    from energybench.store import find_run, read_run

    storage = storage_folder(options)
    found = [find_run(ref, storage, any_status=True) for ref in options.run]
    for note in dict.fromkeys(note for one in found for note in one.notes):
        print(f"energybench: {note}", file=err)
    study = study_table([read_run(one.path) for one in found])
    if options.plot is not None:
        from energybench.reports.curve import curves, plot

        plot(curves(study), options.plot)
    if options.format == "json":
        from energybench.reports.study_json import study_json

        print(study_json(study, pue=options.pue), file=out)
    else:
        from energybench.reports.study import study_markdown, study_text

        if options.format == "markdown":
            print(study_markdown(study, pue=options.pue), file=out)
        else:
            print(study_text(study, width=terminal_width(out), pue=options.pue), file=out)
    return 0
