"""The `energybench` command: its parser, and how it ends. What it does stands in `commands`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, TextIO

from energybench.commands import (
    ab,
    baseline,
    bisect,
    compare,
    doctor,
    estimate,
    export,
    init,
    interactions,
    listing,
    plot,
    report,
    show,
    site,
    study,
    trend,
)
from energybench.errors import EnergybenchError, UsageError

USAGE = 2
RUN_PYTEST = ("ab", "bisect-step")
"""commands of which what stands behind `--` belongs to pytest"""


def main(argv: Sequence[str] | None = None, out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Run one subcommand, write its report to `out` and complaints to `err`, return the exit code."""
    out, err = out or sys.stdout, err or sys.stderr
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        options = _options(given)
        command: Callable[[argparse.Namespace, TextIO, TextIO], int] = options.command
        code = command(options, out, err)
        out.flush()
    except EnergybenchError as error:
        print(f"energybench: {error}", file=err)
        return bisect.SKIP if given[:1] == ["bisect-step"] else USAGE  # git would take 2 for a verdict
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


def _options(given: list[str]) -> argparse.Namespace:
    """The parsed command line. argparse cannot tell our options from pytest's behind `--`, so it does not see those."""
    if given[:1] and given[0] in RUN_PYTEST and "--" in given:
        end = given.index("--")
        options = parser().parse_args(given[:end])
        options.pytest_args = given[end + 1 :]
        return options
    return parser().parse_args(given)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line, with a parser for each command."""
    whole = _Parser(
        prog="energybench",
        description="Energy of benchmark cases: what can be metered here, what was measured, what regressed, what a "
        "training will take. Cases are measured by pytest with the `energy` fixture.",
    )
    whole.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = whole.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    for module in (
        listing,
        show,
        baseline,
        compare,
        study,
        trend,
        plot,
        report,
        export,
        doctor,
        ab,
        bisect,
        estimate,
        interactions,
        init,
        site,
    ):
        module.add(commands)
    return whole
