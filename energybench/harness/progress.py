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
from typing import TextIO

import pytest

from energybench.harness.case import Measured
from energybench.model import Window
from energybench.units import duration, watt_hours

PLAIN_EVERY_S = 30.0
NARROW = 45


class Progress:
    """Draws progress of the running case; silent under -q and where standard output cannot be duplicated."""

    count: Callable[[], tuple[int, int]] | None = None
    """where rounds are interleaved: how many were measured, and how many there will have been"""

    def __init__(self, config: pytest.Config, cases: int) -> None:
        self._config = config
        self._cases = cases
        self._started = time.monotonic()
        self._case_started = self._started
        self._case: Measured | None = None
        self._laps: Counter[str] = Counter()
        self._what = ""
        self._projected = ""
        self._rounds = (0, 0)
        self._counted_at = self._started
        self._spent_j = 0.0
        self._plain_at = self._started
        self._drawn = False
        self._out: TextIO | None = None
        if config.get_verbosity() < 0:
            return
        try:
            self._out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", errors="replace")
        except (OSError, ValueError):  # an in-process run of pytest has no real standard output
            return
        capture = config.getoption("capture", "fd")
        self._live = self._out.isatty() and os.environ.get("TERM") != "dumb" and capture == "fd"

    def __call__(self, case: Measured, what: str, so_far: Window | None) -> None:
        """`what` begins (so_far is None) or a lap of that name has ended in the round whose window is `so_far`."""
        if self._out is None:
            return
        if case is not self._case:
            self._case, self._case_started = case, time.monotonic()
        if so_far is None:
            self._laps.clear()
            self._projected = ""
            self._what, self._counted_at = what, time.monotonic()
            self._rounds = self.count() if self.count is not None else (0, 0)
        else:
            self._laps[what] += 1
        text = self._text(case, so_far)
        if self._live:
            self._draw(text)
        elif time.monotonic() - self._plain_at >= PLAIN_EVERY_S:
            self._plain_at = time.monotonic()
            self._write(f"\nenergybench: {text}\n")

    def project(self, case: Measured, so_far: Window, projected: str) -> None:
        """What the round that is running will have come to, in words; shown from now on."""
        self._projected = projected
        if self._out is not None and self._live and case is self._case:
            self._draw(self._text(case, so_far))

    def round_done(self, joules: float | None) -> None:
        """Count a finished round's energy and wipe the live line."""
        self._spent_j += joules or 0.0
        self.clear()

    def _text(self, case: Measured, so_far: Window | None) -> str:
        now = time.monotonic()
        if self.count is None:
            done, total, counted_at = case.position - 1, self._cases, self._case_started
            parts = [f"[{case.position}/{total}] {_short(case.id)}"]
        else:
            (done, total), counted_at = self._rounds, self._counted_at
            parts = [f"[{done + 1}/{total} rounds] {_short(case.id)}"]
        if so_far is None or self.count is not None:  # interleaved, the line above is another case's
            parts.append(self._what)
        if so_far is not None:
            parts.append(" ".join(f"{label} {count}" for label, count in self._laps.items()))
        if self._projected:
            parts.append(self._projected)
        parts.append(duration(now - self._case_started))
        running = sum(value for value in so_far.joules.values() if value is not None) if so_far else 0.0
        if self._spent_j + running > 0:
            parts.append(f"{watt_hours(self._spent_j + running)} so far")
        if done:
            parts.append(f"about {duration((counted_at - self._started) / done * (total - done))} left")
        return ", ".join(parts)

    def _draw(self, text: str) -> None:
        assert self._out is not None
        try:
            width = os.get_terminal_size(self._out.fileno()).columns
        except OSError:
            width = 80
        column = self._config.get_terminal_writer().width_of_current_line
        free = width - column - 2
        if free < NARROW:
            text = text[: width - 1]
            self._write(f"\n{text}\x1b[K\r\x1b[A\x1b[{column + 1}G")
        else:
            self._write(f"\x1b[{column + 1}G {text[:free]}\x1b[K\x1b[{column + 1}G")
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


def _short(id: str) -> str:
    tail = id.rpartition("::")[2]
    return tail.partition("[")[2].removesuffix("]") or tail
