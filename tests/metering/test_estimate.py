"""The estimate, against CPU seconds that the operating system accounts for independently."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from energybench.metering import MeterOptions, Meters, open_meters
from energybench.metering.estimate import RAM_W_PER_GB
from energybench.metering.tdp import DEFAULT_W_PER_CPU, TDP, watts_per_cpu
from energybench.model import Provenance

CPUS = os.cpu_count() or 1
BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"


def estimate(w_per_cpu: float = 10.0) -> Meters:
    return open_meters(MeterOptions(names=("estimate",), cpu_tdp_w=w_per_cpu * CPUS))


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_busy_loop_costs_its_cpu_seconds_times_the_watts_per_cpu() -> None:
    meters = estimate(10.0)
    before = sum(psutil.Process().cpu_times()[:2])
    window = meters.open_window()
    burn(0.4)
    closed = window.close()
    spent_s = sum(psutil.Process().cpu_times()[:2]) - before
    assert closed.joules["cpu"] == pytest.approx(10.0 * spent_s, abs=10.0 * 0.05)
    assert closed.joules["cpu"] == pytest.approx(4.0, abs=0.5)
    assert {d.provenance for d in meters.domains} == {Provenance.ESTIMATED}
    assert {d.gain_rel for d in meters.domains} == {0.5}
    meters.close()


def test_sleeping_costs_next_to_nothing_on_the_cpu() -> None:
    meters = estimate(10.0)
    window = meters.open_window()
    time.sleep(0.3)
    cpu_j = window.close().joules["cpu"]
    assert cpu_j is not None
    assert cpu_j < 0.5
    meters.close()


def test_a_child_that_runs_and_one_that_ended_both_count() -> None:
    meters = estimate(10.0)
    window = meters.open_window()
    subprocess.run([sys.executable, "-c", BURN.format(seconds=0.4)], check=True)
    ended = window.peek().joules["cpu"]
    assert ended is not None
    assert 3.8 <= ended <= 8.0  # 0.4 s and the interpreter's start
    code = BURN.format(seconds=0.3) + "print('burnt', flush=True)\ninput()\n"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        running = window.peek().joules["cpu"]
        assert running is not None
        assert running - ended >= 2.8
        child.communicate(b"\n")
    after = window.close().joules["cpu"]
    assert after is not None
    assert after >= running - 1e-9
    meters.close()


def test_a_child_that_nobody_waits_for_keeps_what_it_spent() -> None:
    code = f"""
import os, signal, subprocess, sys, time
from energybench.metering import MeterOptions, open_meters
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel then drops what ended children spent
meters = open_meters(MeterOptions(names=("estimate",), cpu_tdp_w=10.0 * {CPUS}))
window = meters.open_window()
child = os.fork()
if child == 0:
    end = time.process_time() + 0.4
    while time.process_time() < end: pass
    time.sleep(0.4)
    os._exit(0)
time.sleep(0.1)
readings = []
for _ in range(200):
    readings.append(window.peek().joules["cpu"])
    time.sleep(0.01)
    if not os.path.exists(f"/proc/{{child}}") and len(readings) > 1:
        break
readings.append(window.close().joules["cpu"])
assert readings == sorted(readings), readings
print(readings[-1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) >= 3.8


def test_memory_costs_its_resident_gigabytes_times_seconds() -> None:
    meters = estimate()
    window = meters.open_window()
    resident_gb = psutil.Process().memory_info().rss / 1e9
    time.sleep(0.2)
    closed = window.close()
    assert closed.joules["ram"] == pytest.approx(resident_gb * RAM_W_PER_GB * closed.seconds, rel=0.3)
    assert closed.error_j["ram"] is None
    meters.close()


@pytest.mark.parametrize(
    ("model", "watts"),
    [
        ("Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz", 135 / 28),
        ("Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz", 270 / 80),
        ("Intel(R) Xeon(R) Gold 6248R CPU @ 3.00GHz", 205 / 48),
        ("12th Gen Intel(R) Core(TM) i9-12900K", 125 / 24),
        ("AMD Ryzen 9 5950X 16-Core Processor", 105 / 32),
        ("AMD EPYC 7763 64-Core Processor", 280 / 128),
        ("AMD EPYC", None),
        ("AMD EPYC 77630 64-Core Processor", None),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", None),
    ],
)
def test_a_cpu_is_known_by_its_whole_model_number_or_not_at_all(model: str, watts: float | None) -> None:
    assert watts_per_cpu(model) == watts


def test_every_row_of_the_table_is_plausible() -> None:
    assert all(1 < watts / threads < 16 and watts >= 15 for watts, threads in TDP.values())


def test_the_origin_of_the_watts_is_said_and_stored() -> None:
    given = open_meters(MeterOptions(names=("estimate",), cpu_tdp_w=100.0))
    assert "100 W given" in given.diagnoses[0].reason
    assert given.comparability()["estimate_w_per_cpu"] == 100.0 / CPUS
    given.close()


def test_an_unknown_cpu_gets_a_stated_default_and_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("energybench.metering.estimate.cpu_model", lambda: "Quux 9000")
    meters = open_meters(MeterOptions(names=("estimate",)))
    cpu = meters.diagnoses[0]
    assert "'Quux 9000' is not known" in cpu.reason
    assert "--energy-cpu-tdp" in cpu.remedy
    assert meters.comparability()["estimate_w_per_cpu"] == DEFAULT_W_PER_CPU
    meters.close()
