"""Options of metering as a user gives them: iterations, budgets, idle power, scope, trace, ranks."""

from __future__ import annotations

import csv
import time
from typing import Any

import pytest

CASE = """
    import time

    def test_it(energy):
        def call():
            with energy.lap("epoch"):
                time.sleep(0.3)
        assert energy(call).joules > 0
    """
IT = "test_bench.py::test_it"


@pytest.fixture
def package(project: Any, powercap: Any, live: Any) -> list[str]:
    """Arguments that meter a live fake package of 100 W."""
    live({powercap.zone("intel-rapl:0", "package-0"): (100.0, 262_143_328_850)})
    return [f"--energy-powercap-root={powercap.root}"]


def test_a_plain_call_is_never_repeated_and_a_short_one_is_marked(project: Any, package: list[str]) -> None:
    project.cases("""
        def test_it(energy):
            calls = []
            run = energy(calls.append, 1)
            assert calls == [1]
            assert run.rounds[0].iterations == 1
        """)
    result = project.run(*package, meters="rapl")
    result.assert_outcomes(passed=1)
    project.says(result, "Marked too-short: test_it.")
    (round,) = project.last().records[IT]["rounds"]
    assert round["marks"] == ["too-short"]
    assert "iterations" not in round


def test_iterations_auto_repeats_the_call_until_the_window_is_sound(project: Any, package: list[str]) -> None:
    project.cases("""
        import time
        calls = []

        def test_it(energy):
            def call():
                calls.append(1)
                with energy.lap("epoch"):
                    time.sleep(0.002)
            run = energy(call)
            assert run.rounds[0].iterations == len(calls) > 1
            assert len(run.rounds[0].window.laps) == 1
        """)
    result = project.run(*package, "--energy-iterations=auto", meters="rapl")
    result.assert_outcomes(passed=1)
    record = project.last().records[IT]
    (round,) = record["rounds"]
    assert "marks" not in round
    tick_s = record["domains"][0]["tick_s"]
    assert round["seconds"] * round["iterations"] >= 20 * tick_s
    # of one call: watts x seconds, with two ticks of slack shared by all calls
    slack_j = 100.0 * 0.06 / round["iterations"]
    assert round["joules"]["package:0"] == pytest.approx(100.0 * round["seconds"], abs=slack_j)


def test_a_number_of_iterations_stands_in_marker_pedantic_and_command_line(project: Any) -> None:
    project.cases("""
        import pytest

        @pytest.mark.energybench(iterations=4)
        def test_marker(energy):
            calls = []
            run = energy(calls.append, 1)
            assert (len(calls), run.joules, run.seconds) == (4, 25.0, 0.5)

        def test_pedantic(energy):
            calls = []
            run = energy.pedantic(calls.append, (1,), iterations=5)
            assert (len(calls), run.joules, run.rounds[0].iterations) == (5, 20.0, 5)
        """)
    project.replay({"*": [(100.0, 2.0)]})
    project.run().assert_outcomes(passed=2)
    result = project.run("--energy-iterations=2", "-k", "marker")
    result.assert_outcomes(failed=1)  # the command line beats the marker: two calls


def test_wrong_iterations_and_budgets_are_refused_before_anything_runs(project: Any) -> None:
    for marker, words in (
        ("iterations=0", "at least 1 or"),
        ("iterations='many'", "at least 1 or"),
        ("max_kwh=0", "kWh above 0"),
        ("max_kwh='1'", "kWh above 0"),
    ):
        project.cases(f"""
            import pytest

            @pytest.mark.energybench({marker})
            def test_it(energy):
                energy(lambda: None)
            """)
        result = project.run()
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        project.says(result, f"*{words}*")


def test_a_budget_fails_the_case_that_exceeds_it_and_keeps_its_rounds(project: Any) -> None:
    project.cases("""
        import pytest

        @pytest.mark.energybench(max_kwh=1.0)
        def test_it(energy):
            energy(lambda: None)
        """)
    project.replay({"*": [(3.5e6, 1.0)]})
    project.run().assert_outcomes(passed=1)
    project.replay({"*": [(4.5e6, 1.0)]})
    result = project.run()
    result.assert_outcomes(failed=1)
    project.says(result, "*the budget of 1.00 kWh was exceeded by 25 %*")
    assert project.last().status == "failed"
    assert project.last().joules(IT) == [4.5e6]


def test_an_estimate_meets_no_budget(project: Any) -> None:
    project.cases("""
        import pytest

        @pytest.mark.energybench(max_kwh=1000.0)
        def test_it(energy):
            energy(lambda: None)
        """)
    result = project.run(meters="estimate")
    result.assert_outcomes(failed=1)
    project.says(result, "*cannot be met by an estimate*")


