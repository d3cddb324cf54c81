"""`energybench site`: the store as a static site, the runs of each machine and the history of each case.

Each run has its report as a page (without verdicts), each case a page with its trend and changes of level. Links are
relative: open site/index.html, or serve the folder. Pages whose run or history has not changed are not made again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

from energybench.commands.arguments import at_least_one, folder, storage_folder
from energybench.commands.waiting import tracked
from energybench.errors import StoreError, UsageError

if TYPE_CHECKING:
    from energybench.analysis.trend import Measured, Trend
    from energybench.reports.page.contents import Drawn
    from energybench.reports.site.contents import CaseLine
    from energybench.store import RunEntry

MANIFEST = ".energybench-site.json"
"""names the pages that were made, each with what it was made of: a folder that has it is ours to write into"""
_LAST = 200
_METRICS = ("energy", "accuracy", "seconds")


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "site", help="the store as a static site: runs, and the history of cases", epilog=__doc__
    )
    parser.add_argument(
        "storage", nargs="?", type=folder, metavar="STORE", help="folder of the runs (default .benchmarks)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("site"), metavar="DIR", help="folder of the site (default site)"
    )
    parser.add_argument(
        "--last",
        type=at_least_one("runs", "the newest N runs are"),
        default=_LAST,
        metavar="N",
        help=f"only the newest N runs of each machine (default {_LAST})",
    )
    parser.set_defaults(command=run)


@dataclass(slots=True)
class _Site:
    """The folder that is written, with what each page was made of the last time and is now."""

    top: Path
    before: Mapping[str, str]
    now: dict[str, str] = field(default_factory=dict)
    made: int = 0

    def page(self, name: str, fingerprint: str, make: Callable[[], str]) -> None:
        """Write the page unless it was made of the same before."""
        path = self.top / name
        self.now[name] = fingerprint
        if self.before.get(name) == fingerprint and path.is_file():
            return
        _put(path, make())
        self.made += 1

    def begin(self) -> None:
        """Claim the folder before the first page: what is stopped half way is ours the next time, too."""
        self._remember(self.before)

    def finish(self) -> int:
        """Take away the pages of runs and cases that are gone, remember what was made; how many went."""
        gone = self.before.keys() - self.now.keys()
        for name in gone:
            (self.top / name).unlink(missing_ok=True)
        self._remember(self.now)
        return len(gone)

    def _remember(self, pages: Mapping[str, str]) -> None:
        _put(self.top / MANIFEST, json.dumps({"schema": 1, "pages": dict(pages)}, indent=1) + "\n")


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Write the site. UsageError for a folder of others' files and without the extra `report`; StoreError for a store
    that is not there or empty.
    """
    from energybench.reports.page import require
    from energybench.reports.site import Index, index_html
    from energybench.store.runs import entries

    require()
    storage = storage_folder(options)
    if not storage.is_dir():
        raise StoreError(f"There is no folder {storage}: give the folder of the runs, `energybench site STORE`.")
    stored = entries(storage)
    if not stored:
        raise StoreError(f"{storage} holds no runs: measure some with pytest first.")
    site = _Site(options.output, _before(options.output))
    site.begin()
    machines = []
    for number, machine in enumerate(sorted({entry.machine for entry in stored}, key=lambda name: (not name, name))):
        newest = sorted((e for e in stored if e.machine == machine), key=lambda e: e.age, reverse=True)
        machines.append(_machine(site, machine, newest[: options.last], number, err))
    index = index_html(Index(tuple(machines), _made()))
    _put(site.top / "index.html", index)
    gone = site.finish()
    away = f", {gone} taken away" if gone else ""
    same = len(site.now) - site.made
    print(f"{site.top / 'index.html'}: {len(site.now)} pages, {site.made} made, {same} unchanged{away}", file=out)
    return 0


def _machine(site: _Site, machine: str, newest: Sequence[RunEntry], number: int, err: TextIO) -> Any:
    from energybench.reports.site import machine_index
    from energybench.store.runs import read_entry

    place = machine or "other"
    read: list[RunEntry] = []
    for entry in tracked(newest, f"runs of {place}", err, len(newest)):
        one = read_entry(entry)
        read.append(one)
        if one.run is not None:
            site.page(_run_name(place, one.name), _of_file(one.path), _report_of(one))
    there = {one.name for one in read if one.run is not None}
    cases = _cases(site, place, read[::-1], there, err)

    def href(name: str) -> str:
        return quote(_run_name(place, name)) if name in there else ""

    return machine_index(machine, read, cases, href, number)


