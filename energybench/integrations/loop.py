"""A plain loop whose iterations are laps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from energybench.integrations.recorder import Recorder

T = TypeVar("T")
_END: Any = object()


def laps(iterable: Iterable[T], energy: Recorder, label: str = "epoch") -> Iterator[T]:
    """`iterable`, with each iteration metered as a lap: `for epoch in laps(range(5), energy): ...`.

    A lap holds the body of its iteration and the fetching of the next item, so a DataLoader's work is in it (`label`
    then is "batch", say); the first item is fetched before the first lap. Laps named `epoch` are what a projection
    works with, and their number is recorded as `epochs`. Where epochs are trained in two loops, record their sum after
    them. A `break` ends the lap and the loop; that lap is read without waiting for queued GPU work.
    """
    ended = 0
    try:
        items = iter(iterable)
        item = next(items, _END)
        while item is not _END:
            with energy.lap(label):
                ended += 1
                yield item
                item = next(items, _END)
    finally:
        if label == "epoch":
            energy.record(epochs=ended)
