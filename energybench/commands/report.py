"""`energybench report`: runs as one HTML file that opens offline.

Of several runs the first is the baseline of verdicts, unless --baseline names another; the charts show the runs that
are held against it. The verdicts are those of `energybench compare BASELINE RUN`. The file loads nothing from outside.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import RUN, add_pue, add_storage, storage_folder
from energybench.commands.terms import add_margins, add_margins_file, add_noise, earlier_in, judged, terms
from energybench.errors import UsageError

if TYPE_CHECKING:
    from energybench.analysis.report import CompareOptions, Report
    from energybench.model import Run
    from energybench.reports.charts import Subject
    from energybench.store import Found

DEFAULT = Path("report.html")


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("report", help="write runs into one HTML file that opens offline", epilog=__doc__)
    parser.add_argument("run", nargs="+", metavar="RUN", help=f"{RUN}; of several the first is the baseline")
    parser.add_argument(
        "-o", "--output", type=Path, default=DEFAULT, metavar="FILE", help=f"the file to write (default {DEFAULT})"
    )
    parser.add_argument("--baseline", metavar="REF", help="the run that all others are held against")
    parser.add_argument("--title", default="", help="heading of the page (default: the names of the runs)")
    parser.add_argument(
        "--history",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="draw the trend of the store's earlier runs and learn the noise between sessions from them",
    )
    verdicts = parser.add_argument_group("verdicts", "As for `energybench compare`.")
    add_margins(verdicts)
    add_margins_file(verdicts)
    add_noise(verdicts)
    add_pue(parser)
    parser.add_argument("--open", action="store_true", help="open the file in the browser")
    add_storage(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Write the report. UsageError for a file that cannot be written and without the extra `report`; StoreError where a
    run cannot be found or read.
    """
    from energybench.commands.collector import without_collector
    from energybench.reports.page import html, page, require

    target: Path = options.output
    _check(target)  # before anything is read: nobody shall wait for a report that cannot be written
    require()
    wanted = terms(options)
    with without_collector():
        baseline, runs, notes = _runs(options)
        known = {run.source: run for run in (*([baseline] if baseline else []), *runs)}

        def earlier(run: Run) -> Sequence[Run]:
            found = earlier_in(storage_folder(options), run, tuple(known.values())) if options.history else ()
            known.update((one.source, one) for one in found)
            return found

        reports = _reports(wanted, baseline, runs, earlier)
        subject = _subject(options, runs, reports, known.values())
        content = page(subject, reports, baseline, title=options.title, notes=notes, made=_made())
        text = html(content)
    _write(target, text)
    cases = sum(len(run.cases) for run in runs)
    print(
        f"{target}: {cases} case{'' if cases == 1 else 's'}, {len(content.charts)} charts, "
        f"{len(text.encode()) / 1e6:.2f} MB",
        file=out,
    )
    if options.open:
        import webbrowser

        webbrowser.open(target.resolve().as_uri())
    return 0


def _runs(options: argparse.Namespace) -> tuple[Run | None, list[Run], list[str]]:
    """The baseline, the runs that are shown, and notes on how they were found."""
    from energybench.store import find_run, read_run

    storage = storage_folder(options)
    # All are found before any is read: a misspelt one shall not cost the reading of the others.
    named: list[Found] = [] if options.baseline is None else [find_run(options.baseline, storage)]
    named += [find_run(ref, storage, any_status=True) for ref in options.run]
    notes = list(dict.fromkeys(note for one in named for note in one.notes))
    runs = [read_run(one.path) for one in named]
    return (runs[0], runs[1:], notes) if len(runs) > 1 else (None, runs, notes)


def _reports(
    wanted: CompareOptions, baseline: Run | None, runs: Sequence[Run], earlier: Callable[[Run], Sequence[Run]]
) -> list[Report]:
    """Every run against the baseline, as `energybench compare` does."""
    if baseline is None:
        return []
    return [judged(baseline, run, wanted, earlier=partial(earlier, run)) for run in runs]


def _subject(
    options: argparse.Namespace, runs: Sequence[Run], reports: Sequence[Report], known: Collection[Run]
) -> Subject:
    from energybench.commands.subject import subject

    storage = storage_folder(options)
    return subject(
        runs,
        comparison=reports[-1] if reports else None,
        storage=storage if options.history and storage.is_dir() else None,
        known=known,
        pue=options.pue,
    )


def _made() -> str:
    from datetime import UTC, datetime

    from energybench import __version__

    return f"Made by energybench {__version__} at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _check(target: Path) -> None:
    """Raises UsageError where the file cannot be put: what is there already must be a plain file."""
    folder = target.parent
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder} for the report. Make it, or give another file with -o.")
    if target.exists() and not target.is_file():
        raise UsageError(f"{target} is no plain file, so no report can be put there. Give another file with -o.")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"The report cannot be written: {folder} is not writable. Give another file with -o.")


def _write(target: Path, text: str) -> None:
    """Whole, under a temporary name that is then renamed. UsageError where that fails."""
    from energybench.store.files import replace_whole

    try:
        replace_whole(target, text)
    except OSError as error:
        raise UsageError(
            f"The report cannot be written: {target}: {error.strerror or error}. Give another file with -o."
        ) from error
