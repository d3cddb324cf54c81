"""The bar of commands that take long."""

from __future__ import annotations

import io
import sys

import pytest

from energybench.commands.waiting import tracked


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_where_nobody_looks_the_items_pass_and_nothing_is_drawn() -> None:
    err = io.StringIO()
    assert list(tracked((item for item in "abc"), "reading runs", err, 3)) == ["a", "b", "c"]
    assert err.getvalue() == ""


def test_on_a_terminal_a_bar_moves_and_is_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    tqdm = pytest.importorskip("tqdm")
    monkeypatch.setenv("TERM", "xterm")
    drawn = tqdm.tqdm

    def at_once(*args: object, **options: object) -> object:
        return drawn(*args, **{**options, "delay": 0, "mininterval": 0})

    monkeypatch.setattr(tqdm, "tqdm", at_once)
    err = Terminal()
    assert list(tracked("abc", "reading runs", err)) == ["a", "b", "c"]
    assert "reading runs" in err.getvalue()
    assert "2/3" in err.getvalue()
    assert err.getvalue().endswith("\r")


@pytest.mark.parametrize("trouble", ["dumb", "absent"])
def test_a_dumb_terminal_and_a_missing_tqdm_say_nothing(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb" if trouble == "dumb" else "xterm")
    if trouble == "absent":
        monkeypatch.setitem(sys.modules, "tqdm", None)
    err = Terminal()
    assert list(tracked([1, 2], "reading runs", err)) == [1, 2]
    assert err.getvalue() == ""
