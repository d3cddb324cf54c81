"""The `energybench` command: what is stored, what a run holds, what two runs or a study say, what can be metered.

Exit codes of `compare`: 0 ok or improved; 1 regressed; 2 usage, or a run that cannot be read; 3 inconclusive (with
--strict); 4 not comparable, missing, or nothing compared. Of several the first of 2, 1, 4, 3 applies.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from energybench.errors import EnergybenchError, UsageError

if TYPE_CHECKING:
    from energybench.analysis.report import Report

USAGE = 2
_NARROWEST = 80


def main(argv: Sequence[str] | None = None, out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Run one subcommand, write its report to `out` and complaints to `err`, return the exit code."""
    out, err = out or sys.stdout, err or sys.stderr
    try:
        options = _parser().parse_args(argv)
        command: Callable[[argparse.Namespace, TextIO, TextIO], int] = options.command
        code = command(options, out, err)
        out.flush()
    except EnergybenchError as error:
        print(f"energybench: {error}", file=err)
        return USAGE
    except BrokenPipeError:
        # The reader (head, less) has gone. Keep Python from complaining once more when it flushes at exit.
        if out is sys.stdout:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # as a shell reports SIGPIPE: a gate whose report was cut off has not passed
    except _Answered as answered:
        print(answered, file=out)
        return 0
    return code


def entry() -> NoReturn:
    """The console script."""
    sys.exit(main())


class _Answered(Exception):  # noqa: N818 (an answer, not an error)
    """--help or --version: the text to print."""


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of printing and exiting, so that main() is a function of its arguments."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. See `{self.prog} --help`.")

    def print_help(self, file: object = None) -> None:
        raise _Answered(self.format_help().rstrip())


