"""What verdicts rest on: the options that several commands share, and one comparison by them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.commands.arguments import at_least_one, share

if TYPE_CHECKING:
    from energybench.analysis.report import CompareOptions, Report
    from energybench.model import Metric, Run

IN_TURN = "The two runs were measured in turn by `energybench ab`: no noise between sessions."


def add_margins(group: Any) -> None:
    """How large a change matters, and what is meant to differ."""
    group.add_argument("--margin", type=share, default=0.05, help="growth in energy that matters (default 5%%)")
    group.add_argument(
        "--accuracy-margin",
        type=share,
        default=0.005,
        help="fall in accuracy that matters (default 0.5%%: half a point)",
    )
    group.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="KEY",
        help="comparability key that is meant to differ; repeatable",
    )


def add_margins_file(group: Any) -> None:
    """Margins by case."""
    group.add_argument("--margins", type=Path, metavar="FILE", help="TOML file of margins by case")


def add_session_noise(group: Any) -> None:
    """What stands in for a history that is too short."""
    group.add_argument(
        "--session-noise",
        type=share,
        default=0.02,
        metavar="X",
        help="noise of a whole session, where no history tells it (default 2%%)",
    )
    group.add_argument(
        "--case-noise",
        type=share,
        default=0.01,
        metavar="X",
        help="noise of one case from session to session, where no history tells it (default 1%%)",
    )


def add_noise(group: Any) -> None:
    """All that is assumed of noise, and how often is looked."""
    group.add_argument(
        "--noise-floor", type=share, default=0.03, help="noise assumed where a side has one round (default 3%%)"
    )
    add_session_noise(group)
    group.add_argument(
        "--paired",
        action="store_true",
        help="both sides were measured in turn in one session: no noise between sessions",
    )
    group.add_argument(
        "--looks",
        type=at_least_one("looks", "looks are"),
        default=1,
        metavar="N",
        help="how often this change is held against the baseline in all",
    )


def terms(options: argparse.Namespace, **others: Any) -> CompareOptions:
    """What the command line says, with `others` in its place; a command without an option has its default.

    Raises UsageError for a file of margins that cannot be read.
    """
    from energybench.analysis.margins import read_margins
    from energybench.analysis.report import CompareOptions

    names = {"margin", "accuracy_margin", "noise_floor", "strict", "common", "paired", "looks", "case_noise"}
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    if hasattr(options, "session_noise"):
        given["common_noise"] = options.session_noise
    if getattr(options, "margins", None) is not None:
        given["margins"] = read_margins(options.margins)
    return CompareOptions(**{"vary": frozenset(options.vary), **given, **others})


def judged(
    baseline: Run,
    candidate: Run,
    wanted: CompareOptions,
    *,
    earlier: Callable[[], Sequence[Run]] = tuple,
    shown: Sequence[Metric] = (),
) -> Report:
    """The comparison of two stored runs, with the notes that everybody who shows it owes its reader.

    `earlier` gives the runs before the candidate, from which the noise between sessions is learnt; the two sides of one
    `energybench ab` have none, and it is not asked then. `shown` are metrics beside energy and accuracy.
    """
    from energybench.analysis.compare import compare_runs, were_in_turn

    in_turn = were_in_turn(baseline, candidate)
    paired = wanted.paired or in_turn
    history = () if paired else [run for run in earlier() if run is not baseline]  # it counts once
    report = compare_runs(baseline, candidate, replace(wanted, paired=paired), history=history, shown=shown)
    notes = [*report.notes, *_idle_margins(wanted.margins, report)]
    if in_turn and not wanted.paired:
        notes.append(IN_TURN)
    return replace(report, notes=tuple(notes))


def earlier_in(storage: Path, candidate: Run, known: Sequence[Run]) -> Sequence[Run]:
    """The runs stored before the candidate, those `known` not read again; none where there is no store."""
    from energybench.store.history import earlier_runs

    return earlier_runs(storage, candidate, known=known) if storage.is_dir() else ()


def _idle_margins(margins: Mapping[str, Mapping[str, float]], report: Report) -> list[str]:
    from energybench.analysis.margins import without_case

    idle = without_case(margins, [pair.case for pair in report.pairs]) if margins else ()
    return [f"The margins of {', '.join(map(repr, idle))} fit no case of these runs."] if idle else []
