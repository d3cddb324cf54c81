"""A document that pytest-benchmark made gets what it cannot know, once."""

from __future__ import annotations

from typing import Any

from energybench.harness.saving import amend
from energybench.model import Case, Domain, Provenance, Round, Window

DOMAIN = Domain("package:0", "replay", Provenance.REPLAYED)


class Sweep:
    """As much of a sweep as saving reads."""

    def __init__(self, *ids: str) -> None:
        self._ids = ids

    def session_record(self) -> dict[str, Any]:
        return {"schema": 1, "status": "failed"}

    def results(self) -> tuple[Case, ...]:
        return tuple(Case(id, (Round(Window(2.0, {"package:0": 5.0})),), domains=(DOMAIN,)) for id in self._ids)


def test_cases_that_the_document_lacks_are_added_and_a_second_call_changes_nothing() -> None:
    sweep: Any = Sweep("f.py::test_there", "f.py::test_interrupted")
    output: dict[str, Any] = {"benchmarks": [{"fullname": "f.py::test_there", "stats": {}}]}
    amend(output, sweep)
    assert [entry["fullname"] for entry in output["benchmarks"]] == ["f.py::test_there", "f.py::test_interrupted"]
    added = output["benchmarks"][1]
    assert added["stats"]["mean"] == 2.0
    assert added["extra_info"]["energybench"]["rounds"][0]["joules"] == {"package:0": 5.0}
    assert output["energybench"] == {"schema": 1, "status": "failed"}
    before = repr(output)
    amend(output, sweep)
    assert repr(output) == before
