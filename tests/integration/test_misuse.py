"""Functions that run nothing, calls that cannot be repeated, rounds that diverged: said, and never counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from energybench.analysis.study import study_table
from energybench.store import read_run


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("async def train(): pass", "*returned a coroutine, which has not run: *asyncio.run(train())*"),
        ("def train(): yield 1", "*returned a generator, of which nothing has run: *list(train())*"),
        ("async def train(): yield 1", "*returned a generator, of which nothing has run: *"),
        ("from functools import partial\ndef gen(n): yield n\ntrain = partial(gen, 2)", "*returned a generator*"),
    ],
)
def test_a_function_of_which_nothing_ran_is_no_round(project: Any, function: str, says: str) -> None:
    project.cases("")
    (project.path / "test_bench.py").write_text(f"{function}\n\ndef test_it(energy):\n    energy(train)\n")
    result = project.run("-W", "error")
    result.assert_outcomes(failed=1)
    project.says(result, says)
    assert not project.stored()


def test_a_function_that_returns_a_generator_of_its_own_is_a_round(project: Any) -> None:
    project.cases("""
        def train():
            done = [1, 2]
            return (item for item in done)

        def test_it(energy):
            assert list(energy(train).value) == [1, 2]
        """)
    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "case",
    [
        """
        import pytest

        @pytest.fixture
        def trained(energy):
            return energy(int)

        def test_it(trained):
            pass
        """,
        """
        import unittest
        import pytest

        class TestIt(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def meter(self, energy):
                self.energy = energy

            def test_it(self):
                self.energy(int)
        """,
    ],
    ids=["fixture", "unittest"],
)
def test_rounds_that_no_further_pass_could_complete_are_refused_before_the_first(project: Any, case: str) -> None:
    project.cases(case)
    project.run().assert_outcomes(passed=1)  # one round needs no further pass
    result = project.run("--energy-rounds=3")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    project.says(result, "*in the body of a plain test function only, not in a fixture, a unittest method*")
    assert "RoundDone" not in result.stdout.str()
    assert len(project.stored()) == 1 or not project.last().records


def test_an_async_test_is_refused_several_rounds(project: Any) -> None:
    project.file(
        "conftest.py",
        """
        import asyncio
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(pyfuncitem):
            if asyncio.iscoroutinefunction(pyfuncitem.obj):
                wanted = pyfuncitem._fixtureinfo.argnames
                asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
                return True
        """,
    )
    project.cases("""
        async def test_it(energy):
            energy(int)
        """)
    project.run().assert_outcomes(passed=1)
    result = project.run("--energy-rounds=2")
    result.assert_outcomes(failed=1)
    project.says(result, "*or an async test:*")


def test_a_round_that_diverged_does_not_pass_for_the_others(project: Any) -> None:
    project.cases("""
        import os

        def test_it(energy):
            def train():
                energy.record(accuracy=float(os.environ["LAST"]) if energy.seed == 2 else 0.9)
            energy(train)
        """)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAST", "0.9")
        project.run("--energy-rounds=3", "--benchmark-save=main").assert_outcomes(passed=1)
        patch.setenv("LAST", "nan")
        result = project.run("--energy-rounds=3", "--energy-compare=main")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    project.says(result, "*1 of 3 rounds of the candidate recorded no accuracy, the baseline's all did*")


def test_a_case_that_is_gone_is_missing_under_pyargs_too(project: Any) -> None:
    project.file("pk/__init__.py", "")
    project.file("pk/tests/__init__.py", "")
    both = "def test_one(energy):\n    energy(int)\n\ndef test_two(energy):\n    energy(int)\n"
    project.file("pk/tests/test_f.py", both)
    project.file("pytest.ini", "[pytest]\npythonpath = .\n")
    project.run("--benchmark-save=main", "pk").assert_outcomes(passed=2)
    project.file("pk/tests/test_f.py", both.partition("def test_two")[0])
    result = project.run_apart("--energy-compare=0001", "--pyargs", "pk.tests")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    project.says(result, "FAILED energybench::gate[[]pk/tests/test_f.py::test_two[]]*")


def test_a_search_that_every_round_repeats_is_paid_once(project: Any) -> None:
    project.cases("""
        def test_it(energy):
            energy.workload(model="net", compressor="mine", protocol="early stopping")
            for _ in range(2):
                with energy.apart("search"):
                    pass
            energy(int)
        """)
    project.replay({"search": [(50.0, 1.0)], "*": [(200.0, 2.0)]})
    project.run("--energy-rounds=3").assert_outcomes(passed=1)
    run = read_run(project.last().path)
    assert [window.joules["package:0"] for window in run.cases[0].search] == [50.0, 50.0]
    (row,) = study_table([run]).rows
    assert row.search_j == 100.0


def test_properties_of_the_collected_item_stay(project: Any) -> None:
    project.file(
        "conftest.py",
        """
        def pytest_collection_modifyitems(items):
            for item in items:
                item.user_properties.append(("owner", "team-x"))
        """,
    )
    project.cases()
    project.run("--energy-rounds=3", "--junitxml=out.xml").assert_outcomes(passed=2)
    text = (project.path / "out.xml").read_text()
    assert text.count('name="owner" value="team-x"') == 2


def test_notes_stay_where_a_recording_has_no_laps(project: Any) -> None:
    project.cases("""
        def test_it(energy):
            def train():
                for number in range(2):
                    with energy.lap("epoch"):
                        pass
                    energy.note(loss=1.0 - number, lr=0.1)
            energy(train)
        """)
    project.run().assert_outcomes(passed=1)
    (round,) = project.last().records["test_bench.py::test_it"]["rounds"]
    assert [lap["notes"] for lap in round["laps"]] == [{"loss": 1.0}, {"lr": 0.1, "loss": 0.0}]


def test_a_resumed_case_is_warmed_up_and_takes_no_round_of_another_power_limit(project: Any) -> None:
    project.cases("""
        import os
        import signal
        from pathlib import Path

        import pytest

        @pytest.mark.energybench(rounds=2, warmup=1)
        def test_it(energy):
            def train():
                with Path(__file__).with_name("log").open("a") as file:
                    print(energy.seed, file=file)
                if energy.seed == 1 and "KILL" in os.environ:
                    os.kill(os.getpid(), signal.SIGKILL)
            energy(train)
        """)
    window = {"*": [(100.0, 1.0)]}
    project.replay(window, comparability={"power_limit_w": 300})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KILL", "1")
        project.run_apart()
    log = project.path / "log"
    before = log.read_text().split()
    project.run_apart("--energy-resume").assert_outcomes(passed=1)
    # The round that was finished is not repeated; this process is warmed up all the same.
    assert log.read_text().split()[len(before) :] == [before[0], "1"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KILL", "1")
        project.run_apart()
    project.replay(window, comparability={"power_limit_w": 700})
    before = log.read_text().split()
    result = project.run_apart("--energy-resume")
    result.assert_outcomes(passed=1)
    project.says(result, "*earlier rounds not used (changed since: power_limit_w)*")
    assert len(log.read_text().split()) == len(before) + 3
    assert json.loads(project.last().path.read_text())["energybench"]["status"] == "ok"
