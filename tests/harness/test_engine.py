"""The status of a session."""

from __future__ import annotations

import pytest

from energybench.harness.engine import Sweep
from energybench.harness.options import EnergyOptions


def test_a_failed_gate_makes_the_session_regressed(pytester: pytest.Pytester) -> None:
    sweep = Sweep(pytester.parseconfig("-p", "energybench.plugin"), EnergyOptions(), frozenset())
    assert sweep.status == "ok"
    sweep.interrupted = True
    assert sweep.status == "partial"
    sweep.gate_failed = True
    assert sweep.status == "regressed"
    record = sweep.session_record()
    assert (record["schema"], record["status"], record["pue"], record["meters"]) == (1, "regressed", 1.0, ["auto"])
