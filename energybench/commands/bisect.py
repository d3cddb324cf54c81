"""`energybench bisect-step`: measures the checkout, compares it with a stored run, and answers `git bisect run`.

Exit codes: 0 ok or improved; 1 regressed; 125 (git skips the commit) where it could not be measured, is not
comparable, or is still inconclusive after the last look, and for every mistake in the call; 130 where the user stops
it, which stops the bisection. Nothing is stored: a bisection checks other commits out over `.benchmarks`.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import RUN, add_storage, storage_folder, terminal_width
from energybench.commands.terms import add_margins, add_session_noise, earlier_in, judged, terms
from energybench.errors import EnergybenchError, UsageError

if TYPE_CHECKING:
    from energybench.ab.session import Place
    from energybench.analysis.report import Report
    from energybench.model import Run

SKIP = 125
"""what `git bisect run` takes for: this commit cannot be judged"""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "bisect-step",
        help="judge the checkout for `git bisect run`",
        usage="energybench bisect-step REF [--case CASE ...] [options] -- PYTEST ARGUMENTS",
        epilog=__doc__,
    )
    parser.add_argument("ref", metavar="REF", help=f"the run that is good: {RUN}")
    parser.add_argument(
        "--case",
        nargs="+",
        action="extend",
        default=[],
        metavar="CASE",
        help="id, or the part in brackets, of what is judged; * and ? are wild (default: all cases of both sides)",
    )
    parser.add_argument(
        "--rounds",
        type=looks,
        default=(3, 5, 10),
        metavar="N,...",
        help="rounds after which it looks; measuring goes on while that is inconclusive (default 3,5,10)",
    )
    add_margins(parser)
    add_session_noise(parser)
    add_storage(parser)
    parser.set_defaults(command=run, pytest_args=[])


def looks(text: str) -> tuple[int, ...]:
    """Growing numbers of rounds."""
    numbers = tuple(int(word) for word in text.split(","))
    if numbers[0] < 1 or any(later <= earlier for earlier, later in pairwise(numbers)):
        raise argparse.ArgumentTypeError(f"looks are growing numbers of rounds such as 3,5,10, not {text!r}")
    return numbers


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Judge the checkout around the current folder. Nothing is raised: git takes most exit codes for a verdict."""

    def say(text: str) -> None:
        with suppress(OSError):  # a reader that has gone changes no verdict
            print(f"energybench: {text}", file=err, flush=True)

    from energybench.ab.stopping import STOPPED, stops_like_ctrl_c

    try:
        with stops_like_ctrl_c():
            report = _judged(options, say)
        if report is not None:
            _print(report, out)
            if report.exit_code in (0, 1):
                return report.exit_code
    except EnergybenchError as error:
        say(str(error))
    except KeyboardInterrupt:
        say("stopped.")
        return STOPPED
    except Exception:
        # Python itself would end with 1, and git would call the commit bad.
        say(traceback.format_exc())
    say(f"this commit is skipped (exit code {SKIP}).")
    return SKIP


def _judged(options: argparse.Namespace, say: Callable[[str], None]) -> Report | None:
    """The comparison after the last look that was needed; None where the checkout could not be measured."""
    from energybench.ab.checkout import temporary_folder
    from energybench.ab.merge import merge_runs
    from energybench.ab.session import check_arguments, measure
    from energybench.store import find_run, read_run

    check_arguments(options.pytest_args)
    storage = storage_folder(options)
    found = find_run(options.ref, storage)
    good = _narrowed(read_run(found.path), options.case)
    if not good.cases:
        raise UsageError(
            f"{good.name} has no case that fits {', '.join(options.case)}. "
            f"`energybench show {good.name}` lists its cases."
        )
    for note in found.notes:
        say(f"note: {note}")
    wanted = terms(options, strict=True, common=not options.case, looks=len(options.rounds))
    place = _place(say)
    runs: list[Run] = []
    report: Report | None = None
    with temporary_folder() as folder:
        measured = 0
        for look, rounds in enumerate(options.rounds, 1):
            session = measure(place, options.pytest_args, range(measured, rounds), folder / str(look))
            measured = rounds
            if session.interrupted:
                raise KeyboardInterrupt
            if session.code not in (0, 1) or session.run is None or not session.measured:
                say(
                    f"the session {session.ending} and measured nothing that counts. The end of its output:\n"
                    f"{session.tail}"
                )
                return None
            runs.append(session.run)
            merged = merge_runs(runs)
            candidate = _narrowed(merged.run, options.case)
            report = judged(good, candidate, wanted, earlier=partial(earlier_in, storage, candidate, (good,)))
            for sentence in merged.left_out:
                say(sentence)
            say(f"{rounds} rounds: {_OUTCOMES[report.exit_code]}")
            if report.exit_code != 3:
                break
    return report


_OUTCOMES = {0: "ok", 1: "regressed", 3: "inconclusive", 4: "not comparable, missing, or nothing compared"}


def _place(say: Callable[[str], None]) -> Place:
    """The checkout as it is, with its own code in front of any installed copy."""
    from energybench.ab.checkout import find_repository
    from energybench.ab.environment import environment, strangers
    from energybench.ab.session import Place

    repository = find_repository(Path.cwd())
    place = Place(repository.top, repository.here, environment(repository.top, repository.top, os.environ))
    for module, file in strangers(place, repository.top).items():
        say(f"note: {module} is imported from {file}, not from the checkout: every commit would measure that copy.")
    return place


def _narrowed(run: Run, wanted: Sequence[str]) -> Run:
    """The run with only the cases that fit one of the patterns; with all where there is none."""
    from dataclasses import replace

    if not wanted:
        return run
    patterns = [pattern.replace("[", "[[]") for pattern in wanted]  # brackets stand for themselves, as in node ids
    fitting = [
        case for case in run.cases if any(fnmatchcase(name, p) for name in (case.id, case.short_id) for p in patterns)
    ]
    return replace(run, cases=tuple(fitting))


def _print(report: Report, out: TextIO) -> None:
    """The comparison; a reader that has gone (head, less) changes no verdict."""
    from energybench.reports.comparison import comparison_table

    try:
        print(comparison_table(report, width=terminal_width(out)), file=out)
        out.flush()
    except BrokenPipeError:
        if out is sys.stdout:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
