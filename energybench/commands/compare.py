"""`energybench compare`: one or more runs against a baseline, with a verdict per case.

Exit codes of `compare`: 0 ok or improved; 1 regressed; 2 usage, or a run that cannot be read; 3 inconclusive (with
--strict); 4 not comparable, missing, or nothing compared. Of several the first of 2, 1, 4, 3 applies, over all
candidates and all cases, shown or not.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import RUN, add_run, add_storage, share, storage_folder
from energybench.commands.collector import without_collector
from energybench.commands.printing import FORMATS, exit_code, print_reports

if TYPE_CHECKING:
    from energybench.analysis.report import CompareOptions, Report
    from energybench.model import Metric, Run, Verdict


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
    terms = parser.add_argument_group("verdicts")
    terms.add_argument("--margin", type=share, default=0.05, help="growth in energy that matters (default 5%%)")
    terms.add_argument(
        "--accuracy-margin",
        type=share,
        default=0.005,
        help="fall in accuracy that matters (default 0.5%%: half a point)",
    )
    terms.add_argument("--margins", type=Path, metavar="FILE", help="TOML file of margins by case")
    terms.add_argument(
        "--noise-floor", type=share, default=0.03, help="noise assumed where a side has one round (default 3%%)"
    )
    terms.add_argument(
        "--session-noise",
        type=share,
        default=0.02,
        metavar="X",
        help="noise of a whole session, where no history tells it (default 2%%)",
    )
    terms.add_argument(
        "--case-noise",
        type=share,
        default=0.01,
        metavar="X",
        help="noise of one case from session to session, where no history tells it (default 1%%)",
    )
    terms.add_argument(
        "--no-history",
        action="store_true",
        help="do not learn the noise between sessions from the store's earlier runs",
    )
    terms.add_argument(
        "--paired",
        action="store_true",
        help="both sides were measured in turn in one session: no noise between sessions",
    )
    terms.add_argument(
        "--looks", type=looks, default=1, metavar="N", help="how often this change is held against the baseline in all"
    )
    terms.add_argument("--strict", action="store_true", help="exit with 3 where a case is inconclusive")
    terms.add_argument("--common", action="store_true", help="only cases that both runs have")
    terms.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="KEY",
        help="comparability key that is meant to differ; repeatable",
    )
    terms.add_argument(
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


def looks(text: str) -> int:
    """How often a change is looked at: a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"looks are a whole number of at least 1, not {text!r}")
    return value


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
    code = exit_code(reports)
    if options.exit_zero and code:
        out.flush()
        print(f"energybench: --exit-zero: exit with 0 instead of {code}.", file=err)
        return 0
    return code


def _reports(options: argparse.Namespace) -> list[Report]:
    """One per candidate, with the notes on how the runs were found."""
    from dataclasses import replace

    from energybench.analysis.compare import compare_runs, were_in_turn
    from energybench.store import find_run, read_run

    wanted = _options(options)
    storage = storage_folder(options)
    # All are found before any is read: a misspelt one shall not cost the reading of the others.
    found = find_run(options.baseline, storage)
    candidates = [find_run(ref, storage) for ref in options.candidate]
    baseline = read_run(found.path)
    reports = []
    for one in candidates:
        candidate = read_run(one.path)
        in_turn = were_in_turn(baseline, candidate)
        paired = options.paired or in_turn
        history = () if options.no_history or paired else _history(storage, candidate, baseline)
        terms = replace(wanted, paired=paired)
        report = compare_runs(baseline, candidate, terms, history=history, shown=_shown(options))
        notes = [*found.notes, *one.notes, *report.notes, *_idle_margins(wanted.margins, report)]
        if in_turn and not options.paired:
            notes.append("The two runs were measured in turn by `energybench ab`: no noise between sessions.")
        reports.append(replace(report, notes=tuple(dict.fromkeys(notes))))
    return reports


def _options(options: argparse.Namespace) -> CompareOptions:
    from energybench.analysis.report import CompareOptions

    margins: Mapping[str, Mapping[str, float]] = {}
    if options.margins is not None:
        from energybench.analysis.margins import read_margins

        margins = read_margins(options.margins)
    return CompareOptions(
        margin=options.margin,
        accuracy_margin=options.accuracy_margin,
        noise_floor=options.noise_floor,
        strict=options.strict,
        common=options.common,
        vary=frozenset(options.vary),
        common_noise=options.session_noise,
        case_noise=options.case_noise,
        paired=options.paired,
        looks=options.looks,
        margins=margins,
    )


def _shown(options: argparse.Namespace) -> Sequence[Metric]:
    """The metrics beside energy and accuracy that are shown: the others decide nothing, and are not compared."""
    from energybench.analysis.metrics import SHOWN

    every = options.format in ("json", "csv") or options.group_by == "metric"
    return [metric for metric in SHOWN if every or metric.name in options.metric]


def _history(storage: Path, candidate: Run, baseline: Run) -> Sequence[Run]:
    """The store's runs before the candidate, but for the baseline, which counts once; none where there is no store."""
    from energybench.store.history import earlier_runs

    if not storage.is_dir():
        return ()
    return [run for run in earlier_runs(storage, candidate, known=(baseline,)) if run is not baseline]


def _idle_margins(margins: Mapping[str, Mapping[str, float]], report: Report) -> list[str]:
    from energybench.analysis.margins import without_case

    idle = without_case(margins, [pair.case for pair in report.pairs]) if margins else ()
    return [f"The margins of {', '.join(map(repr, idle))} fit no case of these runs."] if idle else []
