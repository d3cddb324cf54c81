"""What a loop or a callback needs of whoever meters, and laps for frameworks that only say when something begins."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol


class Recorder(Protocol):
    """The `energy` fixture, and what `metered()` gives."""

    def lap(self, label: str) -> AbstractContextManager[None]:
        """Meter a part of what is metered."""

    def record(self, **metrics: Any) -> None:
        """Store numbers with it."""

    def note(self, *, loss: Any = None) -> None:
        """Tell of an epoch's validation loss, which a projection works with."""


class OpenLaps:
    """Laps that one call begins and another ends. They are ended innermost first."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.ended: dict[str, int] = {}
        """how many laps of each label have ended"""
        self._open: list[tuple[str, AbstractContextManager[None]]] = []

    def begin(self, label: str) -> None:
        """Open a lap; it may lie in another."""
        lap = self.recorder.lap(label)
        lap.__enter__()
        self._open.append((label, lap))

    def end(self, label: str) -> None:
        """End the innermost lap of this label and whatever was left open in it; nothing where there is none.

        May raise what ends a round early, as the end of a lap does under --energy-stop-after.
        """
        if label not in (open_label for open_label, _ in self._open):
            return
        while True:
            last, lap = self._open.pop()
            if last == label:
                self.ended[label] = self.ended.get(label, 0) + 1
            lap.__exit__(None, None, None)
            if last == label:
                return

    def abandon(self, error: BaseException) -> None:
        """End every lap as one that `error` left: it is kept, read without waiting for failed work."""
        while self._open:
            _, lap = self._open.pop()
            with suppress(type(error)):  # the framework raises it itself
                lap.__exit__(type(error), error, error.__traceback__)


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The entries that are one number each: floats, 0-d tensors, numpy scalars."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, str | bytes | bool):
            continue
        try:
            found[name] = float(value)
        except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor of several elements
            continue
    return found
