"""Energy over time: cumulative joules per domain in a side file next to the runs, `<machine>/<session>.trace.csv`.

Plain CSV, for a spreadsheet or a data frame as much as for STEP and the report:

    time,seconds,package:0,gpu:0
    1790000000.125,8423.104512117,103.250061,
    1790000001.125,8424.104498902,131.500122,40.125000

`time` is seconds since the Unix epoch; `seconds` the session's monotonic clock, which `Span.start_s` and `end_s` refer
to; then one column per domain with joules since the session began, empty where it could not be read. Cumulative joules
and not watts: a line that is missing costs resolution, never energy.
"""

from __future__ import annotations

import csv
import io
import math
import os
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from energybench.errors import StoreError
from energybench.model import Run, Span

SUFFIX = ".trace.csv"
_CLOCKS = ["time", "seconds"]


class TraceWriter:
    """Writes one session's trace, a line at a time; it may be called from several threads.

    No line is synchronised: a killed process keeps what it wrote, a machine that loses power loses the last seconds.
    """

    def __init__(self, folder: Path, session: str, domains: Sequence[str]) -> None:
        """Make `folder` and begin the file in it. Raises StoreError where that fails, or where the file exists."""
        self.name: str = f"{session}{SUFFIX}"
        """file name, for `Span.file`"""
        self.trouble: str = ""
        """why writing stopped; empty while all is well"""
        self._path = folder / self.name
        self._domains = tuple(domains)
        self._lock = threading.Lock()
        self._last_s = -math.inf
        self._lines = 0
        header = io.StringIO()
        csv.writer(header, lineterminator="\n").writerow([*_CLOCKS, *self._domains])
        line = header.getvalue().encode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: int | None = os.open(self._path, flags, 0o644)
        except OSError as error:
            raise _unwritable(self._path, error.strerror or str(error)) from error
        self._size = 0
        self._write(line)
        if self.trouble:
            self.close()
            raise _unwritable(self._path, self.trouble)

    def append(self, time_s: float, seconds: float, joules: Mapping[str, float | None]) -> None:
        """Add a line: Unix time and the session's clock in seconds, domain -> joules since the session began.

        Nothing is raised: where the disk refuses, `trouble` says why and nothing more is written, for the metered run
        matters more than its trace. Joules are kept to 1e-6. After close() it does nothing. A line that is not later
        than the last one is left out: of two threads the one that read the clock first may come here second.
        """
        cells = [f"{time_s:.3f},{seconds}"]  # the clock with every digit: a span's ends are found again exactly
        for name in self._domains:
            value = joules.get(name)
            cells.append("" if value is None or not math.isfinite(value) else f"{value:.6f}")
        line = (",".join(cells) + "\n").encode()
        with self._lock:
            if self._file is None or self.trouble or not seconds > self._last_s:
                return
            self._write(line)
            if not self.trouble:
                self._last_s = seconds
                self._lines += 1

    def close(self) -> None:
        """Close the file; one without any line of data is removed. A second call does nothing."""
        with self._lock:
            if self._file is None:
                return
            descriptor, self._file = self._file, None
            try:
                os.close(descriptor)
                if not self._lines:
                    self._path.unlink(missing_ok=True)
            except OSError as error:
                self.trouble = self.trouble or error.strerror or str(error)

    def _write(self, line: bytes) -> None:
        """One call for the whole line, so that a kill tears no more than the last one; half a line is taken back."""
        assert self._file is not None
        try:
            written = os.write(self._file, line)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return
        if written == len(line):
            self._size += written
            return
        self.trouble = f"only {written} of {len(line)} bytes could be written"
        with suppress(OSError):
            os.ftruncate(self._file, self._size)


