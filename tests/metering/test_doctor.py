"""What the doctor says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from energybench.metering import MeterOptions
from energybench.metering.doctor import diagnose, doctor_report


def test_every_missing_counter_has_a_line_and_a_remedy(tmp_path: Path) -> None:
    text = doctor_report(MeterOptions(names=("rapl", "estimate"), powercap_root=tmp_path), seconds=0.05)
    assert "absent" in text
    assert "- package, dram (rapl): --energy-powercap-root" in text
    assert "Only estimates are left here" in text


def test_a_live_counter_is_shown_in_watts(powercap: Any, live: Any) -> None:
    package = powercap.zone("intel-rapl:0", "package-0")
    powercap.zone("intel-rapl:1", "psys")
    live({package: (150.0, 262_143_328_850)})
    options = MeterOptions(names=("rapl",), powercap_root=powercap.root)
    seen = diagnose(options, seconds=0.4)
    assert seen.measures
    joules = seen.live.joules["package:0"]
    assert joules is not None
    assert 0.5 * 150 < joules / seen.live.seconds < 1.5 * 150
    text = doctor_report(options, seconds=0.05)
    assert "package:0" in text
    assert "Energy is measured here." in text
    assert "Cross-check" not in text  # pyRAPL reads the real tree only


def test_nothing_at_all_is_said(tmp_path: Path) -> None:
    text = doctor_report(MeterOptions(names=("rapl",), powercap_root=tmp_path), seconds=0.01)
    assert "Nothing can be metered here" in text
