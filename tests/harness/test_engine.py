"""The status of a session."""

from __future__ import annotations

import pytest

from energybench.harness.engine import Sweep
from energybench.harness.options import EnergyOptions


def test_a_failed_gate_makes_the_session_regressed(pytester: pytest.Pytester) -> None:
    sweep = Sweep(pytester.parseconfig("-p", "energybench.plugin"), EnergyOptions(), frozenset())
    assert sweep.status == "ok"
    sweep.gate_inconclusive = True
    assert sweep.status == "inconclusive"
    sweep.interrupted = True
    assert sweep.status == "partial"
    sweep.gate_failed = True
    assert sweep.status == "regressed"
    record = sweep.session_record()
    assert (record["schema"], record["status"], record["pue"], record["meters"]) == (1, "regressed", 1.0, ["auto"])


def test_what_a_session_did_not_do_is_not_in_its_record(pytester: pytest.Pytester) -> None:
    sweep = Sweep(pytester.parseconfig("-p", "energybench.plugin"), EnergyOptions(), frozenset())
    assert {"canary", "gate", "looks"}.isdisjoint(sweep.session_record())
    sweep.gate = {"baseline": "0001_main"}
    assert sweep.session_record()["gate"] == {"baseline": "0001_main"}
