"""A command that is told to stop cleans up behind itself, whoever tells it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

STOPPED = 128 + signal.SIGINT
"""exit code, as a shell reports Ctrl-C"""


@contextmanager
def stops_like_ctrl_c() -> Iterator[None]:
    """SIGTERM, as CI sends it, and a closed terminal end the block as Ctrl-C does: everything is cleaned up."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    earlier: dict[signal.Signals, Any] = {}
    with suppress(ValueError):  # not the main thread: no signals there
        for number in (signal.SIGTERM, signal.SIGHUP):
            earlier[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
