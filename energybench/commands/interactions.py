"""`energybench interactions`: does the machine decide which model is cheap? Model x environment.

Cases of `pytest benches/ --energy-study environment`; else those of the study `epoch`, else of the main job that train
the uncompressed model. Several runs: effects on each run's own baseline, never raw joules across machines.
"""

from __future__ import annotations

import argparse
from typing import Any, TextIO

from energybench.commands.arguments import RUN, add_storage, storage_folder, terminal_width


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "interactions", help="model x environment: interaction, rank correlations, cheapest combination", epilog=__doc__
    )
    parser.add_argument("run", nargs="+", metavar="RUN", help=f"{RUN}; several: of several machines or sessions")
    parser.add_argument(
        "--loss",
        type=points,
        default=2.0,
        metavar="POINTS",
        help="accuracy or macro F1 that the cheapest combination may lose, in points (default 2)",
    )
    parser.add_argument(
        "--format", choices=("text", "markdown", "json"), default="text", help="markdown shows all columns"
    )
    add_storage(parser)
    parser.set_defaults(command=run)


def points(text: str) -> float:
    """Percentage points between 0 and 100."""
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"a loss is between 0 and 100 points, not {text!r}")
    return value


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print the table; StoreError where a run cannot be found or read, UsageError where they make no table."""
    from energybench.analysis.interactions import interactions
    from energybench.store import find_run, read_run

    storage = storage_folder(options)
    found = [find_run(ref, storage, any_status=True) for ref in options.run]
    for note in dict.fromkeys(note for one in found for note in one.notes):
        print(f"energybench: {note}", file=err)
    table = interactions([read_run(one.path) for one in found], loss=options.loss / 100)
    if options.format == "json":
        from energybench.reports.interactions_json import interactions_json

        print(interactions_json(table), file=out)
    else:
        from energybench.reports.interactions import interactions_markdown, interactions_text

        if options.format == "markdown":
            print(interactions_markdown(table), file=out)
        else:
            print(interactions_text(table, width=terminal_width(out)), file=out)
    return 0
