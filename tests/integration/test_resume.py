"""A sweep that is killed or interrupted loses no finished round, and resuming it repeats none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SWEEP = """
    import os
    import signal
    import time
    import pytest
    from pathlib import Path
    from helper import WORK

    here = Path(__file__).parent

    @pytest.mark.parametrize("model", ["a", "b", "c"])
    def test_tune(energy, model):
        energy.workload(model=model, size=WORK)

        def tune():
            word = f"{model}{energy.seed}"
            if word == os.environ.get("KILL_AT"):
                os.kill(os.getpid(), signal.SIGKILL)
            if word == os.environ.get("INTERRUPT_AT"):
                # A shell's background jobs inherit SIGINT as ignored; a person's Ctrl-C finds Python's own handler.
                signal.signal(signal.SIGINT, signal.default_int_handler)
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(60)
            with (here / "log").open("a") as file:
                print(word, file=file)
            energy.record(accuracy=0.5)

        run = energy(tune)
        assert len(run.rounds) == int(os.environ.get("ROUNDS", "2"))
    """
ALL = ["a0", "a1", "b0", "b1", "c0", "c1"]


@pytest.fixture
def sweep(project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Run the sweep of three cases and two rounds in a process of its own, with these environment variables."""
    project.cases(SWEEP)
    project.file("helper.py", "WORK = 1\n")
    project.file("pytest.ini", "[pytest]\npythonpath = .\nenergy_rounds = 2\n")
    project.replay({f"*[{m}]": [(100.0 + i, 1.0)] for i, m in enumerate("abc")})

    def run(*args: str, meters: str = "replay:replay.json", **environment: str) -> pytest.RunResult:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            return project.run_apart(*args, meters=meters)

    return run


def journals(project) -> list[Path]:
    return sorted(project.path.glob(".benchmarks/.journal/*.jsonl"))


