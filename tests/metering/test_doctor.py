"""What the doctor sees, says and advises."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.errors import UsageError
from energybench.metering import Diagnosis, MeterOptions
from energybench.metering.advice import advise
from energybench.metering.doctor import doctor_report, report_document, report_text
from energybench.metering.examination import Examination, examine
from energybench.metering.machine import Machine
from energybench.model import Domain, Mark, Provenance, Window

FAKES = Path(__file__).parents[1] / "fakes"
CALM = Machine("CPU of tests", 8, ("performance",), turbo=True, load_per_cpu=0.01)
PACKAGE = Domain("package:0", "rapl", Provenance.MEASURED, gain_rel=0.05, tick_s=0.001)
GPU = Domain("gpu:0", "nvml", Provenance.MEASURED, gain_rel=0.05, tick_s=0.1)
CPU = Domain("cpu", "estimate", Provenance.ESTIMATED, gain_rel=0.5)


def seen(
    *domains: Domain, joules: float | None = 40.0, seconds: float = 2.0, machine: Machine = CALM, **fields: Any
) -> Examination:
    """An examination in which each of `domains` took `joules`."""
    names = [domain.name for domain in domains]
    live = Window(seconds, dict.fromkeys(names, joules), dict.fromkeys(names, 0.01))
    diagnoses = tuple(Diagnosis(domain.meter, domain.name, "ok", "is there") for domain in domains)
    return Examination(**{"machine": machine, "diagnoses": diagnoses, "domains": domains, "live": live, **fields})


def topics(examination: Examination) -> list[str]:
    return [advice.topic for advice in advise(examination)]


def rapl(powercap: Any, *more: str) -> MeterOptions:
    return MeterOptions(names=("rapl", *more), powercap_root=powercap.root)


def test_every_missing_counter_has_a_line_and_a_remedy(tmp_path: Path) -> None:
    text = doctor_report(MeterOptions(names=("rapl", "estimate"), powercap_root=tmp_path), seconds=0.05)
    assert " ".join(text.split()).startswith(
        "This machine can measure nothing; it can only estimate: CPU (cpu), memory (ram). It cannot measure: CPU and "
        "memory (package, dram), because "
    )
    assert "absent" in text
    assert "-> --energy-powercap-root" in text
    assert "\nStart with: package, dram (rapl): --energy-powercap-root" in text


def test_a_live_counter_is_shown_with_watts_tick_range_and_time_to_a_wrap(powercap: Any, live: Any) -> None:
    package = powercap.zone("intel-rapl:0", "package-0")
    psys = powercap.zone("intel-rapl:1", "psys")
    live({package: (150.0, 262_143_328_850), psys: (300.0, 262_143_328_850)})
    found = examine(rapl(powercap), seconds=0.6)
    assert (found.verdict, found.exit_code) == ("measured", 0)
    document = report_document(found)
    first, second = document["domains"]
    assert (first["name"], first["provenance"], first["in_total"]) == ("package:0", "measured", True)
    assert (second["name"], second["in_total"]) == ("psys:0", False)
    # The writer may be late by tens of milliseconds at both ends where the machine is busy.
    assert first["watts_now"] == pytest.approx(150, rel=0.5)
    assert first["watts_now"] == pytest.approx(first["joules"] / first["seconds"])
    assert first["range_j"] == 262_143.32885
    assert first["wrap_s"] == pytest.approx(262_143.32885 / first["watts_now"])
    assert first["tick_s"] > 0
    assert first["shortest_window_s"] == pytest.approx(20 * first["tick_s"])
    assert document["cross_check"] is None  # pyRAPL reads the real tree only
    text = report_text(found)
    assert text.startswith("This machine can measure: CPU (package:0), whole platform (psys:0).")
    assert "- outside the total, since it holds others or lies inside one: psys:0 (measured" in text
    assert "Cross-check" not in text


def test_nothing_at_all_is_said(tmp_path: Path) -> None:
    found = examine(MeterOptions(names=("rapl",), powercap_root=tmp_path), seconds=0.01)
    assert (found.verdict, found.exit_code) == ("none", 3)
    text = report_text(found)
    assert text.startswith("This machine can measure nothing, and nothing is estimated: runs would carry seconds only.")
    assert "- of each round: seconds, and no joules" in text
    assert "- comparisons would judge seconds and accuracy only" in text
    assert report_document(found)["domains"] == []


def test_what_is_only_estimated_beside_a_counter_is_said(powercap: Any, live: Any) -> None:
    live({powercap.zone("intel-rapl:0", "package-0"): (50.0, 262_143_328_850)})
    text = doctor_report(rapl(powercap, "estimate"), seconds=0.05)
    assert text.startswith("This machine can measure: CPU (package:0). It can only estimate: memory (ram).")
    words = " ".join(text.split())
    assert "its energy is called estimated, since ram is: verdicts rest on the measured part alone" in words


def test_what_cannot_be_measured_stands_with_its_reason_unless_another_door_reads_it() -> None:
    diagnoses = (
        Diagnosis("nvml", "gpu", "absent", "no NVIDIA driver"),
        Diagnosis("amdsmi", "gpu:0", "ok", "energy counter"),
        Diagnosis("rapl", "package:1", "no-permission", "energy_uj is for root only", "sudo this"),
        Diagnosis("perf", "dram:0", "shadowed", "read through powercap"),
    )
    text = report_text(seen(PACKAGE, replace(GPU, meter="amdsmi"), diagnoses=diagnoses), width=300)
    assert text.splitlines()[0] == (
        "This machine can measure: CPU (package:0), GPU (gpu:0). It cannot measure: CPU (package:1), because energy_uj "
        "is for root only."
    )
    assert text.splitlines()[2] == "Start with: package:1 (rapl): sudo this"
    alone = report_text(seen(PACKAGE, diagnoses=diagnoses[:1]), width=300)
    assert "It cannot measure: GPU (gpu), because no NVIDIA driver." in alone
    assert "Start with" not in alone  # it has no remedy


def test_what_a_first_run_would_hold_and_how_long_its_rounds_should_be() -> None:
    text = report_text(seen(PACKAGE, GPU), width=300)
    said = text.partition("What a first run would record:\n")[2].splitlines()
    assert said[0] == (
        "- of each round: seconds, and the joules of package:0 (measured, within 5%), gpu:0 (measured, within 5%), "
        "beside what it records itself, such as accuracy and epochs"
    )
    assert said[1] == "- its energy is called measured: verdicts and budgets (max_kwh) rest on all of it"
    assert said[2] == "- a round should last 2.0 s at least, 20 ticks of gpu:0; a shorter one is marked"
    assert "energybench show latest" in said[3]
    estimated = report_text(seen(CPU), width=300)
    assert "no budget (max_kwh) can be met" in estimated


def test_a_counter_that_does_not_move_is_doubted(powercap: Any) -> None:
    powercap.zone("intel-rapl:0", "package-0", uj=5_000)
    found = examine(rapl(powercap), seconds=0.6)
    assert report_document(found)["domains"][0]["stands_still"] is True
    still = next(advice for advice in advise(found) if advice.topic == "still")
    assert "package:0 stands still" in still.text


def test_a_glance_is_too_short_to_call_a_counter_still() -> None:
    assert topics(seen(PACKAGE, joules=0.0, seconds=2.0)) == ["still"]
    assert topics(seen(PACKAGE, joules=0.0, seconds=0.1)) == []
    slow = replace(GPU, tick_s=1.0)
    assert "still" not in topics(seen(slow, joules=0.0, seconds=4.0))
    assert "still" not in topics(seen(CPU, joules=0.0))  # an idle process tree draws nothing


def test_a_virtual_machine_that_shows_a_still_counter_is_asked_whether_it_fakes_it() -> None:
    guest = replace(CALM, virtual_machine=True)
    (advice,) = advise(seen(PACKAGE, joules=0.0, machine=guest))
    assert advice.text.endswith("does this hypervisor fake it?")


def test_a_counter_that_breaks_while_it_is_watched_is_absent_and_its_reason_told(powercap: Any) -> None:
    powercap.zone("intel-rapl:0", "package-0")

    def break_once_the_window_opens() -> None:
        given_up = time.monotonic() + 30
        while not any(thread.name == "energybench-heartbeat" for thread in threading.enumerate()):
            if time.monotonic() > given_up:
                return
            time.sleep(0.002)
        powercap.set("intel-rapl:0", "garbage")

    breaking = threading.Thread(target=break_once_the_window_opens)
    breaking.start()
    try:
        found = examine(rapl(powercap), seconds=1.0)
    finally:
        breaking.join()
    assert (found.verdict, found.exit_code) == ("none", 3)
    assert report_document(found)["domains"][0]["joules"] is None
    text = report_text(found)  # at the start where the file broke before the first look
    assert "package:0 could not be read at the " in text
    assert "energy_uj holds 'garbage', which is no number" in " ".join(text.split())


def test_a_root_that_is_no_folder_is_a_diagnosis_and_the_rest_goes_on(tmp_path: Path) -> None:
    options = MeterOptions(names=("rapl", "estimate"), powercap_root=tmp_path / "nowhere")
    document = report_document(examine(options, seconds=0.02))
    assert document["devices"][0]["state"] == "absent"
    assert document["devices"][0]["reason"].endswith("nowhere is not a folder")
    assert [domain["name"] for domain in document["domains"]] == ["cpu", "ram"]


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan, 1e300])
def test_seconds_that_cannot_be_watched_are_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match="the doctor watches for more than 0 s"):
        examine(MeterOptions(names=("estimate",)), seconds)


def test_recorded_values_are_no_patient(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="recorded values"):
        examine(MeterOptions(names=(f"replay:{tmp_path / 'any.json'}",)))


def test_other_work_is_named_with_what_it_does_to_the_joules() -> None:
    busy = replace(CALM, load_per_cpu=0.21)
    assert topics(seen(PACKAGE, machine=busy)) == ["load"]
    assert "--energy-scope process" in advise(seen(PACKAGE, machine=busy))[0].text
    assert "slows the runs down" in advise(seen(CPU, machine=busy))[0].text
    assert topics(seen(PACKAGE, machine=replace(CALM, load_per_cpu=0.2))) == []
    assert topics(seen(PACKAGE, machine=replace(CALM, load_per_cpu=None))) == []


def test_the_governor_is_named_where_one_cpu_has_another_than_performance() -> None:
    mixed = replace(CALM, governors=("performance", "powersave"))
    (advice,) = advise(seen(PACKAGE, machine=mixed))
    assert "performance, powersave: sudo cpupower frequency-set -g performance" in advice.text
    assert topics(seen(PACKAGE, machine=replace(CALM, governors=()))) == []


def test_a_gpu_tells_of_other_processes_and_of_persistence_mode() -> None:
    facts = {"persistence_mode": False, "other_processes": [{"pid": 7, "used_memory_mb": None}], "power_limit_w": 300.0}
    busy = seen(GPU, diagnoses=(Diagnosis("nvml", "gpu:0", "ok", "energy counter", facts=facts),))
    assert topics(busy) == ["gpu-processes", "persistence"]
    assert advise(busy)[0].text.startswith("another process computes on gpu:0")
    assert "persistence mode off, other processes 1, power limit 300 W" in report_text(busy, width=200)
    assert report_document(busy)["devices"][0]["facts"] == facts
    calm = {"persistence_mode": True, "other_processes": []}
    assert topics(seen(GPU, diagnoses=(Diagnosis("nvml", "gpu:0", "ok", "", facts=calm),))) == []


def test_a_meters_own_remedy_for_persistence_mode_is_not_given_twice() -> None:
    off = Diagnosis("nvml", "gpu:0", "ok", "", "sudo nvidia-smi -pm 1", {"persistence_mode": False})
    assert [advice.text for advice in advise(seen(GPU, diagnoses=(off,)))] == ["gpu:0 (nvml): sudo nvidia-smi -pm 1"]


def test_too_few_ticks_are_said_with_the_seconds_that_would_do() -> None:
    (advice,) = advise(seen(PACKAGE, GPU, seconds=0.4))
    assert advice.text == "gpu:0: 0.4 s are few ticks; look again with --seconds 2"
    assert topics(seen(PACKAGE, GPU, seconds=1.0)) == []


def test_another_energybench_is_told_to_end_first() -> None:
    live = Window(2.0, {"package:0": 40.0}, {"package:0": 0.01}, marks=(Mark.SHARED,))
    assert topics(seen(PACKAGE, live=live)) == ["shared"]


def test_advice_goes_from_what_cannot_be_read_to_what_only_makes_runs_differ() -> None:
    machine = replace(CALM, load_per_cpu=0.9, governors=("powersave",))
    diagnoses = (
        Diagnosis("nvml", "gpu", "absent", "no driver", "install it"),
        Diagnosis("rapl", "package:0", "ok", "", facts={"range_j": 1.0}),
        Diagnosis("rapl", "package:1", "no-permission", "", "sudo this"),
        Diagnosis("rapl", "dram:1", "no-permission", "", "sudo this"),
    )
    advice = advise(seen(PACKAGE, joules=0.0, machine=machine, diagnoses=diagnoses))
    assert [item.topic for item in advice] == ["device", "still", "load", "governor", "device"]
    assert advice[0].text == "package:1, dram:1 (rapl): sudo this"
    assert advice[-1].text == "gpu (nvml): install it"
    # Where nothing is measured, what is absent is the first thing to do.
    without = advise(seen(CPU, machine=machine, diagnoses=diagnoses[:1]))
    assert [item.topic for item in without] == ["device", "load", "governor"]


@pytest.mark.parametrize(("other_j", "agree"), [(41.9, True), (38.1, True), (42.5, False), (0.0, False)])
def test_two_readers_of_one_counter_agree_within_five_percent(other_j: float, agree: bool) -> None:
    second = Window(2.0, {"package:0": other_j}, {"package:0": 0.0})
    found = seen(PACKAGE, second=second)
    check = report_document(found)["cross_check"]
    assert (check["reader"], check["agree"]) == ("pyrapl", agree)
    assert check["domains"][0]["apart_rel"] == pytest.approx(abs(40 - other_j) / 40)
    assert ("they agree" if agree else "THEY DISAGREE") in report_text(found)
    assert topics(found) == ([] if agree else ["readers"])


def test_readers_are_compared_by_power_since_one_watches_a_little_longer() -> None:
    assert report_document(seen(PACKAGE, second=Window(1.0, {"package:0": 20.0}, {"package:0": 0.0})))["cross_check"][
        "agree"
    ]


def test_a_counter_that_only_one_reader_has_is_not_called_apart() -> None:
    found = seen(PACKAGE, second=Window(2.0, {"package:0": 40.0, "dram:0": 3.0}, {"package:0": 0.0, "dram:0": 0.0}))
    assert "- dram:0: not read by both" in report_text(found)
    assert topics(found) == []
    check = report_document(found)["cross_check"]
    assert check["domains"][1]["agree"] is None
    assert check["agree"] is True


numbers = st.floats() | st.none()


@given(joules=numbers, range_j=numbers, limit=numbers, tick_s=st.floats(min_value=1e-4, max_value=1.0) | st.none())
def test_the_document_is_strict_json_whatever_was_read(
    joules: float | None, range_j: float | None, limit: float | None, tick_s: float | None
) -> None:
    facts = {"range_j": range_j, "limits": [limit, (limit,)]}
    found = seen(
        replace(PACKAGE, tick_s=tick_s),
        joules=joules,
        diagnoses=(Diagnosis("rapl", "package:0", "ok", "", facts=facts),),
    )
    document = report_document(found)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert report_text(found)


def test_a_counter_for_root_only_is_no_permission_with_one_command_and_exit_3(powercap: Any, refused: Any) -> None:
    secret = powercap.zone("intel-rapl:0", "package-0")
    command = [sys.executable, "-m", "energybench", "doctor", "--json", "--seconds", "0.05"]
    command += ["--energy-meters", "rapl,estimate", "--energy-powercap-root", str(powercap.root)]
    done = refused(secret, command)
    assert done.returncode == 3, done.stderr
    document = json.loads(done.stdout)
    assert (document["verdict"], document["exit"]) == ("estimated", 3)
    package = document["devices"][0]
    assert (package["device"], package["meter"], package["state"]) == ("package:0", "rapl", "no-permission")
    assert f"chmod a+r {secret}" in package["remedy"]
    assert document["advice"][0]["text"] == f"package:0 (rapl): {package['remedy']}"


def test_a_gpu_is_examined_through_the_real_binding(tmp_path: Path) -> None:
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        pytest.skip("no C compiler here to build the fake libnvidia-ml.so.1")
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(FAKES / "fake_nvml.c")], check=True)
    gpus = tmp_path / "gpus"
    gpus.write_text(
        f"GPU-aaaa NVIDIA_H200 0 1 1 0 0 watts=100 start={time.monotonic()} tick_ms=50 persistence=0 "
        "processes=4242:1000000000\n"
    )
    variables = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run(
        [sys.executable, "-m", "energybench", "doctor", "--json", "--seconds", "1", "--energy-meters", "nvml"],
        env={**variables, "LD_LIBRARY_PATH": str(tmp_path), "FAKE_NVML": str(gpus)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    (domain,) = document["domains"]
    assert (domain["name"], domain["provenance"]) == ("gpu:0", "measured")
    # A tick lasts 50 ms: 5 J at either end, beside what a busy machine adds to the second.
    assert domain["watts_now"] == pytest.approx(100, rel=0.2)
    assert domain["tick_s"] == pytest.approx(0.05, rel=0.5)
    (device,) = document["devices"]
    assert device["facts"]["persistence_mode"] is False
    assert device["facts"]["other_processes"] == [{"pid": 4242, "used_memory_mb": 1000}]
    said = [advice["text"] for advice in document["advice"]]
    assert any(text.startswith("another process computes on gpu:0") for text in said)
    assert any("sudo nvidia-smi -pm 1" in text for text in said)