class _Version(argparse.Action):
    def __call__(self, *_: object) -> NoReturn:
        from energybench import __version__

        raise _Answered(f"energybench {__version__}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="energybench",
        description="Stored energy runs: list, show, compare, the study's table; and what can be metered.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    listing = commands.add_parser("list", help="list the stored runs")
    _add_storage(listing)
    listing.set_defaults(command=_list)

    show = commands.add_parser("show", help="show one run in full")
    _add_run(show, "run")
    show.add_argument("--pue", type=_pue, help="show kWh with this PUE instead of the run's own")
    _add_storage(show)
    show.set_defaults(command=_show)

    compare = commands.add_parser("compare", help="compare two runs, with a verdict per case", epilog=__doc__)
    _add_run(compare, "baseline")
    _add_run(compare, "candidate")
    compare.add_argument("--margin", type=_share, default=0.05, help="growth in energy that matters (default 5%%)")
    compare.add_argument(
        "--accuracy-margin",
        type=_share,
        default=0.005,
        help="fall in accuracy that matters (default 0.5%%: half a point)",
    )
    compare.add_argument(
        "--noise-floor", type=_share, default=0.03, help="noise assumed where a side has one round (default 3%%)"
    )
    compare.add_argument("--strict", action="store_true", help="exit with 3 where a case is inconclusive")
    compare.add_argument("--common", action="store_true", help="only cases that both runs have")
    compare.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="KEY",
        help="comparability key that is meant to differ; repeatable",
    )
    compare.add_argument("--format", choices=("text", "json"), default="text")
    _add_storage(compare)
    compare.set_defaults(command=_compare)

    study = commands.add_parser(
        "study", help="the study's table: each compressor beside none and beside what the paper states"
    )
    study.add_argument(
        "run", nargs="+", metavar="RUN", help="path, number, save name, glob, or `latest`; several: side by side"
    )
    study.add_argument("--pue", type=_pue, help="show kWh with this PUE instead of the run's own")
    study.add_argument("--format", choices=("text", "json", "markdown"), default="text")
    study.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw accuracy against bits into FILE (.svg, .png, .pdf)"
    )
    _add_storage(study)
    study.set_defaults(command=_study)

    doctor = commands.add_parser(
        "doctor",
        help="examine the energy counters of this machine",
        epilog="Exit codes: 0 energy is measured here; 2 usage; 3 only estimates, or nothing, are left. No setting is "
        "ever changed.",
    )
    doctor.add_argument("--energy-powercap-root", type=Path, metavar="DIR", help="stands for /sys/class/powercap")
    doctor.add_argument("--energy-meters", default="auto", metavar="NAMES", help="comma list (default auto)")
    doctor.add_argument("--energy-cpu-tdp", type=float, metavar="W", help="rated power of all CPU sockets")
    doctor.add_argument("--energy-no-estimate", action="store_true", help="estimate nothing")
    doctor.add_argument(
        "--seconds", type=_watched, default=1.0, metavar="S", help="watch the counters for so long (default 1)"
    )
    doctor.add_argument("--json", action="store_true", help="the same for programs, as strict JSON")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_run(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument(name, metavar=name.upper(), help="path, number, save name, glob, or `latest`")


def _add_storage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--storage", type=_folder, metavar="DIR", help="folder of the runs (default .benchmarks)")


def _list(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from energybench.reports.text import runs_table
    from energybench.store import list_runs

    storage = _storage(options)
    if options.storage is not None and not storage.is_dir():
        raise UsageError(f"There is no folder {storage}; give the folder of the runs with --storage")
    entries = list_runs(storage)
    print(runs_table(entries, width=_width(out)), file=out)
    if not entries:
        print(f"energybench: {storage} holds no runs yet.", file=err)
    return 0


def _show(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from energybench.reports.show import show
    from energybench.store import find_run, read_run

    found = find_run(options.run, _storage(options))
    for note in found.notes:
        print(f"energybench: {note}", file=err)
    print(show(read_run(found.path), width=_width(out), pue=options.pue), file=out)
    return 0


def _compare(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    report = _report(options)
    if options.format == "json":
        from energybench.reports.json import comparison_json

        print(comparison_json(report), file=out)
    else:
        from energybench.reports.comparison import comparison_table

        print(comparison_table(report, width=_width(out)), file=out)
    if report.nothing_compared:
        out.flush()
        print(f"energybench: {_nothing(report)}", file=err)
    return report.exit_code


def _study(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from energybench.analysis.study import study_table
    from energybench.store import find_run, read_run

    storage = _storage(options)
    found = [find_run(ref, storage) for ref in options.run]
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
            print(study_text(study, width=_width(out), pue=options.pue), file=out)
    return 0


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
    storage = _storage(options)
    found = [find_run(ref, storage) for ref in (options.baseline, options.candidate)]
    report = compare_runs(read_run(found[0].path), read_run(found[1].path), wanted)
    return replace(report, notes=(*found[0].notes, *found[1].notes, *report.notes))


def _nothing(report: Report) -> str:
    """The note that says why nothing was compared: it stands on stderr too, for logs that keep nothing else."""
    return next(note for note in report.notes if note.startswith("No case was compared"))


def _doctor(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from energybench.metering.doctor import report_document, report_text
    from energybench.metering.examination import examine
    from energybench.metering.meter import MeterOptions

    meters = MeterOptions(
        names=tuple(name.strip() for name in options.energy_meters.split(",") if name.strip()),
        powercap_root=options.energy_powercap_root,
        estimate=not options.energy_no_estimate,
        cpu_tdp_w=options.energy_cpu_tdp,
    )
    seen = examine(meters, options.seconds)
    if options.json:
        print(json.dumps(report_document(seen), indent=1, allow_nan=False), file=out)
    else:
        print(report_text(seen, width=_width(out)), file=out)
    return seen.exit_code


def _storage(options: argparse.Namespace) -> Path:
    """--storage, else the nearest `.benchmarks` of this folder and those above it."""
    if options.storage is not None:
        return Path(options.storage)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".benchmarks").is_dir():
            return folder / ".benchmarks"
    return here / ".benchmarks"


def _folder(text: str) -> Path:
    return Path(text.removeprefix("file://"))


def _share(text: str) -> float:
    """`5%` or `0.05` -> 0.05; argparse turns the ValueError of other texts into its own sentence."""
    number = text.strip()
    value = float(number.removesuffix("%")) / 100 if number.endswith("%") else float(number)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1 (or 0% and 100%)")
    return value


def _pue(text: str) -> float:
    value = float(text)
    if not 1 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"a PUE is a number of at least 1, not {text!r}")
    return value


def _watched(text: str) -> float:
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"seconds to watch are above 0 and at most 3600, not {text!r}")
    return value


_share.__name__ = "share"  # argparse names the type in its message: invalid share value: 'abc'
_pue.__name__ = "PUE"
_watched.__name__ = "seconds"


def _width(out: TextIO) -> int:
    """Columns of the terminal, else of the variable COLUMNS; 80 at least, and where neither is known."""
    try:
        columns = os.get_terminal_size(out.fileno()).columns
    except (OSError, ValueError):
        said = os.environ.get("COLUMNS", "")
        columns = int(said) if said.isdigit() else 0
    return max(_NARROWEST, columns)
