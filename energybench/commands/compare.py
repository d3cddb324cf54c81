"""`energybench compare`: two runs, with a verdict per case.

Exit codes of `compare`: 0 ok or improved; 1 regressed; 2 usage, or a run that cannot be read; 3 inconclusive (with
--strict); 4 not comparable, missing, or nothing compared. Of several the first of 2, 1, 4, 3 applies.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import add_run, add_storage, share, storage_folder, terminal_width

if TYPE_CHECKING:
    from energybench.analysis.report import Report


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("compare", help="compare two runs, with a verdict per case", epilog=__doc__)
    add_run(parser, "baseline")
    add_run(parser, "candidate")
    parser.add_argument("--margin", type=share, default=0.05, help="growth in energy that matters (default 5%%)")
    parser.add_argument(
        "--accuracy-margin",
        type=share,
        default=0.005,
        help="fall in accuracy that matters (default 0.5%%: half a point)",
    )
    parser.add_argument(
        "--noise-floor", type=share, default=0.03, help="noise assumed where a side has one round (default 3%%)"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 3 where a case is inconclusive")
    parser.add_argument("--common", action="store_true", help="only cases that both runs have")
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="KEY",
        help="comparability key that is meant to differ; repeatable",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_storage(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print the comparison and return its exit code; StoreError where a run cannot be found or read."""
    report = _report(options)
    if options.format == "json":
        from energybench.reports.json import comparison_json

        print(comparison_json(report), file=out)
    else:
        from energybench.reports.comparison import comparison_table

        print(comparison_table(report, width=terminal_width(out)), file=out)
    if report.nothing_compared:
        out.flush()
        print(f"energybench: {_nothing(report)}", file=err)
    return report.exit_code


def _report(options: argparse.Namespace) -> Report:
    from dataclasses import replace

    from energybench.analysis.compare import CompareOptions, compare_runs
    from energybench.store import find_run, read_run

    wanted = CompareOptions(
        margin=options.margin,
        accuracy_margin=options.accuracy_margin,
        noise_floor=options.noise_floor,
        strict=options.strict,
        common=options.common,
        vary=frozenset(options.vary),
    )
    storage = storage_folder(options)
    found = [find_run(ref, storage) for ref in (options.baseline, options.candidate)]
    report = compare_runs(read_run(found[0].path), read_run(found[1].path), wanted)
    return replace(report, notes=(*found[0].notes, *found[1].notes, *report.notes))


def _nothing(report: Report) -> str:
    """The note that says why nothing was compared: it stands on stderr too, for logs that keep nothing else."""
    return next(note for note in report.notes if note.startswith("No case was compared"))