@dataclass(frozen=True, slots=True)
class Trace:
    """What a trace file holds."""

    source: str
    """path of the file"""
    domains: tuple[str, ...]
    seconds: tuple[float, ...]
    """the session's monotonic clock at each line, strictly growing"""
    joules: Mapping[str, tuple[float | None, ...]]
    """domain -> joules since the session began, one per line; None where it could not be read then"""

    def power(self, domains: Sequence[str], span: Span | None = None) -> tuple[tuple[float, float], ...]:
        """(middle of the step in seconds on the trace's clock, mean watts of `domains` together over the step).

        A step lies between two consecutive lines; only those wholly inside `span` are given, and none where one of
        the domains is absent at either end. Raises StoreError for a domain that the trace does not have.
        """
        for name in domains:
            if name not in self.joules:
                raise StoreError(f"{self.source} has no domain {name!r}; it has {', '.join(self.domains) or 'none'}.")
        first = 0 if span is None else bisect_left(self.seconds, span.start_s)
        behind = len(self.seconds) if span is None else bisect_right(self.seconds, span.end_s)
        columns = [self.joules[name] for name in domains]
        points = []
        for i, j in pairwise(range(first, behind)):
            ends = [(column[i], column[j]) for column in columns]
            steps_j = [after - before for before, after in ends if before is not None and after is not None]
            if steps_j and len(steps_j) == len(ends):
                start_s, end_s = self.seconds[i], self.seconds[j]
                points.append(((start_s + end_s) / 2, math.fsum(steps_j) / (end_s - start_s)))
        return tuple(points)


def read_trace(path: Path) -> Trace:
    """The trace at `path`; a torn last line (its writer was killed) is left out.

    Raises StoreError for a file that is absent or no trace, and for a damaged line, with its number.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise StoreError(f"There is no trace {path}: copy it from the machine that made it, beside its run.") from error
    except OSError as error:
        raise StoreError(f"The trace {path} cannot be read: {error.strerror or error}.") from error
    try:
        text = data[: data.rfind(b"\n") + 1].decode("utf-8-sig")  # spreadsheets save with a byte order mark
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(lines, [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise _no_trace(path) from error
    domains = tuple(header[2:])
    if header[:2] != _CLOCKS or len(set(domains)) != len(domains):
        raise _no_trace(path)
    seconds: list[float] = []
    columns: list[list[float | None]] = [[] for _ in domains]
    try:
        for line in lines:
            _take(line, seconds, columns)
    except (ValueError, csv.Error) as error:
        raise StoreError(
            f"Line {lines.line_num} of {path} is damaged ({error}). Delete the line or restore the file from a copy."
        ) from error
    return Trace(str(path), domains, tuple(seconds), dict(zip(domains, map(tuple, columns), strict=True)))


def trace_path(run: Run, span: Span) -> Path:
    """Where the trace of `span` lies: beside the file of `run`. StoreError where its name would lead elsewhere."""
    if span.file in ("", ".", "..") or any(sign in span.file for sign in "/\\\x00"):
        raise StoreError(f"{run.source} names {span.file!r} as a trace, which is no file beside it; restore the run.")
    return Path(run.source).parent / span.file


def _take(line: Sequence[str], seconds: list[float], columns: Sequence[list[float | None]]) -> None:
    if len(line) != len(_CLOCKS) + len(columns):
        raise ValueError(f"{len(line)} values instead of {len(_CLOCKS) + len(columns)}")
    _number(line[0])
    now = _number(line[1])
    if seconds and now <= seconds[-1]:
        raise ValueError(f"second {now} after second {seconds[-1]}")
    joules = [None if cell == "" else _number(cell) for cell in line[2:]]
    seconds.append(now)
    for column, value in zip(columns, joules, strict=True):
        column.append(value)


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{cell!r} is no number")
    return value


def _no_trace(path: Path) -> StoreError:
    return StoreError(f"{path} is no trace: its first line is not time,seconds,DOMAIN,... Name a file *{SUFFIX}.")


def _unwritable(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"Cannot write the trace {path}: {reason}. Give a folder that you may write with "
        f"--benchmark-storage=file://PATH, or leave the trace out with --energy-trace 0."
    )
