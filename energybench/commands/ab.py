"""`energybench ab`: base and head measured in turn on one machine, and one verdict.

Exit codes: those of `compare` where everything was measured; 2 usage, or a session that could not begin (wrongly
called, no tests); 4 a session that failed or was killed; 130 stopped by the user. What was measured until then is
stored.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import add_storage, at_least_one, storage_folder
from energybench.commands.printing import FORMATS, print_reports
from energybench.commands.terms import add_margins, add_margins_file, terms
from energybench.errors import UsageError

if TYPE_CHECKING:
    from energybench.ab.checkout import Repository, Revision
    from energybench.ab.turns import Side, Trouble
    from energybench.analysis.report import CompareOptions, Report

_NEVER_BEGAN = (0, 4, 5)
"""pytest's exit codes of sessions in which nothing could have been measured, where nothing was"""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "ab",
        help="measure two commits in turn on this machine and compare them",
        usage="energybench ab BASE HEAD [--rounds N] [options] -- PYTEST ARGUMENTS",
        epilog=__doc__,
    )
    parser.add_argument("base", metavar="BASE", help="a commit, branch or tag")
    parser.add_argument("head", metavar="HEAD", help="another, or `.`: the working tree with its uncommitted changes")
    parser.add_argument(
        "--rounds",
        type=at_least_one("rounds", "rounds are"),
        default=4,
        metavar="N",
        help="rounds of each side (default 4)",
    )
    parser.add_argument("--keep", action="store_true", help="keep the checkouts and the sessions' own files")
    add_margins(parser)
    add_margins_file(parser)
    parser.add_argument("--strict", action="store_true", help="exit with 3 where a case is inconclusive")
    parser.add_argument("--format", choices=FORMATS, default="text", help="as for compare")
    add_storage(parser)
    parser.set_defaults(command=run, pytest_args=[])


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Measure, store, compare and print; UsageError or StoreError before anything is spent where something is wrong."""
    from energybench.ab.checkout import find_repository, resolve, temporary_folder
    from energybench.ab.session import check_arguments
    from energybench.ab.stopping import stops_like_ctrl_c
    from energybench.ab.turns import BASE, HEAD, take_turns
    from energybench.reports.comparison_view import View
    from energybench.store import check_writable

    def say(text: str) -> None:
        print(f"energybench: {text}", file=err, flush=True)

    repository = find_repository(Path.cwd())
    revisions = {name: resolve(repository, ref) for name, ref in ((BASE, options.base), (HEAD, options.head))}
    check_arguments(options.pytest_args, repository.top)
    wanted = terms(options, paired=True)
    storage = storage_folder(options).absolute()
    check_writable(storage)
    sides: list[Side] = []
    trouble, stopped, notes = None, False, []
    with stops_like_ctrl_c(), ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder(keep=options.keep))
            for name, revision in revisions.items():
                sides.append(_checked_out(stack, repository, name, revision, folder, keep=options.keep))
            notes = _strangers(sides, repository)
            for note in notes:
                say(f"note: {note}")
            if options.keep:
                say(f"checkouts and sessions are kept in {folder}; `git worktree remove` ends the checkouts")
            trouble = take_turns(sides[0], sides[1], options.pytest_args, options.rounds, folder / "sessions", say)
        except KeyboardInterrupt:
            stopped = True
        if stopped or trouble is not None:
            return _ended_early(sides, trouble, options.rounds, storage, say)
        report = _compared(sides, options.rounds, wanted, storage, say)
    report = replace(report, notes=(*notes, *report.notes))
    print_reports([report], options.format, View(), out, err)
    return report.exit_code


def _checked_out(
    stack: ExitStack, repository: Repository, name: str, revision: Revision, folder: Path, *, keep: bool
) -> Side:
    from energybench.ab.checkout import worktree
    from energybench.ab.environment import environment
    from energybench.ab.session import Place
    from energybench.ab.turns import Side

    top = stack.enter_context(worktree(repository, revision, folder / name, keep=keep))
    if not (top / repository.here).is_dir():
        raise UsageError(
            f"{name} {revision.name} has no folder {repository.here}: start from one that both sides have."
        )
    return Side(name, revision, Place(top, repository.here, environment(top, repository.top, os.environ)))


def _strangers(sides: Sequence[Side], repository: Repository) -> list[str]:
    """A note for each module of a checkout that another copy hides."""
    from energybench.ab.environment import strangers

    notes = []
    for side in sides:
        for module, file in strangers(side.place, repository.top).items():
            notes.append(
                f"{module} of {side.name} is imported from {file}, not from the checkout, so that of it the same is "
                "measured on both sides. Uninstall that copy."
            )
    return notes


def _compared(
    sides: Sequence[Side], rounds: int, wanted: CompareOptions, storage: Path, say: Callable[[str], None]
) -> Report:
    """Store both runs and compare them; a head that regressed is stored as such, so that it is never `latest`."""
    from energybench.ab.storing import as_run, save
    from energybench.analysis.compare import compare_runs

    base, head = (as_run(side, other, rounds) for side, other in (sides, sides[::-1]))
    report = compare_runs(base.run, head.run, wanted)
    saved = [
        save(sides[0], base.run, storage),
        save(sides[1], head.run, storage, status="regressed" if report.exit_code == 1 else ""),
    ]
    for run in saved:
        say(f"stored as {run.source}")
    return replace(
        report,
        baseline=saved[0].name,
        candidate=saved[1].name,
        notes=(*base.left_out, *head.left_out, *report.notes),
    )


def _ended_early(
    sides: Sequence[Side], trouble: Trouble | None, rounds: int, storage: Path, say: Callable[[str], None]
) -> int:
    """Say what happened, store what was measured, and give the exit code."""
    from energybench.ab.stopping import STOPPED
    from energybench.ab.storing import as_run, rescued, save

    code = STOPPED
    if trouble is not None and not trouble.session.interrupted:
        session = trouble.session
        code = 2 if session.code in _NEVER_BEGAN and not session.measured else 4
        ending = session.ending if session.code or session.measured else "stored no energy case"
        say(
            f"{trouble.side.name} {trouble.side.revision.name}, round {trouble.round}: the session {ending}, so "
            f"nothing is compared. The end of its output:\n{session.tail}"
        )
        journal = rescued(session)
        if journal is not None:
            say(f"the rounds that it had finished are in its journal, kept in {journal}")
    for side, other in zip(sides, reversed(sides), strict=True):
        if side.runs:
            saved = save(side, as_run(side, other, rounds).run, storage)
            say(f"{side.name}: what was measured until then is stored as {saved.source}")
    if code == STOPPED:
        say("stopped; nothing is compared.")
    return code
