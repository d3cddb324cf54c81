"""The reference in docs/ is what the parsers and docstrings say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = runpy.run_path(str(DOCS / "reference.py"))["PAGES"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_program_says(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), f"run `python docs/reference.py`: {name} is old"


def test_every_command_and_option_has_its_line_of_help() -> None:
    lines = [line for name in ("commands.md", "options.md") for line in PAGES[name]().splitlines()]
    rows = [line for line in lines if line.startswith("| `")]
    assert len(rows) > 100
    assert [row for row in rows if row.endswith("|  |")] == []
