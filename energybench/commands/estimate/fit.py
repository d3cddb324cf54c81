"""`energybench estimate fit`: learn from stored runs once, and save the predictor with where it comes from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TextIO

from energybench.commands.arguments import add_storage, storage_folder, terminal_width
from energybench.commands.estimate.learning import add_method, chosen
from energybench.commands.estimate.sources import add_from, sources
from energybench.errors import UsageError


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "fit", help="learn from stored runs what a training takes, and save the predictor for `estimate pre --using`"
    )
    add_from(parser)
    add_method(parser)
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the file to write, JSON")
    parser.add_argument("--device", metavar="NAME", help="learn from the meters with which this device was measured")
    add_storage(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Write the file and print its errors; UsageError and StoreError where nothing can be learned or written."""
    import datetime
    import importlib.metadata

    from energybench import __version__
    from energybench.commands.estimate.pre_report import errors_text
    from energybench.commands.waiting import tracked
    from energybench.estimators.pre.check import check_observations, errors
    from energybench.estimators.pre.crossing import cross
    from energybench.estimators.pre.observation import merged, observe
    from energybench.estimators.pre.saved import Saved, to_text, used

    found, notes = sources(options.sources, storage_folder(options), err)
    taken, left_out, more = chosen(found, options.device)
    for note in (*notes, *more):
        print(f"energybench: {note}", file=err)
    method = options.method or "ridge"
    crossed = cross(merged(taken), method)
    rows = errors(check_observations(taken, method, follow=lambda groups: tracked(groups, "leaving each out", err)))
    versions = {"energybench": __version__, "numpy": importlib.metadata.version("numpy")}
    if method == "boosting":
        versions["scikit-learn"] = importlib.metadata.version("scikit-learn")
    saved = Saved(
        crossed=crossed,
        runs=tuple(
            used(source.path, source.run.created, cases)
            for source in found
            if (cases := sum(each.meters == taken[0].meters for each in observe([source.run]).taken))
        ),
        left_out=left_out,
        errors=rows,
        versions=versions,
        created=datetime.datetime.now(datetime.UTC).astimezone().isoformat(timespec="seconds"),
    )
    try:
        options.output.write_text(to_text(saved), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{options.output} cannot be written: {error.strerror or error}. Give -o a file in a folder that exists"
        ) from error
    print(errors_text(saved, terminal_width(out)), file=out)
    print(f"\nSaved to {options.output}.", file=out)
    if method == "boosting":
        print("Boosted trees are not in the file: whoever reads it fits them again from its observations.", file=out)
    return 0
