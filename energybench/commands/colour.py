"""Whether a command's output is coloured, and its escape codes; pytest has its own for what the plugin shows."""

from __future__ import annotations

import os
from typing import TextIO

_CODES = {"red": "31", "green": "32", "yellow": "33", "faint": "2"}


def is_coloured(out: TextIO) -> bool:
    """NO_COLOR turns it off, FORCE_COLOR on (https://no-color.org, https://force-color.org); else a terminal has it."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return out.isatty() and os.environ.get("TERM") != "dumb"


def for_terminal(text: str, out: TextIO) -> str:
    """`text` as it is written to `out`: verdicts, statuses and estimates in its tables in colour where that is on."""
    if not is_coloured(out):
        return text
    from energybench.reports.colour import coloured

    return coloured(text, lambda word, style: f"\x1b[{_CODES[style]}m{word}\x1b[0m")
