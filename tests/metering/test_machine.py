"""Facts of the machine, from a folder that stands for /sys/devices/system/cpu."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from energybench.metering.machine import examine_machine, governors, turbo


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_each_governor_is_named_once_and_a_cpu_that_is_off_has_none(tmp_path: Path) -> None:
    for cpu, governor in enumerate(("schedutil\n", "performance\n", "schedutil\n")):
        write(tmp_path / f"cpu{cpu}" / "cpufreq" / "scaling_governor", governor)
    (tmp_path / "cpu3").mkdir()
    write(tmp_path / "cpu4" / "cpufreq" / "scaling_governor", "")
    write(tmp_path / "cpufreq" / "scaling_governor", "no CPU's\n")
    assert governors(tmp_path) == ("performance", "schedutil")


@pytest.mark.parametrize(
    ("file", "content", "on"),
    [
        ("intel_pstate/no_turbo", "0\n", True),
        ("intel_pstate/no_turbo", "1\n", False),
        ("cpufreq/boost", "1\n", True),
        ("cpufreq/boost", "0\n", False),
        ("cpufreq/boost", "", None),
        ("cpufreq/boost", "yes\n", None),
        ("elsewhere", "1\n", None),
    ],
)
def test_turbo_is_read_from_either_driver_and_else_unknown(
    tmp_path: Path, file: str, content: str, on: bool | None
) -> None:
    write(tmp_path / file, content)
    assert turbo(tmp_path) is on


def test_a_driver_without_an_answer_leaves_the_question_to_the_other(tmp_path: Path) -> None:
    write(tmp_path / "intel_pstate" / "no_turbo", "")
    write(tmp_path / "cpufreq" / "boost", "0\n")
    assert turbo(tmp_path) is False


def test_this_machine_has_a_name_cpus_and_a_load(tmp_path: Path) -> None:
    write(tmp_path / "cpu0" / "cpufreq" / "scaling_governor", "powersave\n")
    before = os.getloadavg()[0]
    seen = examine_machine(tmp_path)
    after = os.getloadavg()[0]
    assert seen.cpu
    assert seen.logical_cpus == os.cpu_count()
    assert (seen.governors, seen.turbo) == (("powersave",), None)
    assert seen.load_per_cpu is not None
    assert min(before, after) <= seen.load_per_cpu * seen.logical_cpus + 1e-9
    assert seen.load_per_cpu * seen.logical_cpus <= max(before, after) + 1e-9
