"""Reading and drawing make millions of objects that all stay: looking for cycles among them takes much of the time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collector() -> Iterator[None]:
    """The garbage collector is off inside, and afterwards as it was before.

    What was made inside is left out of later collections: the command is about to end, and the first collection after
    it would walk over all of it once.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()
            gc.enable()


def leave(made: object) -> None:
    """Leave what was made to the end of the process, which takes the memory back at once.

    Millions of objects are freed one by one otherwise, for a twentieth of the time of a comparison of thousands of
    cases. To be called inside `without_collector`, where a command is the last thing that its process does: a cycle
    that the collector is told to leave alone is freed by nobody.
    """
    cycle = [made]
    cycle.append(cycle)