def _run_name(place: str, name: str) -> str:
    return f"runs/{place}/{name}.html"


def _report_of(entry: RunEntry) -> Callable[[], str]:
    def make() -> str:
        from energybench.commands.subject import subject
        from energybench.reports.page import html, page

        assert entry.run is not None
        return html(page(subject([entry.run]), title=f"Energy of {entry.name}", made=_made(), home="../../index.html"))

    return make


def _cases(site: _Site, place: str, oldest_first: Sequence[RunEntry], there: set[str], err: TextIO) -> list[CaseLine]:
    """The page of each case, and its line in the index."""
    from energybench.analysis.trend import trend
    from energybench.reports.site import case_html, case_page
    from energybench.reports.site.contents import case_line

    measured: dict[str, list[Measured]] = {}
    for entry in oldest_first:
        if entry.run is None:
            continue
        for case in entry.run.cases:
            past = measured.setdefault(case.id, [])
            if not entry.unfit:
                past.append(_measured(entry, case))

    def href(name: str) -> str:
        return quote(f"../../{_run_name(place, name)}") if name in there else ""

    lines = []
    for id, past in tracked(measured.items(), f"cases of {place}", err, len(measured)):
        trends = {metric: trend(id, past, metric) for metric in _METRICS}
        name = f"cases/{place}/{_slug(trends['energy'])}.html"

        def make(trends: Mapping[str, Trend] = trends) -> str:
            return case_html(case_page(place, trends, href, _drawn(trends["energy"]), _made()))

        site.page(name, _digest(repr((trends, sorted(there)))), make)
        lines.append(
            case_line(trends["energy"], quote(name), lambda run: quote(_run_name(place, run)) if run in there else "")
        )
    return lines


def _measured(entry: RunEntry, case: Any) -> Measured:
    from energybench.analysis.trend import Measured

    assert entry.run is not None
    commit = str(entry.run.commit.get("id") or "")
    return Measured(
        entry.name, entry.run.created, f"{commit}{'+' if commit and entry.run.commit.get('dirty') else ''}", case
    )


def _drawn(trend: Trend) -> Drawn | None:
    from energybench.reports.charts import CHARTS, Subject
    from energybench.reports.charts.figure import svg
    from energybench.reports.page.contents import Drawn

    chart = CHARTS["trend"].make(Subject((), trends=(trend,)))
    return None if chart is None else Drawn(chart, svg(chart, themed=True))


def _slug(trend: Trend) -> str:
    """A file name for a case, whatever it is called: readable, and unique by its end."""
    from energybench.reports.page.contents import anchor

    return f"{anchor(trend.short_id)[:60]}-{hashlib.sha256(trend.case.encode('utf-8', 'replace')).hexdigest()[:10]}"


def _before(top: Path) -> Mapping[str, str]:
    """What an earlier call made there. UsageError where the folder holds something else."""
    try:
        pages = json.loads((top / MANIFEST).read_text(encoding="utf-8"))["pages"]
        return {str(name): str(made_of) for name, made_of in pages.items() if not _leaves(str(name))}
    except NotADirectoryError:
        raise UsageError(f"{top} is a file. Give a folder for the site with -o.") from None
    except FileNotFoundError:
        if top.is_dir() and any(top.iterdir()):
            raise UsageError(
                f"{top} holds files that are no site of energybench's: give an empty or new folder with -o."
            ) from None
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # torn: every page is made again


def _leaves(name: str) -> bool:
    """Whether a name of the manifest, which anybody may have edited, points out of the site."""
    return Path(name).is_absolute() or ".." in Path(name).parts


def _put(path: Path, text: str) -> None:
    from energybench.store.files import replace_whole

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, text)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}. Give another folder with -o."
        ) from error


def _of_file(path: Path) -> str:
    """What a run's page is made of: this version, and the file as it is now."""
    status = path.stat()
    return _digest(f"{_version()} {status.st_size} {status.st_mtime_ns}")


def _digest(text: str) -> str:
    return hashlib.sha256(f"{_version()} {text}".encode("utf-8", "replace")).hexdigest()[:16]


def _version() -> str:
    from energybench import __version__

    return __version__


def _made() -> str:
    return f"Made by energybench {_version()}"