def test_after_sigkill_resuming_completes_the_sweep_and_repeats_no_finished_round(project, sweep) -> None:
    killed = sweep(KILL_AT="b1")
    assert killed.ret == -signal.SIGKILL
    assert project.log() == ["a0", "a1", "b0"]
    assert project.stored() == []
    (journal,) = journals(project)
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole[: len(whole) // 5])  # and the machine died in the middle of a write

    killed_again = sweep("--energy-resume", KILL_AT="c1")
    assert killed_again.ret == -signal.SIGKILL
    assert project.log() == ["a0", "a1", "b0", "b1", "c0"]

    resumed = sweep("--energy-resume")
    resumed.assert_outcomes(passed=3)
    assert project.log() == ALL
    project.says(resumed, "*a: round 2/2*2 from the interrupted sweep*", "*c: round 2/2*1 from the interrupted sweep*")
    stored = project.last()
    assert {id[-2]: project.last().joules(id) for id in stored.records} == {
        "a": [100.0, 100.0],
        "b": [101.0, 101.0],
        "c": [102.0, 102.0],
    }
    for record in stored.records.values():
        assert [round["seed"] for round in record["rounds"]] == [0, 1]
        assert [round["metrics"] for round in record["rounds"]] == [{"accuracy": 0.5}] * 2
        assert record["status"] == "ok"
    sessions = {round["session"] for record in stored.records.values() for round in record["rounds"]}
    assert len(sessions) == 3
    assert stored.status == "ok"
    assert [entry["stats"]["rounds"] for entry in stored.document["benchmarks"]] == [2, 2, 2]


def test_resuming_a_completed_sweep_measures_everything_and_says_so(project, sweep) -> None:
    sweep().assert_outcomes(passed=3)
    again = sweep("--energy-resume")
    again.assert_outcomes(passed=3)
    project.says(again, "note: nothing to resume*everything is measured")
    assert project.log() == ALL * 2
    assert len(project.stored()) == 2


def test_ctrl_c_stores_the_finished_rounds_as_partial_and_exits_with_2(project, sweep) -> None:
    stopped = sweep(INTERRUPT_AT="b1")
    assert stopped.ret == pytest.ExitCode.INTERRUPTED
    stored = project.last()
    assert {id[-2]: (r["status"], len(r["rounds"])) for id, r in stored.records.items()} == {
        "a": ("ok", 2),
        "b": ("partial", 1),
    }
    assert stored.status == "partial"
    sweep("--energy-resume").assert_outcomes(passed=3)
    assert project.log() == ALL
    assert project.last().status == "ok"


def test_what_can_no_longer_be_trusted_is_measured_again_and_named(project, sweep) -> None:
    """One killed sweep, resumed from copies of its journal under one change after another."""
    sweep(KILL_AT="c0")
    (journal,) = journals(project)
    finished, log = journal.read_bytes(), project.path / "log"

    def resumed(*args: str, **more: str) -> tuple[pytest.RunResult, list[str]]:
        for path in journals(project):
            path.unlink()
        journal.write_bytes(finished)
        log.write_text("")
        return sweep("--energy-resume", *args, **more), project.log()

    result, done = resumed("--energy-seeds=0,7")
    assert done == ["a7", "b7", "c0", "c7"]
    project.says(result, "note: test_bench.py::test_tune[[]a[]]: 1 earlier rounds not used (other seed)")

    result, done = resumed("--energy-rounds=1", ROUNDS="1")
    assert done == ["c0"]
    project.says(result, "note: *test_tune[[]a[]]: 1 earlier rounds not used (round not asked for)")

    other = project.replay({"*": [(5.0, 1.0)]}, name="other.json", domain="package:1")
    result, done = resumed(meters=other)
    assert done == ALL
    project.says(result, "note: *test_tune[[]b[]]: 2 earlier rounds not used (other domains are read now)")

    result, done = resumed("-k", "not a]")
    assert "a0" not in done

    project.file("helper.py", "WORK = 1\nRATE = 0.5  # a helper that every case imports\n")
    result, done = resumed()
    assert done == ALL
    project.says(result, "note: *test_tune[[]a[]]: 2 earlier rounds not used (code changed)")

    project.file("helper.py", "# only a comment\nWORK = 1\n")
    project.cases(SWEEP.replace('["a", "b", "c"]', '["new", "a", "b", "c"]'))
    project.replay({"*": [(100.0, 1.0)]})
    result, done = resumed()
    assert done == ["new0", "new1", "c0", "c1"]

    project.cases(SWEEP.replace('["a", "b", "c"]', '["renamed", "b", "c"]'))
    result, done = resumed()
    assert done == ["renamed0", "renamed1", "c0", "c1"]
    project.says(result, "note: 2 earlier rounds belong to no selected case (renamed or deselected): *test_tune[[]a[]]")

    project.cases(SWEEP)
    project.file("helper.py", "WORK = 2\n")
    result, done = resumed()
    assert done == ALL
    project.says(result, "note: *test_tune[[]a[]]: 2 earlier rounds not used (declared inputs changed)")


def test_resuming_a_part_leaves_the_rest_to_be_resumed_later(project, sweep) -> None:
    sweep(KILL_AT="c1")
    sweep("--energy-resume", "-k", "a]").assert_outcomes(passed=1, deselected=2)
    sweep("--energy-resume", "--setup-only")
    assert project.log() == ["a0", "a1", "b0", "b1", "c0"]
    sweep("--energy-resume", "-k", "not a]").assert_outcomes(passed=2, deselected=1)
    assert project.log() == ALL


def test_a_case_prepared_with_the_wrong_seed_starts_afresh(project) -> None:
    """Whether a journalled round can be used is known only once the workload is declared, after the fixtures."""
    project.cases("""
        import os
        import random
        import signal
        import pytest
        from pathlib import Path

        @pytest.fixture
        def model(energy):
            return energy.seed, random.random()

        def test_it(energy, model):
            energy.workload(version=os.environ["VERSION"])
            def call():
                assert model == (energy.seed, random.Random(energy.seed).random())
                if energy.seed == 1 and os.environ["VERSION"] == "1":
                    os.kill(os.getpid(), signal.SIGKILL)
            energy(call)
        """)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VERSION", "1")
        assert project.run_apart("--energy-rounds=2").ret == -signal.SIGKILL
        patch.setenv("VERSION", "2")
        result = project.run_apart("--energy-rounds=2", "--energy-resume")
    result.assert_outcomes(passed=1)
    project.says(result, "note: *1 earlier rounds not used (declared inputs changed)")
    assert len(project.last().records["test_bench.py::test_it"]["rounds"]) == 2


def test_a_case_whose_rounds_all_come_from_the_journal_has_no_value_and_can_skip_its_preparation(project) -> None:
    project.cases("""
        import os
        import signal
        from pathlib import Path

        def train():
            return 5

        def test_value(energy):
            assert energy(train).value == 5

        def test_prepared(energy):
            if not energy.resumed(train):
                with Path(__file__).with_name("log").open("a") as file:
                    print("prepared", file=file)
            run = energy(train)
            assert len(run.rounds) == 1

        def test_killed(energy):
            if os.environ.get("KILL"):
                os.kill(os.getpid(), signal.SIGKILL)
            energy(train)
        """)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KILL", "1")
        assert project.run_apart().ret == -signal.SIGKILL
    assert project.log() == ["prepared"]
    result = project.run("--energy-resume")
    result.assert_outcomes(passed=2, failed=1)
    project.says(result, "*test_value has no return value: all its rounds came from an interrupted sweep's journal*")
    assert project.log() == ["prepared"]


def test_two_sweeps_at_once_into_one_store_are_a_usage_error(project) -> None:
    project.cases("""
        import os
        import time
        from pathlib import Path

        def test_it(energy):
            here = Path(__file__).parent
            def call():
                (here / "running").touch()
                while not (here / "go").exists():
                    time.sleep(0.02)
            energy(call)
        """)
    first = subprocess.Popen(
        [sys.executable, "-m", "pytest", *project.arguments("-q")],
        cwd=project.path,
        stdout=subprocess.DEVNULL,
        env={**os.environ},
    )
    try:
        while not (project.path / "running").exists():
            assert first.poll() is None
            time.sleep(0.02)
        second = project.run()
        assert second.ret == pytest.ExitCode.USAGE_ERROR
        project.says(second, "ERROR: another energybench sweep is writing to *")
    finally:
        (project.path / "go").touch()
        assert first.wait() == 0
    assert len(project.stored()) == 1


def test_resuming_without_a_journal_is_refused(project) -> None:
    project.cases()
    result = project.run("--energy-resume", "--energy-no-save")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, "ERROR: --energy-resume reads and continues the journal, which --energy-no-save turns off*")
