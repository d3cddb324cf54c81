"""A recorder that remembers what a loop or callback did with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class Remembered:
    """In place of the fixture: `events` in order, `metrics` as recorded."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.metrics: dict[str, Any] = {}
        self.losses: list[float] = []

    @contextmanager
    def lap(self, label: str) -> Iterator[None]:
        self.events.append(f"+{label}")
        try:
            yield
        except BaseException as error:
            self.events.append(f"!{label} {type(error).__name__}")
            raise
        self.events.append(f"-{label}")

    def record(self, **metrics: Any) -> None:
        self.metrics.update(metrics)

    def note(self, *, loss: Any = None, **settings: Any) -> None:
        self.losses.append(float(loss))


@pytest.fixture
def energy() -> Remembered:
    return Remembered()


@pytest.fixture(scope="session")
def remembered() -> type[Remembered]:
    """The class, for tests that need several."""
    return Remembered
