"""A metered window around a call that may raise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from energybench.model import Window

if TYPE_CHECKING:
    from energybench.metering import Meters, OpenWindow


class Opened:
    """An open window and, once it is closed, what it read."""

    def __init__(self, window: OpenWindow) -> None:
        self.window = window
        self.result: Window | None = None


@contextmanager
def opened(meters: Meters, label: str) -> Iterator[Opened]:
    """A window of these meters; where the call inside raises, its reading is of no use and is thrown away."""
    within = Opened(meters.open_window(label))
    try:
        yield within
    except BaseException:
        _discard(within.window)
        raise
    within.result = within.window.close()


def _discard(window: OpenWindow) -> None:
    """Close a window whose call raised; an error in closing must not hide the cause."""
    try:
        window.close()
    except Exception as error:
        sys.stderr.write(f"energybench: closing the window of a failed call failed too: {error}\n")
