"""A carbon intensity that changes over time, from a CSV of `time,g_per_kwh`.

A time is ISO 8601 with its offset from UTC (`2026-01-02T14:00+01:00`, `2026-01-02T13:00Z`). A value holds from its time
until the next line's; the last one as long as the one before it did.
"""

from __future__ import annotations

import csv
import datetime
import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from energybench.errors import UsageError

COLUMNS = ("time", "g_per_kwh")


@dataclass(frozen=True, slots=True)
class CarbonSeries:
    """gCO2e per kWh as a step function of Unix time."""

    source: str
    """name of the file"""
    times_s: tuple[float, ...]
    """ascending; one more than there are values, the last one is where the series ends"""
    g_per_kwh: tuple[float, ...]

    def mean(self, begin_s: float, end_s: float) -> float | None:
        """The mean over the time between two moments; None where the series does not cover all of it.

        Of a single moment (`end_s` equal to `begin_s`) it is the value there.
        """
        if not self.times_s[0] <= begin_s <= end_s <= self.times_s[-1]:
            return None
        at = min(bisect_right(self.times_s, begin_s) - 1, len(self.g_per_kwh) - 1)
        if end_s == begin_s:
            return self.g_per_kwh[at]
        parts = []
        while at < len(self.g_per_kwh) and self.times_s[at] < end_s:
            shared_s = min(end_s, self.times_s[at + 1]) - max(begin_s, self.times_s[at])
            parts.append(shared_s * self.g_per_kwh[at])
            at += 1
        return math.fsum(parts) / (end_s - begin_s)


def read_carbon(path: Path) -> CarbonSeries:
    """The series of a file.

    Raises UsageError for a file that cannot be read, has other columns or fewer than two lines, and for a line with a
    time without offset or out of order, or with an intensity that is no number of at least 0.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = [name.strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            if not set(COLUMNS).issubset(names):
                said = ", ".join(names) or "none"
                raise UsageError(f"a carbon intensity over time has the columns {','.join(COLUMNS)}; {path} has {said}")
            lines = [(_time(row, path, reader.line_num), _grams(row, path, reader.line_num)) for row in reader]
    except OSError as error:
        raise UsageError(f"the carbon intensities {path} cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as CSV: {error}") from None
    if len(lines) < 2:
        raise UsageError(
            f"{path} has {len(lines)} carbon intensities; with two or more it is known how long each holds"
        )
    times = [time_s for time_s, _ in lines]
    for number, (before, after) in enumerate(pairwise(times), 3):
        if after <= before:
            raise UsageError(f"line {number} of {path} is not later than the line before it: sort the lines by time")
    return CarbonSeries(path.name, (*times, 2 * times[-1] - times[-2]), tuple(grams for _, grams in lines))


def _time(row: dict[str, str], path: Path, line: int) -> float:
    text = (row["time"] or "").strip()
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"time in line {line} of {path} is {text!r}, not ISO 8601 such as 2026-01-02T14:00Z") from None
    if when.tzinfo is None:
        raise UsageError(
            f"time in line {line} of {path} is {text!r}, which does not say in which zone: write its offset from UTC, "
            f"such as {text}Z or {text}+01:00"
        )
    return when.timestamp()


def _grams(row: dict[str, str], path: Path, line: int) -> float:
    text = (row["g_per_kwh"] or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UsageError(f"g_per_kwh in line {line} of {path} is {text!r}, not a number of gCO2e per kWh of at least 0")
    return value
