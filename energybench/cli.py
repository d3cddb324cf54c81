"""The `energybench` command: its parser, and how it ends. What it does stands in `commands`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn, TextIO

from energybench.errors import EnergybenchError, UsageError

COMMANDS = {
    "list": "listing",
    "show": "show",
    "baseline": "baseline",
    "compare": "compare",
    "study": "study",
    "trend": "trend",
    "plot": "plot",
    "report": "report",
    "export": "export",
    "doctor": "doctor",
    "ab": "ab",
    "bisect-step": "bisect",
    "estimate": "estimate",
    "interactions": "interactions",
    "init": "init",
    "site": "site",
}
"""name -> module of `commands`, in the order of the help"""
USAGE = 2
RUN_PYTEST = ("ab", "bisect-step")
"""commands of which what stands behind `--` belongs to pytest"""


def main(argv: Sequence[str] | None = None, out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Run one subcommand, write its report to `out` and complaints to `err`, return the exit code."""
    out, err = out or sys.stdout, err or sys.stderr
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _answer(given, out, err, is_last=argv is None)
        out.flush()
    except BrokenPipeError:
        # The reader (head, less) has gone. Keep Python from complaining once more when it flushes at exit.
        if out is sys.stdout:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # as a shell reports SIGPIPE: a gate whose report was cut off has not passed
    return code


def _answer(given: list[str], out: TextIO, err: TextIO, *, is_last: bool) -> int:
    """The exit code of one command line; `is_last` where the process ends with it."""
    try:
        options = _options(given)
        options.is_last = is_last
        command: Callable[[argparse.Namespace, TextIO, TextIO], int] = options.command
        return command(options, out, err)
    except EnergybenchError as error:
        print(f"energybench: {error}", file=err)
        return _refused(given)
    except _Answered as answered:
        print(answered, file=out)
        return 0


def _refused(given: Sequence[str]) -> int:
    """The exit code of what could not be done. Of `bisect-step` git would take 2 for a verdict."""
    if given[:1] != ["bisect-step"]:
        return USAGE
    from energybench.commands.bisect import SKIP

    return SKIP


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
        options = parser(given[0]).parse_args(given[:end])
        options.pytest_args = given[end + 1 :]
        return options
    return parser(*given[:1]).parse_args(given)


def parser(command: str = "") -> argparse.ArgumentParser:
    """The parser of the whole command line, with a parser for each command; of one that is named, with its alone.

    Its module is the only one that is imported then: all of them take longer than most commands.
    """
    whole = _Parser(
        prog="energybench",
        description="Energy of benchmark cases: what can be metered here, what was measured, what regressed, what a "
        "training will take. Cases are measured by pytest with the `energy` fixture.",
    )
    whole.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = whole.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    for name in [command] if command in COMMANDS else COMMANDS:
        import_module(f"energybench.commands.{COMMANDS[name]}").add(commands)
    return whole
