"""Which commit a stored file was measured at, read from its first kilobytes.

pytest-benchmark and energybench write `machine_info` and `commit_info` first, so the rounds behind them need not be
parsed to learn it: of thousands of files only those of one branch are opened in whole.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HEAD = 1 << 14
"""characters: machine_info with all flags of a CPU takes about 5,000"""
_SPACE = re.compile(r"[ \t\r\n]*")
_NO_ID = ("", "unknown", "unversioned")
_NO_BRANCH = ("", "(unknown)", "(detached head)")


@dataclass(frozen=True, slots=True)
class Commit:
    """What was checked out; empty where it is not known."""

    id: str = ""
    branch: str = ""
    dirty: bool = False
    """with changes that were not committed"""


def commit_of(path: Path) -> Commit:
    """The commit of the file at `path`; an empty one where the file does not say, or cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            head = file.read(_HEAD)
            info = _member(head, "commit_info")
            if info is None and len(head) == _HEAD:  # another program has sorted the keys
                info = _member(head + file.read(), "commit_info")
    except OSError:
        return Commit()
    return commit(info)


def commit(info: Any) -> Commit:
    """The commit that a `commit_info` object describes."""
    if not isinstance(info, dict):
        return Commit()
    id, branch = (value if isinstance(value := info.get(key), str) else "" for key in ("id", "branch"))
    return Commit(
        id="" if id in _NO_ID else id,
        branch="" if branch in _NO_BRANCH else branch,
        dirty=info.get("dirty") is True,
    )


def _member(text: str, name: str) -> Any:
    """The member `name` of the object that `text` begins with; None where it is not among what `text` holds whole."""
    decoder = json.JSONDecoder()
    try:
        at = _after(text, 0, "{")
        while True:
            key, at = decoder.raw_decode(text, at)
            value, at = decoder.raw_decode(text, _after(text, at, ":"))
            if key == name:
                return value
            at = _after(text, at, ",")
    except (ValueError, RecursionError):
        return None


def _after(text: str, at: int, sign: str) -> int:
    """Where the next value begins: behind `sign` and the blanks around it."""
    at = _blanks(text, at)
    if text[at : at + 1] != sign:
        raise ValueError(f"no {sign!r}")
    return _blanks(text, at + 1)


def _blanks(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()
