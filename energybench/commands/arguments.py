"""What the commands have in common: the store, runs, shares, and the terminal's width."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

RUN = "path, number, save name, baseline, branch, tag, commit, glob, `latest` or `latest@BRANCH`"
_NARROWEST = 80


def add_run(parser: argparse.ArgumentParser, name: str) -> None:
    """A positional argument that names a stored run."""
    parser.add_argument(name, metavar=name.upper(), help=RUN)


def add_storage(parser: argparse.ArgumentParser) -> None:
    """--storage DIR; `storage_folder` reads it."""
    parser.add_argument("--storage", type=folder, metavar="DIR", help="folder of the runs (default .benchmarks)")


def add_pue(parser: argparse.ArgumentParser) -> None:
    """--pue X, for commands that show kWh."""
    parser.add_argument("--pue", type=pue, help="show kWh with this PUE instead of the run's own")


def storage_folder(options: argparse.Namespace) -> Path:
    """--storage, else the nearest `.benchmarks` of this folder and those above it."""
    if options.storage is not None:
        return Path(options.storage)
    here = Path.cwd()
    for above in (here, *here.parents):
        if (above / ".benchmarks").is_dir():
            return above / ".benchmarks"
    return here / ".benchmarks"


def folder(text: str) -> Path:
    """A folder, also in pytest-benchmark's form `file://DIR`."""
    return Path(text.removeprefix("file://"))


def share(text: str) -> float:
    """`5%` or `0.05` -> 0.05; argparse turns the ValueError of other texts into its own sentence."""
    number = text.strip()
    value = float(number.removesuffix("%")) / 100 if number.endswith("%") else float(number)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1 (or 0% and 100%)")
    return value


def at_least_one(name: str, subject: str = "it is") -> Callable[[str], int]:
    """A type for argparse: a whole number of at least 1. `subject` begins the complaint: `rounds are`."""

    def whole(text: str) -> int:
        value = int(text)
        if value < 1:
            raise argparse.ArgumentTypeError(f"{subject} a whole number of at least 1, not {text!r}")
        return value

    whole.__name__ = name  # argparse names the type in its message: invalid rounds value: 'few'
    return whole


def pue(text: str) -> float:
    """A PUE: a number of at least 1."""
    value = float(text)
    if not 1 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"a PUE is a number of at least 1, not {text!r}")
    return value


pue.__name__ = "PUE"  # argparse names the type in its message: invalid PUE value: 'abc'


def terminal_width(out: TextIO) -> int:
    """Columns of the terminal, else of the variable COLUMNS; 80 at least, and where neither is known."""
    try:
        columns = os.get_terminal_size(out.fileno()).columns
    except (OSError, ValueError):
        said = os.environ.get("COLUMNS", "")
        columns = int(said) if said.isdigit() else 0
    return max(_NARROWEST, columns)
