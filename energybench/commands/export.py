"""`energybench export`: one run for other readers.

A case without a reading is not in the file and named on stderr; no case at all is an error, and no file is written.
"""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from energybench.commands.arguments import add_pue, add_run, add_storage, storage_folder
from energybench.errors import StoreError, UsageError


def add(commands: Any) -> None:
    """Declare the command."""
    from energybench.reports.exports import FORMATS

    formats = "; ".join(f"{name}: {form.reader}" for name, form in FORMATS.items())
    parser = commands.add_parser(
        "export", help="write one run for other readers", epilog=f"{__doc__} Formats: {formats}."
    )
    add_run(parser, "run")
    parser.add_argument("--format", choices=tuple(FORMATS), required=True, help="for whom")
    parser.add_argument(
        "--metric",
        choices=("kwh", "joules", "accuracy", "seconds"),
        help="for formats that hold one (default kwh for github-action-benchmark, joules for pytest-benchmark)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write FILE, whole or not at all, instead of stdout"
    )
    add_pue(parser)
    add_storage(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Write the file; StoreError where a file cannot be read or written, UsageError where there is nothing to write."""
    from energybench.reports.exports import FORMATS
    from energybench.store import find_run, read_run

    form = FORMATS[options.format]
    metric = options.metric or next(iter(form.metrics), None)
    _check(options, metric)
    storage = storage_folder(options)
    found = find_run(options.run, storage)
    if options.output is not None:
        _check_place(options.output, storage, found.path)
    for note in found.notes:
        print(f"energybench: {note}", file=err)
    stored = read_run(found.path)
    export = import_module(f"energybench.reports.exports.{form.module}").write(stored, metric, options.pue)
    for line in export.left_out:
        print(f"energybench: left out: {line}.", file=err)
    if not export.entries:
        what = f"{options.format} --metric {metric}" if metric else options.format
        raise UsageError(
            f"{stored.name} holds nothing for {what}; no file was written. `energybench show` says what its cases hold."
        )
    if options.output is None:
        out.write(export.text)
    else:
        _write(export.text, options.output)
    return 0


def _check(options: argparse.Namespace, metric: str | None) -> None:
    """Options that would be without effect are refused."""
    from energybench.reports.exports import FORMATS

    form = FORMATS[options.format]
    if options.metric is not None and options.metric not in form.metrics:
        takes = f"takes {' or '.join(form.metrics)}" if form.metrics else "holds every metric, so leave --metric out"
        raise UsageError(f"--metric {options.metric} does not go with --format {options.format}, which {takes}.")
    if options.pue is not None and (not form.kwh or metric not in (None, "kwh")):
        raise UsageError(
            f"--pue changes kWh, and this export has none: {options.format}{f' of {metric}' if metric else ''}."
        )


def _check_place(path: Path, storage: Path, run: Path) -> None:
    """The store holds runs: what is exported from it has other numbers under the same names."""
    from energybench.store.files import NUMBERED

    place = path.resolve()
    in_store = place.suffix == ".json" and place.is_relative_to(storage.resolve())
    beside = place.parent == run.resolve().parent and NUMBERED.fullmatch(place.name.removesuffix(".json")) is not None
    if in_store or beside or place == run.resolve():
        raise UsageError(f"{path} lies among the stored runs; write the export elsewhere.")


def _write(text: str, path: Path) -> None:
    """Under a temporary name first: a collector may read the file at any moment."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            temporary.write_text(text, encoding="utf-8", newline="")
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"Cannot write {path}: {error.strerror or error}. Name a file in a folder that exists."
        ) from error
