"""Each mistake is one sentence that names the option, exit code 4, before anything runs."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--energy-pue=0.9", "argument --energy-pue: a PUE is a number of at least 1*not '0.9'"),
        ("--energy-pue=nan", "argument --energy-pue: a PUE is a number of at least 1, not 'nan'"),
        ("--energy-pue=high", "argument --energy-pue: a PUE is a number of at least 1, not 'high'"),
        (
            "--energy-rounds=0",
            "argument --energy-rounds: the number of rounds is a whole number of at least 1, not '0'",
        ),
        (
            "--energy-warmup=-1",
            "argument --energy-warmup: the number of warm-up rounds is a whole number of at least 0*",
        ),
        ("--energy-seeds=1,x", "argument --energy-seeds: seeds are whole numbers separated by commas*not '1,x'"),
        ("--energy-seeds=,", "argument --energy-seeds: seeds are whole numbers separated by commas*not ','"),
        ("--energy-profile=fast", "argument --energy-profile: unknown profile 'fast': choose one of quick, *"),
        ("--energy-margin=5", "argument --energy-margin: the energy margin is a fraction between 0 and 1*not '5'"),
        ("--energy-cpu-tdp=0", "argument --energy-cpu-tdp: a rated power is a number of watts above 0, not '0'"),
        ("--energy-set=lr", "argument --energy-set: expected NAME=VALUE*not 'lr'"),
        ("--energy-models=,", "argument --energy-models: expected a comma-separated list of names, not ','"),
    ],
)
def test_a_wrong_option_is_named(project, option: str, sentence: str) -> None:
    project.cases("def test_it(energy):\n    raise AssertionError('it was run')\n")
    result = project.run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, f"*error: {sentence}")
    assert "Traceback" not in result.stderr.str()
    assert project.stored() == []


@pytest.mark.parametrize(
    ("args", "meters", "sentence"),
    [
        ([], "nonsense", "ERROR: *nonsense*"),
        ([], "replay:absent.json", "ERROR: the replay file absent.json cannot be read: No such file or directory*"),
        (
            ["--energy-rounds=3", "--energy-seeds=1"],
            "replay:replay.json",
            "ERROR: 3 rounds but 1 seeds: give one seed*",
        ),
        (["--energy-compare=absent"], "replay:replay.json", "ERROR: --energy-compare: There is no run 'absent'*"),
        (["-o", "energy_pue=0.5"], "replay:replay.json", "ERROR: energy_pue in *pytest.ini: a PUE is a number of*"),
        (["-o", "energy_rounds=x"], "replay:replay.json", "ERROR: energy_rounds in *: the number of rounds is*"),
    ],
)
def test_what_only_a_session_can_know_is_a_usage_error_too(
    project, args: list[str], meters: str, sentence: str
) -> None:
    project.cases("def test_it(energy):\n    raise AssertionError('it was run')\n")
    result = project.run(*args, meters=meters)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, sentence)
    text = result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in text
    assert "it was run" not in text
    assert project.stored() == []


@pytest.mark.parametrize(
    ("marker", "sentence"),
    [
        ("round=3", "ERROR: test_bench.py::test_it: *has no keyword 'round'*did you mean 'rounds'?"),
        ("rounds=0", "ERROR: test_bench.py::test_it: *rounds=...) is a whole number of at least 1, not 0"),
        ("3", "ERROR: test_bench.py::test_it: @pytest.mark.energybench takes keywords only, such as rounds=3"),
    ],
)
def test_a_wrong_marker_names_its_test(project, marker: str, sentence: str) -> None:
    project.cases(f"""
        import pytest

        @pytest.mark.energybench({marker})
        def test_it(energy):
            energy(list)
        """)
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, sentence)


@pytest.mark.parametrize("storage", ["file://{path}/occupied", "{path}/occupied/below"])
def test_a_store_that_cannot_be_written_is_found_before_anything_runs(project, storage: str) -> None:
    project.file("occupied", "a file, no folder")
    project.cases("def test_it(energy):\n    raise AssertionError('it was run')\n")
    where = storage.format(path=project.path)
    result = project.run(f"--benchmark-storage={where}", "--energy-resume")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, "ERROR: Cannot write runs to *occupied*Give a folder that you may write*")
    assert "INTERNALERROR" not in result.stdout.str()


def test_a_window_that_the_replay_file_lacks_fails_its_case_and_no_other(project) -> None:
    project.cases()
    project.replay({"*[a]": [(1.0, 1.0)]})
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    project.says(result, "*replay.json has no recorded window for 'test_bench.py::test_tune[[]b[]]'*")
    assert list(project.last().records) == [project.A]


def test_a_store_that_fills_up_in_the_middle_keeps_the_rounds_and_says_where_they_are(project) -> None:
    project.cases("""
        import shutil
        from pathlib import Path

        def test_it(energy):
            energy(list)
            store, = Path(__file__).with_name(".benchmarks").glob("Linux*") or [None]
            store.rmdir()
            store.touch()
        """)
    result = project.run()
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    project.says(result, "NOT STORED: Cannot write runs to *The rounds are in the journal*")


def test_a_function_that_is_not_json_in_the_workload_is_stored_by_its_name(project) -> None:
    project.cases("""
        def test_it(energy):
            energy.workload(loss=max, rate=float("nan"))
            energy(list)
        """)
    project.run().assert_outcomes(passed=1)
    assert len(project.last().records["test_bench.py::test_it"]["workload"]) == 16
