"""Where it is known from what a round takes: the baseline, else the newest of the store, and never much of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from energybench.harness.earlier import READ_AT_MOST, earlier_costs
from energybench.model import Run
from energybench.store import document, machine_id, write


@pytest.fixture
def cases(running: Callable[..., Any]) -> list[Any]:
    return [running(n, f"benches/test_f.py::test_f[{name}]") for n, name in enumerate(("small-none", "small-prune"), 1)]


def test_the_baseline_is_asked_before_the_store(cases: list[Any], session_of: Any, make_case: Any) -> None:
    baseline = Run("0001_x.json", (make_case("small-none", [100.0, 300.0], seconds=4.0), make_case("other", [1.0])))
    assert earlier_costs(session_of(*cases), baseline) == {cases[0].id: (4.0, 200.0)}


def test_the_newest_runs_of_the_store_are_read_up_to_a_number_of_bytes(
    cases: list[Any], session_of: Any, make_case: Any, tmp_path: Path
) -> None:
    session = session_of(*cases, storage=tmp_path)
    assert earlier_costs(session, None) == {}  # an empty store
    for name, id, seconds in (("old", "small-none", 1.0), ("new", "small-none", 2.0), ("part", "small-prune", 3.0)):
        made = make_case(id, [10.0], seconds=seconds)
        write(document([made], machine={}, commit={}, session={"session": name, "status": "ok"}), tmp_path, name)
    (tmp_path / machine_id() / "0004_torn.json").write_text("{")
    assert earlier_costs(session, None) == {cases[0].id: (2.0, 10.0), cases[1].id: (3.0, 10.0)}
    (tmp_path / machine_id() / "0005_big.json").write_text(" " * (READ_AT_MOST + 1))
    assert earlier_costs(session, None) == {}


def test_a_session_of_one_case_reads_nothing(cases: list[Any], session_of: Any) -> None:
    assert earlier_costs(session_of(cases[0]), None) == {}  # it has no storage that could be asked
