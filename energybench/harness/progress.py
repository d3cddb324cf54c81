"""The line that moves while a long case runs.

It is drawn on a duplicate of the real standard output, to the right of what pytest has written on the current line, and
wiped before pytest writes again, so that the final screen is the same as without it. Writing through pytest's terminal
reporter during a test would land in the captured output.

It is redrawn when a lap ends, never from a thread of its own: a second thread makes every `os.fork` (DataLoader
workers) warn on Python 3.12 and newer. Where the output is not a terminal, a plain line appears at most every
30 seconds.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

import pytest

from energybench.harness.case import Measured
from energybench.harness.earlier import Costs
from energybench.harness.forecast import Forecast, Outlook
from energybench.harness.training import EPOCH
from energybench.model import Estimate, Window
from energybench.units import duration, watt_hour_scale, watt_hours

if TYPE_CHECKING:
    from energybench.harness.engine import Sweep

PLAIN_EVERY_S = 30.0
NARROW = 45
_ALWAYS, _LEFT, _PROJECTED, _SPENT, _ELAPSED = range(5)
"""parts of the line; where they do not all fit, those of the largest number are left out first"""


class Progress:
    """Draws progress of the running case; silent under -q and where standard output cannot be duplicated."""

    count: Callable[[], tuple[int, int]] | None = None
    """where rounds are interleaved: how many were measured, and how many there will have been"""

    def __init__(self, config: pytest.Config, sweep: Sweep, earlier: Callable[[], Costs] = dict) -> None:
        """`earlier` is asked, where anything is drawn at all, for what rounds of the cases took before."""
        self._config = config
        self._cases = len(sweep.cases)
        self._pue = sweep.options.pue
        self._started = self._case_started = self._plain_at = time.monotonic()
        self._case: Measured | None = None
        self._laps: Counter[str] = Counter()
        self._what = ""
        self._projected = ""
        self._estimate: Estimate | None = None
        self._rounds = (0, 0)
        self._drawn = False
        self._live = False
        self._out: TextIO | None = None
        if config.get_verbosity() < 0:
            return
        try:
            self._out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", errors="replace")
        except (OSError, ValueError):  # an in-process run of pytest has no real standard output
            return
        capture = config.getoption("capture", "fd")
        self._live = self._out.isatty() and os.environ.get("TERM") != "dumb" and capture == "fd"
        self._forecast = Forecast(sweep, earlier())

    def __call__(self, case: Measured, what: str, so_far: Window | None) -> None:
        """`what` begins (so_far is None) or a lap of that name has ended in the round whose window is `so_far`."""
        if self._out is None:
            return
        if self._case is None:
            self._started = time.monotonic()  # what came before, such as watching the idle machine, is no round's
        if case is not self._case:
            self._case, self._case_started = case, time.monotonic()
        if so_far is None:
            self._laps.clear()
            self._projected, self._estimate = "", None
            self._what = what
            self._rounds = self.count() if self.count is not None else (0, 0)
            self._forecast.begin(case, time.monotonic() - self._started)
        else:
            self._laps[what] += 1
        if self._live:
            self._draw(self._parts(case, so_far))
        elif time.monotonic() - self._plain_at >= PLAIN_EVERY_S:
            self._plain_at = time.monotonic()
            self._write(f"\nenergybench: {_joined(self._parts(case, so_far))}\n")

    def project(self, case: Measured, so_far: Window, projected: str, estimate: Estimate | None) -> None:
        """What the round that is running will have come to, in words; shown from now on.

        `estimate` is the same as a value, None where it is only a bound.
        """
        self._projected, self._estimate = projected, estimate
        if self._out is not None and self._live and case is self._case:
            self._draw(self._parts(case, so_far))

    def round_done(self, case: Measured) -> None:
        """Count what a pass of `case` has finished, and wipe the live line."""
        if self._out is not None:
            self._forecast.take(case)
        self.clear()

    def _parts(self, case: Measured, so_far: Window | None) -> list[tuple[int, str]]:
        """The parts of the line, each with how soon it is left out."""
        if self.count is None:
            parts = [(_ALWAYS, f"[{case.position}/{self._cases}] {_short(case.id)}")]
        else:
            done, total = self._rounds
            parts = [(_ALWAYS, f"[{done + 1}/{total} rounds] {_short(case.id)}")]
        if so_far is None or self.count is not None:  # interleaved, the line above is another case's
            parts.append((_ALWAYS, self._what))
        if so_far is not None:
            laps = (self._lap(case, label, count) for label, count in self._laps.items())
            parts.append((_ALWAYS, " ".join(laps)))
        if self._projected:
            parts.append((_PROJECTED, self._projected))
        parts.append((_ELAPSED, duration(time.monotonic() - self._case_started)))
        outlook = self._forecast.outlook(so_far, *self._round(case, so_far))
        spent = self._spent(so_far, outlook)
        if spent:
            parts.append((_SPENT, spent))
        if outlook is not None and outlook.seconds:
            parts.append((_LEFT, f"{'at least' if outlook.is_least else 'about'} {duration(outlook.seconds)} left"))
        return parts

    def _lap(self, case: Measured, label: str, count: int) -> str:
        """`epoch 3 of 90` where it is known how many there will be."""
        plan = case.planned if label == EPOCH else None
        if plan is None or plan.epochs is None or plan.epochs < count:
            return f"{label} {count}"
        return f"{label} {count} of {'at most ' if plan.patience else ''}{plan.epochs}"

    def _round(self, case: Measured, so_far: Window | None) -> tuple[float | None, float | None]:
        """Seconds and joules of the whole running round: as projected, else as its epochs so far make it."""
        if self._estimate is not None:
            return self._estimate.basis.get("seconds"), self._estimate.joules
        plan, seen = case.planned, self._laps[EPOCH]
        if so_far is None or not seen or plan is None or plan.patience or not plan.epochs or plan.epochs < seen:
            return None, None
        share = plan.epochs / seen
        return so_far.seconds * share, self._forecast.joules(so_far) * share or None

    def _spent(self, so_far: Window | None, outlook: Outlook | None) -> str:
        """The session's energy so far, and what it is held against: its budget, else what it will come to."""
        running_j = self._forecast.joules(so_far)
        budget = self._forecast.budget
        if budget is not None:
            finished_j, allowed_j = budget
            counted_j = finished_j if self._what == "warm-up" or so_far is None else finished_j + running_j
            scale = watt_hour_scale([allowed_j])
            it = "" if self._pue == 1 else " of IT energy"
            return f"{scale.text(counted_j)} of {scale.text(allowed_j)} {scale.unit}{it} allowed"
        spent_j = (self._forecast.spent_j + running_j) * self._pue
        if not spent_j:
            return ""
        if outlook is None or outlook.is_least or outlook.total_j is None:
            return f"{watt_hours(spent_j)} so far"
        scale = watt_hour_scale([outlook.total_j * self._pue])
        return f"{scale.text(spent_j)} of about {scale.text(outlook.total_j * self._pue)} {scale.unit}"

    def _draw(self, parts: list[tuple[int, str]]) -> None:
        assert self._out is not None
        try:
            width = os.get_terminal_size(self._out.fileno()).columns
        except OSError:
            width = 80
        column = self._config.get_terminal_writer().width_of_current_line
        free = width - column - 2
        if free < NARROW:
            self._write(f"\n{_fitted(parts, width - 1)}\x1b[K\r\x1b[A\x1b[{column + 1}G")
        else:
            self._write(f"\x1b[{column + 1}G {_fitted(parts, free)}\x1b[K\x1b[{column + 1}G")
        self._drawn = True

    def clear(self) -> None:
        """Wipe the live line, so that pytest can go on where it stood."""
        if self._out is None or not self._drawn:
            return
        column = self._config.get_terminal_writer().width_of_current_line
        # J wipes from the cursor to the end of the screen: the rest of this line and a line drawn below it.
        self._write(f"\x1b[{column + 1}G\x1b[J")
        self._drawn = False

    def _write(self, text: str) -> None:
        assert self._out is not None
        try:
            self._out.write(text)
            self._out.flush()
        except OSError:
            self._out = None

    def close(self) -> None:
        """Wipe the line and release the duplicate."""
        self.clear()
        if self._out is not None:
            self._out.close()
            self._out = None


def _joined(parts: list[tuple[int, str]]) -> str:
    return ", ".join(text for _, text in parts)


def _fitted(parts: list[tuple[int, str]], width: int) -> str:
    """The line in at most `width` characters: whole parts are left out, and only a name is ever cut."""
    left = list(parts)
    while len(_joined(left)) > width and any(drop for drop, _ in left):
        left.remove(max(left, key=lambda part: part[0]))
    return _joined(left)[:width]


def _short(id: str) -> str:
    tail = id.rpartition("::")[2]
    return tail.partition("[")[2].removesuffix("]") or tail
