"""`metered()`: the fixture's laps and records without pytest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from energybench.errors import MeterError, UsageError
from energybench.integrations import laps, metered
from energybench.metering import MeterOptions, open_meters


@pytest.fixture
def replayed(tmp_path: Path) -> MeterOptions:
    """One recorded window of 100 J in 2 s with two epochs."""
    lap = {"label": "epoch", "seconds": 0.5, "joules": {"package:0": 30.0}}
    window = {"label": "*", "seconds": 2.0, "joules": {"package:0": 100.0}, "laps": [lap, lap]}
    path = tmp_path / "replay.json"
    path.write_text(json.dumps({"schema": 1, "domains": [{"name": "package:0"}], "windows": [window]}))
    return MeterOptions(names=(f"replay:{path}",))


def test_a_block_gives_what_the_fixture_gives(replayed: MeterOptions) -> None:
    with metered("train", options=replayed, pue=2.0) as energy:
        for _ in laps(range(2), energy):
            energy.note(loss=0.5)
        energy.record(accuracy=0.9)
    result = energy.result
    assert (result.joules, result.seconds, result.accuracy, result.metric("epochs")) == (100.0, 2.0, 0.9, 2)
    assert result.kwh == pytest.approx(2 * 100 / 3.6e6)
    assert [lap.joules["package:0"] for lap in energy.window.laps_named("epoch")] == [30.0, 30.0]
    assert result.case.id == "train"


def test_real_meters_are_opened_and_closed() -> None:
    with metered(options=MeterOptions(names=("estimate",))) as energy:
        for _ in laps(range(3), energy):
            sum(range(1000))
    assert {domain.name: str(domain.provenance) for domain in energy.domains} == {
        "cpu": "estimated",
        "ram": "estimated",
    }
    assert len(energy.window.laps_named("epoch")) == 3
    assert energy.result.joules is not None
    assert energy.result.case.comparability["scope"] == "machine"
    with pytest.raises(MeterError, match="is closed"), energy.lap("epoch"):
        pass


def test_open_meters_serve_several_blocks_and_stay_open(replayed: MeterOptions) -> None:
    meters = open_meters(replayed)
    for _ in range(2):
        with metered(meters=meters) as energy:
            pass
        assert energy.result.joules == 100.0
    meters.open_window("still open").close()
    meters.close()


def test_a_block_that_raised_has_no_result(replayed: MeterOptions) -> None:
    with pytest.raises(ZeroDivisionError), metered(options=replayed) as energy:
        raise ZeroDivisionError
    with pytest.raises(UsageError, match="or it raised"):
        _ = energy.result


def test_bad_input_is_refused_where_it_is_given(replayed: MeterOptions) -> None:
    with metered(options=replayed) as energy:
        with pytest.raises(UsageError, match=r"takes a number, not str"):
            energy.record(accuracy="high")
        with pytest.raises(UsageError, match="is not over"):
            _ = energy.window
    with pytest.raises(UsageError, match="belongs inside"):
        energy.record(accuracy=1)
    meters = open_meters(replayed)
    with pytest.raises(UsageError, match="not both"), metered(meters=meters, options=replayed):
        pass
    meters.close()


def test_a_number_that_is_not_finite_is_absent_and_said(replayed: MeterOptions) -> None:
    with metered(options=replayed) as energy:
        energy.record(loss=float("nan"))
    assert energy.result.case.rounds[0].metrics == {"loss": None}
    assert "loss was recorded as nan: stored as absent" in energy.result.case.warnings


def test_no_framework_is_imported_with_the_package() -> None:
    import subprocess
    import sys

    code = "import sys, energybench.integrations; print(*sys.modules)"
    loaded: Any = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"torch", "lightning", "transformers", "mlflow", "pytest", "numpy"}.isdisjoint(loaded)
