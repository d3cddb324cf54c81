"""--energy-looks: cases that the gate can tell apart stop, the others go on, and each is reported once."""

from __future__ import annotations

import random
import signal
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

STEADY = [(200.0, 2.0), (200.4, 2.0), (199.6, 2.0)]
# Neither three nor five rounds of these can tell 20 % apart; with ten it is clear that there is less.
NOISY = [(150.0, 2.0), (200.0, 2.0), (250.0, 2.0), *[(200.0 + i / 10, 2.0) for i in range(7)]]
LOOKS = ["--energy-compare=main", "--energy-looks=3,5,10", "--energy-margin=0.2"]

CASES = """
    import os
    import signal
    import pytest

    @pytest.mark.parametrize("model", MODELS)
    def test_tune(energy, request, model):
        def tune():
            word = f"{model}{energy.seed}"
            if word == os.environ.get("KILL_AT"):
                os.kill(os.getpid(), signal.SIGKILL)
            with request.config.rootpath.joinpath("log").open("a") as file:
                print(word, file=file, flush=True)
            assert word != os.environ.get("FAIL_AT")
            return word

        run = energy(tune)
        request.node.user_properties.append(("rounds", str(len(run.rounds))))
        if "--energy-resume" not in request.config.invocation_params.args:
            assert run.value == f"{model}{len(run.rounds) - 1}"  # of the last round, in whatever pass
    """


@pytest.fixture
def sweep(project):
    """Cases a, b and c, measured in three steady rounds each and stored as `main`; b is noisy from now on."""
    write(project, test_bench=["a", "b", "c"])
    project.replay({"*": STEADY})
    project.run("--energy-rounds=3", "--benchmark-save=main").assert_outcomes(passed=3)
    (project.path / "log").unlink()
    project.replay({"*[b]": NOISY, "*": STEADY})
    return project


def write(project, **files: list[str]) -> None:
    for name, models in files.items():
        project.file(f"{name}.py", CASES.replace("MODELS", repr(models)))


def reported(project) -> list[str]:
    return [case.get("name", "") for case in ElementTree.parse(project.path / "out.xml").getroot().iter("testcase")]


def rounds(project) -> dict[str, int]:
    records = project.last().records
    return {id.rpartition("[")[2][:-1]: len(record["rounds"]) for id, record in records.items()}


def session(project) -> dict[str, Any]:
    return project.last().document["energybench"]


@pytest.mark.parametrize("order", ["one after another", "interleaved", "without pytest-benchmark"])
def test_only_the_case_that_cannot_be_told_apart_gets_more_rounds(sweep, order: str) -> None:
    more = {"interleaved": ["--energy-interleave"], "without pytest-benchmark": ["-pno:benchmark"]}.get(order, [])
    result = sweep.run(*LOOKS, "--junitxml=out.xml", *more)
    result.assert_outcomes(passed=7)
    log = sweep.log()
    assert sorted(log[:9]) == [f"{model}{seed}" for model in "abc" for seed in range(3)]
    assert log[9:] == ["b3", "b4", "b5", "b6", "b7", "b8", "b9"]
    assert rounds(sweep) == {"a": 3, "b": 10, "c": 3}
    stored = sweep.last()
    entries = [(entry["param"], entry["stats"]["rounds"]) for entry in stored.document["benchmarks"]]
    assert sorted(entries) == [("a", 3), ("b", 10), ("c", 3)]
    assert stored.status == "ok"
    assert [round["seed"] for round in stored.records[sweep.B]["rounds"]] == list(range(10))
    assert session(sweep)["looks"] == {
        "planned": [3, 5, 10],
        "cases": {sweep.A: 1, sweep.B: 3, "test_bench.py::test_tune[c]": 1},
    }
    assert session(sweep)["gate"]["looks"] == 3
    names = reported(sweep)
    assert len(names) == len(set(names)) == 7
    tests = ElementTree.parse(sweep.path / "out.xml").getroot().iter("testcase")
    said = {case.get("name", "")[-2]: [p.get("value") for p in case.iter("property")] for case in list(tests)[:3]}
    assert said == {"a": ["3"], "b": ["10"], "c": ["3"]}  # of the pass that counts, once


def test_each_line_says_at_which_look_the_case_is(sweep) -> None:
    result = sweep.run(*LOOKS)
    sweep.says(
        result,
        "[[]1/3[]] a: round 3/3, *1 of 3 looks*",
        "[[]2/3[]] b: round 5/5, *2 of 3 looks*",
        "[[]2/3[]] b: round 10/10, *3 of 3 looks*",
    )


