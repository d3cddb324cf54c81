"""What estimators learn from: stored runs by path, folder or glob, of one machine or several."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from energybench.commands.waiting import tracked
from energybench.errors import StoreError
from energybench.model import Run

_BASELINES = "baselines.json"  # the one file of a store that is no run


@dataclass(frozen=True, slots=True)
class Source:
    """One file and the run in it."""

    path: Path
    run: Run


def add_from(parser: argparse.ArgumentParser) -> None:
    """--from GLOB...; `sources` reads it."""
    parser.add_argument(
        "--from",
        dest="sources",
        nargs="+",
        default=(),
        metavar="GLOB",
        help="files, folders or globs of runs to learn from, of one machine or several (default: the whole store)",
    )


def sources(patterns: Sequence[str], storage: Path, err: TextIO | None = None) -> tuple[list[Source], list[str]]:
    """The runs that `patterns` name, else all of `storage`, and a note about what could not be read.

    On `err`, where it is a terminal, a bar moves with the files. Hidden folders hold no runs.
    Raises StoreError where a pattern matches nothing, and where nothing can be read.
    """
    from energybench.store import read_run

    found: list[Source] = []
    unread: list[str] = []
    files = _files(patterns, storage)
    for path in files if err is None else tracked(files, "reading runs", err):
        try:
            found.append(Source(path, read_run(path)))
        except StoreError:
            unread.append(path.name)
    if not found:
        where = ", ".join(patterns) or str(storage)
        raise StoreError(
            f"{where} holds no run to learn from{f' ({len(unread)} files are none)' if unread else ''}. Measure some "
            f"with pytest, or name them with --from"
        )
    more = f" and {len(unread) - 4} more" if len(unread) > 4 else ""
    return found, [f"not read, since they are no runs: {', '.join(unread[:4])}{more}"] if unread else []


def _files(patterns: Sequence[str], storage: Path) -> list[Path]:
    found: dict[Path, None] = {}
    for pattern in patterns or (str(storage),):
        root, rest = _split(Path(pattern.removeprefix("file://")))
        named = [root] if not rest else list(root.glob(rest))
        if patterns and not any(path.exists() for path in named):
            raise StoreError(
                f"--from {pattern} matches no file: name files, folders or globs of stored runs; `energybench list` "
                "shows them"
            )
        for path in named:
            for file in path.rglob("*.json") if path.is_dir() else [path]:
                hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
                if file.suffix == ".json" and file.name != _BASELINES and not hidden:
                    found.setdefault(file.resolve(), None)
    return sorted(found)


def _split(pattern: Path) -> tuple[Path, str]:
    """The folder before the first wildcard, and the pattern below it; a plain path and nothing."""
    parts = pattern.parts
    first = next((index for index, part in enumerate(parts) if set(part) & set("*?[")), None)
    return (pattern, "") if first is None else (Path(*parts[:first]), str(Path(*parts[first:])))
