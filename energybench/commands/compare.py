"""`energybench compare`: one or more runs against a baseline, with a verdict per case.

Exit codes of `compare`: 0 ok or improved; 1 regressed; 2 usage, or a run that cannot be read; 3 inconclusive (with
--strict); 4 not comparable, missing, or nothing compared. Of several the first of 2, 1, 4, 3 applies, over all
candidates and all cases, shown or not.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import RUN, add_run, add_storage, storage_folder
from energybench.commands.collector import leave, without_collector
from energybench.commands.printing import FORMATS, exit_code, print_reports
from energybench.commands.terms import add_margins, add_margins_file, add_noise, earlier_in, judged, terms

if TYPE_CHECKING:
    from energybench.analysis.report import Report
    from energybench.model import Metric, Verdict


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("compare", help="compare runs with a baseline, a verdict per case", epilog=__doc__)
    add_run(parser, "baseline")
    parser.add_argument("candidate", nargs="+", metavar="CANDIDATE", help=f"one or more: {RUN}")
    _add_terms(parser)
    _add_view(parser)
    add_storage(parser)
    parser.set_defaults(command=run)


def _add_terms(parser: argparse.ArgumentParser) -> None:
    """What the verdicts rest on."""
    group = parser.add_argument_group("verdicts")
    add_margins(group)
    add_margins_file(group)
    add_noise(group)
    group.add_argument(
        "--no-history",
        action="store_true",
        help="do not learn the noise between sessions from the store's earlier runs",
    )
    group.add_argument("--strict", action="store_true", help="exit with 3 where a case is inconclusive")
    group.add_argument("--common", action="store_true", help="only cases that both runs have")
    group.add_argument(
        "--exit-zero", action="store_true", help="report, and exit with 0 all the same (but for usage, 2)"
    )


def _add_view(parser: argparse.ArgumentParser) -> None:
    """What is shown of them; no verdict and no exit code depends on it."""
    view = parser.add_argument_group("what is shown", "None of these moves a verdict or the exit code.")
    view.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="github: annotations on stdout, and Markdown appended to $GITHUB_STEP_SUMMARY",
    )
    view.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="show this metric only: energy, accuracy, seconds, epochs, power; repeatable",
    )
    view.add_argument(
        "--only",
        action="append",
        default=[],
        type=verdict,
        metavar="VERDICT",
        help="show only cases with this verdict, such as regressed; repeatable",
    )
    view.add_argument(
        "--sort",
        choices=("id", "change", "verdict", "energy"),
        default="",
        help="by id, change (worst first), verdict (gravest first) or the candidate's energy (largest first)",
    )
    view.add_argument(
        "--group-by",
        choices=("model", "compressor", "metric"),
        default="",
        help="a table per group, with its mean change",
    )


def verdict(text: str) -> Verdict:
    """A verdict by its name."""
    from energybench.model import Verdict

    try:
        return Verdict(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"there is no verdict {text!r}; there are {', '.join(Verdict)}") from None


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print the comparison and return its exit code; StoreError where a run cannot be found or read."""
    from energybench.reports.comparison_view import View

    view = View(tuple(options.metric), tuple(options.only), options.sort, options.group_by)
    with without_collector():
        reports = _reports(options)
        print_reports(reports, options.format, view, out, err)
        if options.is_last:
            leave(reports)
    code = exit_code(reports)
    if options.exit_zero and code:
        out.flush()
        print(f"energybench: --exit-zero: exit with 0 instead of {code}.", file=err)
        return 0
    return code


def _reports(options: argparse.Namespace) -> list[Report]:
    """One per candidate, with the notes on how the runs were found."""
    from energybench.store import find_run, read_run

    wanted = terms(options)
    storage = storage_folder(options)
    # All are found before any is read: a misspelt one shall not cost the reading of the others.
    found = find_run(options.baseline, storage)
    candidates = [find_run(ref, storage) for ref in options.candidate]
    baseline = read_run(found.path)
    reports = []
    for one in candidates:
        candidate = read_run(one.path)
        earlier = tuple if options.no_history else partial(earlier_in, storage, candidate, (baseline,))
        report = judged(baseline, candidate, wanted, earlier=earlier, shown=_shown(options))
        notes = dict.fromkeys([*found.notes, *one.notes, *report.notes])
        reports.append(replace(report, notes=tuple(notes)))
    return reports


def _shown(options: argparse.Namespace) -> Sequence[Metric]:
    """The metrics beside energy and accuracy that are shown: the others decide nothing, and are not compared."""
    from energybench.analysis.metrics import SHOWN

    every = options.format in ("json", "csv") or options.group_by == "metric"
    return [metric for metric in SHOWN if every or metric.name in options.metric]
