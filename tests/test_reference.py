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


def test_every_command_is_in_the_readme() -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    words = [line.removeprefix("## `").rstrip("`") for line in PAGES["commands.md"]().splitlines() if line[:3] == "## "]
    assert len(words) > 15
    assert [word for word in words if word not in readme] == []