def test_the_idle_machine_is_watched_once_and_gross_and_net_are_stored(project: Any, package: list[str]) -> None:
    project.cases(CASE)
    result = project.run(*package, "--energy-idle-s=0.5", "--energy-rounds=2", meters="rapl")
    result.assert_outcomes(passed=1)
    project.says(result, "*the idle machine is watched for 0.5 s first*")
    stored = project.last()
    record = stored.records[IT]
    idle_w = record["idle_w"]["package:0"]
    assert idle_w == pytest.approx(100.0, rel=0.15)
    assert stored.document["energybench"]["idle_w"] == record["idle_w"]
    for round in record["rounds"]:
        assert round["net_j"] == pytest.approx(round["joules"]["package:0"] - idle_w * round["seconds"])


def test_without_it_nothing_is_net(project: Any, package: list[str]) -> None:
    project.cases(CASE)
    project.run(*package, meters="rapl").assert_outcomes(passed=1)
    record = project.last().records[IT]
    assert "idle_w" not in record
    assert "net_j" not in record["rounds"][0]


def test_the_trace_lies_beside_the_run_and_its_power_is_that_of_the_counter(project: Any, package: list[str]) -> None:
    from energybench.store import read_run, read_trace, trace_path

    project.cases(CASE.replace("0.3", "1.2"))
    result = project.run(*package, "--energy-trace=10", meters="rapl")
    result.assert_outcomes(passed=1)
    stored = project.last()
    (round,) = read_run(stored.path).cases[0].rounds
    assert round.trace is not None
    path = trace_path(read_run(stored.path), round.trace)
    assert path.parent == stored.path.parent
    with path.open() as file:
        assert next(csv.reader(file)) == ["time", "seconds", "package:0"]
    trace = read_trace(path)
    powers = [watts for _, watts in trace.power(["package:0"], round.trace)]
    assert len(powers) >= 5
    whole_j = [j for j in trace.joules["package:0"] if j is not None]
    assert (whole_j[-1] - whole_j[0]) / (trace.seconds[-1] - trace.seconds[0]) == pytest.approx(100.0, rel=0.1)
    assert round.trace.end_s - round.trace.start_s == pytest.approx(round.window.seconds, rel=1e-6)


def test_no_trace_is_written_without_the_option_or_a_store(project: Any, package: list[str]) -> None:
    project.cases(CASE)
    project.run(*package, meters="rapl").assert_outcomes(passed=1)
    project.run(*package, "--energy-trace=10", "--energy-no-save", meters="rapl").assert_outcomes(passed=1)
    assert not list(project.path.rglob("*.trace.csv"))


@pytest.mark.parametrize(("arguments", "traces"), [((), 1), (("--energy-trace=0",), 0)])
def test_the_profiles_for_a_gpu_are_traced_once_a_second_unless_told_otherwise(
    project: Any, package: list[str], arguments: tuple[str, ...], traces: int
) -> None:
    project.cases(CASE.replace("0.3", "1.3"))
    result = project.run(*package, "--energy-profile=standard", *arguments, meters="rapl")
    result.assert_outcomes(passed=1)
    assert len(list(project.path.rglob("*.trace.csv"))) == traces
    assert bool(project.last().document["energybench"]["trace"]) == bool(traces)


def test_in_the_process_scope_a_sleeping_case_costs_a_part_of_the_package(project: Any, package: list[str]) -> None:
    project.cases(CASE.replace("assert energy(call).joules > 0", "energy(call)"))
    started = time.monotonic()
    result = project.run(*package, "--energy-scope=process", meters="rapl")
    result.assert_outcomes(passed=1)
    project.says(result, "*scope process*")
    record = project.last().records[IT]
    assert record["comparability"]["scope"] == "process"
    assert "share of the CPU time" in record["domains"][0]["note"]
    joules = record["rounds"][0]["joules"]["package:0"]
    assert joules is None or 0 <= joules <= 100.0 * (time.monotonic() - started)


def test_an_unknown_scope_is_refused(project: Any) -> None:
    project.cases(CASE)
    result = project.run("--energy-scope=planet")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, "*unknown scope 'planet': choose machine or process*")


def test_a_rank_that_is_not_the_lowest_leaves_the_package_to_it_and_keeps_its_own_journal_and_run(
    project: Any, package: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    project.cases(CASE.replace("assert energy(call).joules > 0", "energy(call)"))
    result = project.run(*package, meters="auto")
    result.assert_outcomes(passed=1)
    project.says(result, "*off: package:0: local rank 0 of this host reads it*")
    stored = project.last()
    assert stored.path.stem.endswith("_rank1")
    assert stored.document["energybench"]["rank"]["rank"] == 1
    names = [domain["name"] for domain in stored.records[IT]["domains"]]
    assert "package:0" not in names
    assert "cpu" not in names  # the lowest rank's counter has it: an estimate here would count it twice
    assert (project.path / ".benchmarks" / ".journal" / "rank1").is_dir()


def test_a_launcher_that_says_nonsense_is_a_usage_error(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "first"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    project.cases(CASE)
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, "*RANK*'first'*")
