"""`energybench plot`: one chart of stored runs into a file.

`energybench plot --list` names the charts. `compare` takes a baseline and a candidate; `trend` draws the cases of the
last run through the stored runs of its machine; all others draw the cases of every run given.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import RUN, add_pue, add_storage, storage_folder
from energybench.commands.terms import add_margins, add_margins_file, add_noise, earlier_in, judged, terms
from energybench.errors import StoreError, UsageError

if TYPE_CHECKING:
    from energybench.analysis.report import Report
    from energybench.model import Run
    from energybench.reports.charts import Kind


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("plot", help="one chart of stored runs into a file", epilog=__doc__)
    parser.add_argument("name", nargs="?", metavar="NAME", help="which chart: pareto, decompose, epochs, ... (--list)")
    parser.add_argument("run", nargs="*", metavar="RUN", help=RUN)
    parser.add_argument("--list", action="store_true", help="name the charts, and what each shows")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="draw into FILE (.svg, .png, .pdf); default: NAME.svg in the current folder",
    )
    parser.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="CASE",
        help="only this case: a full id, the part in brackets (resnet18-stego), or a glob of either; repeatable",
    )
    verdicts = parser.add_argument_group("verdicts of the chart compare", "As for `energybench compare`.")
    add_margins(verdicts)
    add_margins_file(verdicts)
    add_noise(verdicts)
    add_pue(parser)
    add_storage(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Draw the chart and say where. UsageError for an unknown chart, for one that has nothing to draw, and for a file
    that cannot be written; StoreError where a run cannot be found or read.
    """
    from energybench.reports.charts import CHARTS

    if options.list:
        widest = max(map(len, CHARTS))
        for kind in CHARTS.values():
            print(f"{kind.name.ljust(widest)}  {kind.line}", file=out)
        return 0
    kind = _kind(options.name)
    path = options.output or Path(f"{kind.name}.svg")
    from energybench.reports.charts.figure import check, write

    check(path)  # before minutes of reading
    runs = _runs(options, kind, err)
    chart = kind.make(_subject(runs, kind, options))
    if chart is None:
        raise UsageError(f"`plot {kind.name}` has nothing to draw of {_named(runs)}. {kind.absent}")
    write(chart, path)
    for note in chart.notes:
        print(f"energybench: {note}", file=err)
    print(f"{chart.title}: {path}", file=out)
    return 0


def _kind(name: str | None) -> Kind:
    from energybench.reports.charts import CHARTS

    if name is None:
        raise UsageError(f"Name a chart and a run: energybench plot pareto latest. Charts: {', '.join(CHARTS)}.")
    if name not in CHARTS:
        raise UsageError(f"There is no chart {name!r}; there are {', '.join(CHARTS)}.")
    return CHARTS[name]


def _runs(options: argparse.Namespace, kind: Kind, err: TextIO) -> list[Run]:
    """The runs given, each with only the cases of --case."""
    from dataclasses import replace

    from energybench.store import find_run, read_run

    two = kind.needs == "comparison"
    if not options.run or (two and len(options.run) != 2):
        what = "a baseline and a candidate" if two else "at least one run"
        raise UsageError(f"`plot {kind.name}` takes {what}: {RUN}.")
    storage = storage_folder(options)
    found = [find_run(ref, storage, any_status=not two) for ref in options.run]
    for note in dict.fromkeys(note for one in found for note in one.notes):
        print(f"energybench: {note}", file=err)
    twice = next((one.path for one in found if [o.path for o in found].count(one.path) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} was given twice; name each run once.")
    runs = [read_run(one.path) for one in found]
    if not options.case:
        return runs
    chosen = [replace(run, cases=tuple(c for c in run.cases if _fits(c.id, c.short_id, options.case))) for run in runs]
    if not any(run.cases for run in chosen):
        known = list(dict.fromkeys(case.short_id for run in runs for case in run.cases))
        shown = ", ".join(known[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
        raise StoreError(
            f"{_named(runs)} has no case {' or '.join(map(repr, options.case))}; it has {shown or 'none'}."
        )
    return chosen


def _fits(id: str, short_id: str, patterns: Sequence[str]) -> bool:
    """As in `energybench trend`: brackets stand for themselves."""
    from fnmatch import fnmatchcase

    globs = [pattern.replace("[", "[[]") for pattern in patterns]
    return any(fnmatchcase(name, glob) for glob in globs for name in (id, short_id))


def _subject(runs: Sequence[Run], kind: Kind, options: argparse.Namespace) -> Any:
    from energybench.commands.subject import subject

    comparison: Report | None = None
    storage = storage_folder(options)
    if kind.needs == "comparison":
        baseline, candidate = runs
        earlier = partial(earlier_in, storage, candidate, (baseline,))
        comparison = judged(baseline, candidate, terms(options), earlier=earlier)
    return subject(
        runs,
        comparison=comparison,
        storage=storage if storage.is_dir() else None,
        pue=options.pue,
        needs=(kind.needs,),
    )


def _named(runs: Sequence[Run]) -> str:
    return ", ".join(run.name for run in runs)
