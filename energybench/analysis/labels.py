"""What runs are called where several stand side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from energybench.errors import UsageError
from energybench.model import Run


def labels(runs: Sequence[Run]) -> list[str]:
    """A name for each run: the file's, with as many of its folders as tell it from the others.

    Raises UsageError for a run, or a copy of it, that is given twice.
    """
    files = Counter(run.source for run in runs)
    sessions = Counter(run.session.get("session") or run.source for run in runs)
    twice = next(
        (r.name for r in runs if files[r.source] > 1 or sessions[r.session.get("session") or r.source] > 1), None
    )
    if twice is not None:
        raise UsageError(f"{twice} was given twice, or a copy of it; name each session once.")
    paths = [[*run.source.replace("\\", "/").split("/")[:-1], run.name] for run in runs]
    depth = 1
    while len({tuple(path[-depth:]) for path in paths}) < len(paths) and depth < max(map(len, paths)):
        depth += 1
    return ["/".join(path[-depth:]) for path in paths]