def test_a_case_whose_gate_is_decided_by_another_metric_does_not_go_on(sweep) -> None:
    text = CASES.replace("MODELS", "['a', 'b', 'c']")
    sweep.replay({"*": STEADY})
    sweep.cases(text.replace("return word", "energy.record(accuracy=0.9)\n            return word"))
    sweep.run("--energy-rounds=3", "--benchmark-save=accurate").assert_outcomes(passed=3)
    sweep.replay({"*[b]": NOISY, "*": STEADY})
    sweep.cases(text.replace("return word", "energy.record(accuracy=0.8)\n            return word"))
    sweep.run("--energy-compare=accurate", *LOOKS[1:]).assert_outcomes(passed=4, failed=3)
    assert rounds(sweep) == {"a": 3, "b": 3, "c": 3}


def test_noise_that_no_rounds_make_less_is_no_reason_for_more(sweep) -> None:
    sweep.replay({"*[b]": [(205.0, 2.0), (206.0, 2.0), (205.5, 2.0)], "*": STEADY})
    result = sweep.run("--energy-compare=main", "--energy-looks=3,5")  # margin 5 %, noise between sessions declared
    assert rounds(sweep) == {"a": 3, "b": 3, "c": 3}
    result.assert_outcomes(passed=6, xfailed=1)


def test_plain_tests_stand_before_or_after_all_looks_and_wider_fixtures_end_in_time(sweep) -> None:
    sweep.file(
        "conftest.py",
        """
        import pytest

        def note(config, word):
            with config.rootpath.joinpath("log").open("a") as file:
                print(word, file=file, flush=True)

        @pytest.fixture(scope="module", autouse=True)
        def per_file(request):
            name = request.node.name[:-3]
            note(request.config, f"up:{name}")
            yield
            note(request.config, f"down:{name}")
        """,
    )
    plain = "def test_plain(request):\n    from conftest import note\n    note(request.config, 'plain')\n"
    sweep.file("test_after.py", plain)
    sweep.file("test_before.py", plain)
    sweep.file("pytest.ini", "[pytest]\npythonpath = .\n")
    result = sweep.run(*LOOKS, "-pno:randomly", "test_before.py", "test_bench.py", "test_after.py")
    result.assert_outcomes(passed=9)
    log = [word for word in sweep.log() if ":" in word or word == "plain"]
    assert log == [
        *["up:test_before", "plain", "down:test_before"],
        *["up:test_bench", "down:test_bench"] * 3,
        *["up:test_after", "plain", "down:test_after"],
    ]


def test_own_rounds_of_a_marker_are_left_alone_by_looks_of_the_ini_file(sweep) -> None:
    sweep.file("pytest.ini", "[pytest]\nenergy_looks = 3,5,10\nenergy_margin = 0.2\n")
    text = CASES.replace("MODELS", "['a', 'b', 'c']")
    sweep.cases(text.replace("@pytest.mark.param", "@pytest.mark.energybench(rounds=4)\n    @pytest.mark.param", 1))
    assert sweep.run("--energy-compare=main").ret == 0
    assert rounds(sweep) == {"a": 4, "b": 4, "c": 4}
    assert session(sweep)["looks"] == {"planned": [3, 5, 10], "cases": {}}


def test_pedantic_rounds_take_part_unless_the_test_names_their_number(sweep) -> None:
    for own, expected in (("", 10), (", rounds=4", 4)):
        sweep.cases(f"""
            import pytest

            @pytest.mark.parametrize("model", ["a", "b", "c"])
            def test_tune(energy, model):
                energy.pedantic(lambda: None, setup=lambda: None{own})
            """)
        sweep.file("pytest.ini", "[pytest]\nenergy_looks = 3,5,10\n")
        sweep.run("--energy-compare=main", "--energy-margin=0.2")
        assert rounds(sweep)["b"] == expected


