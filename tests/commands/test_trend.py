"""`energybench trend`, as its users call it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from energybench.cli import main
from energybench.model import Case
from energybench.store import document, machine_id, write


def run(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["trend", *map(str, argv)], out, err)
    return code, out.getvalue(), err.getvalue()


def store(storage: Path, name: str, cases: list[Case], status: str = "ok", **session: Any) -> Path:
    made = document(cases, machine={}, commit={"id": name * 8}, session={"session": name, "status": status, **session})
    return write(made, storage, name)


@pytest.fixture
def storage(tmp_path: Path, make_case: Any) -> Path:
    """Twelve runs: a-none takes 20 % more from the seventh on, b-none stays; the eighth ended regressed."""
    for n in range(12):
        joules = [100.0 + n % 2 if n < 6 else 120.0 + n % 2]
        cases = [make_case("a-none", joules), make_case("b-none", [50.0 + n % 2])]
        store(tmp_path, f"r{n + 1}", cases, status="regressed" if n == 7 else "ok")
    return tmp_path


def test_the_step_is_named_with_its_run_and_what_was_not_looked_at(storage: Path) -> None:
    code, out, err = run("--storage", storage)
    assert code == 0
    assert "11 runs that ended ok, 0001_r1 to 0012_r12" in out
    row = next(line for line in out.splitlines() if "0007_r7" in line)
    assert row.startswith("a-none")
    assert "+19." in row
    assert "r7r7r7r" in row
    assert "1 change of level in 2 cases" in out
    assert err == "energybench: not in the trend: 0008_r8 (regressed).\n"


def test_only_the_cases_that_are_named_are_shown(storage: Path) -> None:
    assert "a-none" not in run("b-none", "--storage", storage)[1]
    assert "in 2 cases" in run("a-*", "b-none", "--storage", storage)[1]
    assert "in 1 case " in run("a-none", "*[a-none]", "--storage", storage)[1]


def test_the_json_format_is_strict_json(storage: Path) -> None:
    code, out, _ = run("a-none", "--metric", "seconds", "--format", "json", "--storage", storage)
    shown = json.loads(out)
    assert (code, shown["metric"], shown["unit"], shown["machine"]) == (0, "seconds", "s", machine_id())
    assert shown["cases"][0]["steps"] == 0


def test_only_the_newest_runs_are_looked_at_where_that_is_asked(storage: Path) -> None:
    _, out, _ = run("a-none", "--last", 4, "--storage", storage)
    assert "4 runs that ended ok, 0009_r9 to 0012_r12" in out


def test_a_further_rank_of_a_distributed_run_is_not_in_the_trend(tmp_path: Path, make_case: Any) -> None:
    store(tmp_path, "a", [make_case("a-none")])
    store(tmp_path, "b", [make_case("a-none")], rank={"rank": 1, "world": 2})
    _, out, err = run("--storage", tmp_path)
    assert "ok, " not in out
    assert "0002_b (not the first rank)" in err


def test_runs_of_another_machine_are_asked_for_by_its_folder(storage: Path) -> None:
    (storage / machine_id()).rename(storage / "Elsewhere-1")
    code, _, err = run("--storage", storage)
    assert code == 2
    assert "Name one of these with --machine: Elsewhere-1." in err
    assert run("--storage", storage, "--machine", "Elsewhere-1")[0] == 0


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["z-none"], "No run holds a case 'z-none'"),
        (["--metric", "power"], "invalid choice: 'power'"),
        (["--last", "0"], "a whole number of at least 1"),
        (["--machine", "nowhere"], "holds no runs of nowhere"),
    ],
)
def test_bad_input_is_one_sentence_on_stderr_and_exit_2(argv: list[str], complaint: str, storage: Path) -> None:
    code, out, err = run(*argv, "--storage", storage)
    assert (code, out) == (2, "")
    assert complaint in err.splitlines()[-1]


def test_a_store_without_any_fit_run_says_why(tmp_path: Path, make_case: Any) -> None:
    code, _, err = run("--storage", tmp_path / "none")
    assert code == 2
    assert "There is no folder" in err
    store(tmp_path, "a", [make_case("a-none")], status="partial")
    code, _, err = run("--storage", tmp_path)
    assert code == 2
    assert "ended ok: 0001_a (partial)." in err
