"""Choosing cases works as for any other test."""

from __future__ import annotations

import pytest


def test_cases_are_chosen_by_word_marker_and_node_id(project) -> None:
    project.cases("""
        import pytest

        @pytest.mark.parametrize("model", ["red", "blue"])
        def test_tune(energy, model):
            energy(list)

        @pytest.mark.slow
        def test_slow(energy):
            energy(list)
        """)
    project.file("pytest.ini", "[pytest]\nmarkers = slow\n")
    for number, (args, expected) in enumerate(
        [
            (["-k", "blue"], ["test_bench.py::test_tune[blue]"]),
            (["-m", "slow"], ["test_bench.py::test_slow"]),
            (["test_bench.py::test_tune[red]"], ["test_bench.py::test_tune[red]"]),
            (["--deselect", "test_bench.py::test_tune"], ["test_bench.py::test_slow"]),
        ],
        1,
    ):
        project.run("--energy-rounds=2", *args).assert_outcomes(passed=1)
        assert list(project.last().records) == expected
        assert len(project.stored()) == number


def test_failed_cases_are_run_again_or_first(project) -> None:
    project.cases("""
        import os
        import pytest
        from pathlib import Path

        @pytest.mark.parametrize("model", ["a", "b", "c"])
        def test_tune(energy, model):
            def call():
                with Path(__file__).with_name("log").open("a") as file:
                    print(model, file=file)
            energy(call)
            assert model != "b"
        """)
    project.run("--energy-rounds=2").assert_outcomes(passed=2, failed=1)
    project.path.joinpath("log").unlink()
    project.run("--energy-rounds=2", "--ff").assert_outcomes(passed=2, failed=1)
    assert project.log() == ["b", "b", "a", "a", "c", "c"]
    project.path.joinpath("log").unlink()
    project.run("--energy-rounds=2", "--lf").assert_outcomes(failed=1)
    assert project.log() == ["b", "b"]


@pytest.mark.parametrize("option", ["--collect-only", "--setup-plan", "--setup-only"])
def test_looking_without_running_measures_and_stores_nothing(project, option: str) -> None:
    project.cases()
    result = project.run("--energy-rounds=3", option)
    assert result.ret == 0
    project.says(result, "*test_tune*a*")
    assert project.stored() == []
    assert not list(project.path.glob(".benchmarks/.journal/*.jsonl"))
    result.stdout.no_fnmatch_line("*[[]1/2[]] a: round*")


def test_a_node_id_that_is_collected_twice_is_refused(project) -> None:
    project.cases()
    result = project.run("--keep-duplicates", "test_bench.py", "test_bench.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, "ERROR: test_bench.py::test_tune[[]a[]] was collected twice*could not be told apart*")


def test_capture_fixtures_and_classes_work_over_rounds(project) -> None:
    project.cases("""
        import os

        class TestGroup:
            def test_capsys(self, energy, capsys):
                energy(lambda: print("once"))
                assert capsys.readouterr().out == "once\\n"

            def test_capfd(self, energy, capfd):
                energy(lambda: os.write(1, b"once"))
                assert capfd.readouterr().out == "once"

            def test_caplog(self, energy, caplog):
                import logging
                energy(lambda: logging.warning("once"))
                assert [record.message for record in caplog.records] == ["once"]
        """)
    project.run_apart("--energy-rounds=3").assert_outcomes(passed=3)
    assert {len(record["rounds"]) for record in project.last().records.values()} == {3}


def test_cases_and_ordinary_tests_keep_their_order(project) -> None:
    project.cases("""
        import pytest
        from pathlib import Path

        @pytest.fixture(autouse=True)
        def note(request):
            with Path(__file__).with_name("log").open("a") as file:
                print(request.node.name, file=file)

        def test_1(): pass
        def test_2(energy): energy(list)
        def test_3(benchmark): benchmark.pedantic(list)
        def test_4(energy): energy(list)
        def test_5(): pass
        """)
    project.run("--energy-rounds=2").assert_outcomes(passed=5)
    assert project.log() == ["test_1", "test_2", "test_2", "test_3", "test_4", "test_4", "test_5"]
    stored = project.last().document["benchmarks"]
    assert [entry["name"] for entry in stored] == ["test_2", "test_3", "test_4"]
    assert ["energybench" in entry["extra_info"] for entry in stored] == [True, False, True]