@pytest.mark.parametrize("at", ["b2", "b3", "b8"])
def test_a_case_that_fails_in_a_later_look_keeps_its_rounds_and_is_reported_once(
    sweep, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    monkeypatch.setenv("FAIL_AT", at)
    result = sweep.run(*LOOKS, "--junitxml=out.xml")
    result.assert_outcomes(passed=5, failed=2)  # the case and its gate
    assert rounds(sweep) == {"a": 3, "b": int(at[1]), "c": 3}
    assert sweep.last().records[sweep.B]["status"] == "failed"
    assert len(reported(sweep)) == 7


def test_a_killed_look_is_resumed_where_it_stopped(sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILL_AT", "b6")
    assert sweep.run_apart(*LOOKS).ret == -signal.SIGKILL
    assert sweep.log()[9:] == ["b3", "b4", "b5"]
    (sweep.path / "log").unlink()
    monkeypatch.delenv("KILL_AT")
    sweep.replay({"*[b]": NOISY[6:], "*": STEADY})  # what the killed sweep has not had yet
    sweep.run(*LOOKS, "--energy-resume", "--junitxml=out.xml").assert_outcomes(passed=7)
    assert sweep.log() == ["b6", "b7", "b8", "b9"]
    assert rounds(sweep) == {"a": 3, "b": 10, "c": 3}
    assert session(sweep)["looks"]["cases"][sweep.B] == 3
    assert len(reported(sweep)) == 7


def test_ctrl_c_between_looks_keeps_all_rounds_and_a_resumed_sweep_repeats_none(
    sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = CASES.replace("MODELS", "['a', 'b', 'c']").replace("signal.SIGKILL", "signal.SIGINT")
    # A shell's background jobs inherit SIGINT as ignored; a person's Ctrl-C finds Python's own handler.
    sweep.cases(
        text.replace(
            "import pytest\n", "import pytest\n    signal.signal(signal.SIGINT, signal.default_int_handler)\n", 1
        )
    )
    monkeypatch.setenv("KILL_AT", "b4")
    assert sweep.run_apart(*LOOKS).ret == pytest.ExitCode.INTERRUPTED
    assert rounds(sweep) == {"a": 3, "b": 4, "c": 3}
    assert sweep.last().status == "partial"
    (sweep.path / "log").unlink()
    monkeypatch.delenv("KILL_AT")
    sweep.replay({"*[b]": NOISY[4:], "*": STEADY})
    sweep.run(*LOOKS, "--energy-resume").assert_outcomes(passed=7)
    assert sweep.log() == [f"b{seed}" for seed in range(4, 10)]


@pytest.mark.parametrize("number", range(4))
def test_whatever_the_noise_each_case_is_reported_once_and_has_the_rounds_of_one_of_the_looks(
    project, number: int
) -> None:
    dice = random.Random(number)
    models = [[f"m{file}{index}" for index in range(dice.randint(1, 3))] for file in range(3)]
    write(project, **{f"test_{file}": names for file, names in enumerate(models)})
    every = [name for names in models for name in names]
    project.replay({"*": STEADY})
    project.run("--energy-rounds=3", "--benchmark-save=main").assert_outcomes(passed=len(every))
    windows = {
        f"*[{name}]": [(200 * dice.uniform(1 - spread, 1 + spread), 2.0) for _ in range(6)]
        for name in every
        for spread in [dice.choice([0.001, 0.05, 0.2])]
    }
    project.replay(windows)
    more = ["--energy-interleave"] * dice.randint(0, 1)
    result = project.run(
        "--energy-compare=main", "--energy-looks=2,4,6", "--energy-margin=0.2", "--junitxml=out.xml", *more
    )
    result.stdout.no_fnmatch_line("*previous item was not torn down*")
    names = reported(project)
    assert len(names) == len(set(names)) == 2 * len(every) + 1
    used = session(project)["looks"]["cases"]
    assert {id.rpartition("[")[2][:-1]: 2 * looks for id, looks in used.items()} == rounds(project)
    entries = project.last().document["benchmarks"]
    assert sorted(entry["param"] for entry in entries) == sorted(every)


def test_one_round_of_the_baseline_leaves_nothing_to_settle(sweep) -> None:
    sweep.run("--benchmark-save=single").assert_outcomes(passed=3)
    sweep.run("--energy-compare=single", *LOOKS[1:])
    assert rounds(sweep) == {"a": 3, "b": 3, "c": 3}


def test_looks_without_a_baseline_or_beside_rounds_are_refused(project) -> None:
    write(project, test_bench=["a"])
    for arguments, says in (
        (["--energy-looks=3,5"], "ERROR: --energy-looks says when to look at the gate, and there is none*"),
        (["--energy-looks=5,3", "--energy-compare=x"], "*argument --energy-looks: looks are growing numbers*'5,3'"),
        (["--energy-looks=3,5", "--energy-rounds=3", "--energy-compare=x"], "ERROR: --energy-looks gives the numbers*"),
    ):
        result = project.run(*arguments)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        project.says(result, says)


def test_the_ranks_of_one_training_may_not_decide_apart(sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    result = sweep.run(*LOOKS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    sweep.says(result, "ERROR: --energy-looks decides after its own joules who goes on*")
