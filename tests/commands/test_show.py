"""`energybench show`: the table of cases laid out as asked, and its colours."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from energybench.cli import main
from energybench.model import Status
from energybench.store import document, write


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(*argv: object, out: io.StringIO | None = None) -> tuple[int, str, str]:
    out, err = out or io.StringIO(), io.StringIO()
    code = main([str(word) for word in argv], out, err)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def show(tmp_path: Path, make_case: Any) -> tuple[object, ...]:
    """The beginning of a command line that shows a run of three cases."""
    cases = [
        make_case("a-none", [3600.0], params={"model": "a", "compressor": "none", "lr": 0.1}),
        make_case("a-prune", [7200.0], params={"model": "a", "compressor": "prune", "lr": 0.2}, status=Status.FAILED),
        make_case("b-none", [1800.0], params={"model": "b", "compressor": "none", "lr": 0.1}),
    ]
    write(document(cases, machine={}, commit={}, session={"status": "ok"}), tmp_path, "one")
    return "show", "0001", "--storage", tmp_path


def rows(text: str) -> list[list[str]]:
    """The first table without its rules."""
    table = text.partition("Total of")[0].partition("\ncase ")[2]
    return [line.split() for line in table.splitlines()[1:] if line.strip("- ")]


def test_columns_order_and_groups_are_those_that_were_asked_for(show: tuple[object, ...]) -> None:
    code, out, err = run(*show, "--columns", "kwh,param:lr", "--sort", "kwh:desc", "--group-by", "compressor")
    assert (code, err) == (0, "")
    assert rows(out) == [["a-prune", "2.00", "0.2"], ["a-none", "1.00", "0.1"], ["b-none", "0.500", "0.1"]]


def test_without_a_word_it_is_the_table_that_fits(show: tuple[object, ...]) -> None:
    code, out, _ = run(*show)
    assert code == 0
    assert [row[0] for row in rows(out)] == ["a-none", "a-prune", "b-none"]
    assert max(map(len, out.splitlines()[10:15])) <= 80


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--columns", "watts"], "argument --columns: there is no column 'watts'; there are case, study, model, "),
        (["--sort", "-kwh"], "argument --sort: expected one argument"),
        (["--group-by", "kwh"], "argument --group-by: cases are grouped by model, "),
        (["--sort", "param:bits"], "no case has a parameter 'bits': they have model, compressor, lr"),
    ],
)
def test_a_name_that_there_is_not_is_an_error_that_lists_the_known(
    show: tuple[object, ...], arguments: list[str], says: str
) -> None:
    code, out, err = run(*show, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"energybench: {says}")


def test_on_a_terminal_a_failed_case_is_red_and_in_a_pipe_it_is_not(
    show: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    coloured = run(*show, out=Terminal())[1]
    plain = run(*show)[1]
    assert "\x1b[31mfailed\x1b[0m" in coloured
    assert "\x1b" not in plain
    assert coloured.replace("\x1b[31m", "").replace("\x1b[0m", "") == plain
