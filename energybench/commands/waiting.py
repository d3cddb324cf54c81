"""A bar for commands that take long: on a terminal and with tqdm installed, else nothing at all."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TextIO, TypeVar

T = TypeVar("T")


def tracked(items: Iterable[T], what: str, err: TextIO, total: int | None = None) -> Iterator[T]:
    """`items`, with a bar on `err` that moves as they are taken and is wiped at the end.

    `total` is how many there are where `items` cannot say. Nothing is drawn where `err` is no terminal.
    """
    count = total if total is not None or not isinstance(items, Sized) else len(items)
    if not err.isatty() or os.environ.get("TERM") == "dumb":
        yield from items
        return
    try:
        tqdm: Any = importlib.import_module("tqdm").tqdm
    except ImportError:
        yield from items
        return
    # Drawn first after half a second: what is done by then needs no bar.
    yield from tqdm(items, desc=what, total=count, file=err, leave=False, delay=0.5, dynamic_ncols=True)
