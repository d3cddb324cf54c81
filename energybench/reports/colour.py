"""Colour in tables that are laid out already: words that stand alone in a cell, so that no width changes.

The caller says how a word is marked, and whether it is at all: pytest's terminal writer, or the commands' own rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from energybench.model import Provenance, Status, Verdict

STYLES = {
    Verdict.REGRESSED.value: "red",
    Verdict.IMPROVED.value: "green",
    Verdict.INCONCLUSIVE.value: "yellow",
    Verdict.NOT_COMPARABLE.value: "yellow",
    Verdict.MISSING.value: "red",
    Status.FAILED.value: "red",
    Status.FAILED_ACCURACY.value: "red",
    Status.PARTIAL.value: "yellow",
    Provenance.ESTIMATED.value: "faint",
}
"""word -> its style"""
_CELL = re.compile(rf"(?<=  )({'|'.join(map(re.escape, STYLES))})(?=  |$)", re.MULTILINE)
_FOOTER = re.compile(r"(?<=^Energy: )(estimated)(?=\.)", re.MULTILINE)


def coloured(text: str, mark: Callable[[str, str], str]) -> str:
    """`text` with `mark(word, style)` in the place of each word of STYLES that is a whole cell of a table.

    Two blanks stand between cells and nowhere in prose. A case's name is in the first column, which is never marked.
    """
    for pattern in (_CELL, _FOOTER):
        text = pattern.sub(lambda found: mark(found[1], STYLES[found[1]]), text)
    return text
