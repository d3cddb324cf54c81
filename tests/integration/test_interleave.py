"""--energy-interleave: every round visits every case, and what becomes of one case leaves the others as they are."""

from __future__ import annotations

import random
import signal
import xml.etree.ElementTree as ElementTree

import pytest

CONFTEST = """
    import pytest

    @pytest.fixture
    def note(request):
        def write(*words):
            with request.config.rootpath.joinpath("log").open("a") as file:
                print(*words, sep=":", file=file)
        return write

    def wide(scope, params=None):
        @pytest.fixture(scope=scope, params=params)
        def fixture(request):
            with request.config.rootpath.joinpath("log").open("a") as file:
                name = f"{scope}-{getattr(request, 'param', '')}@{request.node.nodeid.partition('::')[0]}"
                print(f"up:{name}", file=file, flush=True)
                yield
                print(f"down:{name}", file=file, flush=True)
        return fixture

    whole = wide("session")
    per_file = wide("module")
    per_class = wide("class")
    either = wide("module", ["x", "y"])

    passes = {}

    @pytest.fixture
    def body(request, energy, note):
        # The marker `ends` says how the test ends, and in which of its passes.
        ending, at = request.node.get_closest_marker("ends").args
        passes[request.node.nodeid] = number = passes.get(request.node.nodeid, -1) + 1

        def call():
            note("run", request.node.name, energy.seed)
            assert number != at or ending != "raise"

        def run():
            if number == at and ending == "skip":
                pytest.skip("enough")
            if ending == "pedantic":
                energy.pedantic(call, setup=lambda: None)
            else:
                energy(call)
            assert ending != "assert"

        assert number != at or ending != "setup"
        yield run
        assert number != at or ending != "teardown"
    """

STUDY = """
    import pytest

    epochs = {}

    @pytest.mark.parametrize("compressor", ["none", "stego"])
    @pytest.mark.parametrize("model", ["a", "b", "c"])
    def test_tune(energy, note, model, compressor):
        def call():
            note(f"{model}-{compressor}-{energy.seed}")
            if compressor == "none":
                epochs[model, energy.seed] = energy.seed + 3
            energy.record(epochs=epochs[model, energy.seed])
        run = energy(call)
        note(f"assert-{len(run.rounds)}")
    """


@pytest.fixture
def sweep(project):
    """A project whose cases can take notes."""
    project.file("conftest.py", CONFTEST)
    return project


def reported(project) -> list[str]:
    """Names of the test cases in the JUnit file, in its order."""
    return [case.get("name", "") for case in ElementTree.parse(project.path / "out.xml").getroot().iter("testcase")]


def rounds(project) -> dict[str, tuple[str, int]]:
    """Status and number of rounds of each stored case, by the test's name."""
    records = project.last().records
    return {id.rpartition("::")[2]: (record["status"], len(record["rounds"])) for id, record in records.items()}


def test_each_round_visits_every_case_from_another_model_on_and_each_case_is_reported_once(sweep) -> None:
    sweep.cases(STUDY)
    sweep.replay({f"*[{m}-{c}]": [(100.0 + i, 1.0) for i in range(4)] for m in "abc" for c in ("none", "stego")})
    result = sweep.run(
        "--energy-interleave", "--energy-seeds=5,6,7", "--energy-warmup=1", "--junitxml=out.xml", "--durations=0", "-vv"
    )
    result.assert_outcomes(passed=6)
    done = [line for line in sweep.log() if not line.startswith("assert")]
    assert [done[start : start + 6] for start in range(0, 24, 6)] == [
        [f"{model}-{compressor}-{seed}" for model in order for compressor in ("none", "stego")]
        for order, seed in (("abc", 5), ("abc", 5), ("bca", 6), ("cab", 7))
    ]
    assert sweep.log().count("assert-3") == 6
    stored = sweep.last()
    assert stored.document["energybench"]["interleaved"] is True
    assert stored.status == "ok"
    assert [entry["stats"]["rounds"] for entry in stored.document["benchmarks"]] == [3] * 6
    for case, record in stored.records.items():
        assert stored.joules(case) == [101.0, 102.0, 103.0]
        assert [round["seed"] for round in record["rounds"]] == [5, 6, 7]
        assert [round["metrics"]["epochs"] for round in record["rounds"]] == [8, 9, 10]
        assert [round["joules"] for round in record["warmups"]] == [{"package:0": 100.0}]
    assert sorted(reported(sweep)) == [f"test_tune[{m}-{c}]" for m in "abc" for c in ("none", "stego")]
    assert len([line for line in result.outlines if "s call " in line]) == 6
    assert len([line for line in result.outlines if "PASSED" in line]) == 6


def test_without_the_option_cases_run_one_after_another_and_the_session_says_so(sweep) -> None:
    sweep.cases(STUDY)
    sweep.run("--energy-rounds=2").assert_outcomes(passed=6)
    done = [line for line in sweep.log() if not line.startswith("assert")]
    assert done[:4] == ["a-none-0", "a-none-1", "a-stego-0", "a-stego-1"]
    assert sweep.last().document["energybench"]["interleaved"] is False


def test_the_ini_file_can_ask_for_it_and_cases_without_a_model_rotate_one_by_one(sweep) -> None:
    sweep.file("pytest.ini", "[pytest]\nenergy_interleave = true\nenergy_rounds = 3\n")
    sweep.cases("".join(f"def test_{n}(energy, note):\n    energy(lambda: note('{n}', energy.seed))\n" for n in "abc"))
    sweep.run().assert_outcomes(passed=3)
    assert sweep.log() == ["a:0", "b:0", "c:0", "b:1", "c:1", "a:1", "c:2", "a:2", "b:2"]


def test_cases_of_other_numbers_of_rounds_pedantic_ones_and_plain_tests_have_their_place(sweep) -> None:
    sweep.cases("""
        import pytest

        def test_first(note):
            note("plain-first")

        @pytest.mark.energybench(rounds=2)
        def test_two(energy, note):
            run = energy(lambda: note("two", energy.seed))
            assert len(run.rounds) == 2

        def test_between(note):
            note("plain-between")

        def test_pedantic(energy, note):
            run = energy.pedantic(lambda: note("pedantic", energy.seed), setup=lambda: None, rounds=3)
            assert len(run.rounds) == 3

        @pytest.mark.energybench(seeds=[7, 8, 9, 10], warmup=2)
        def test_four(energy, note):
            run = energy(lambda: note("four", energy.seed))
            assert len(run.rounds) == 4

        @pytest.mark.energybench(warmup=1)
        def test_one(energy, note):
            assert len(energy(lambda: note("one", energy.seed)).rounds) == 1

        @pytest.mark.energybench(rounds=4)
        def test_also(energy, note):
            assert len(energy(lambda: note("also", energy.seed)).rounds) == 4

        def test_last(note):
            note("plain-last")
        """)
    sweep.run("--energy-interleave", "--junitxml=out.xml").assert_outcomes(passed=8)
    assert " ".join(sweep.log()) == (
        "plain-first four:7 four:7 one:0 "  # only those two have warm-ups
        "two:0 pedantic:0 pedantic:1 pedantic:2 four:7 one:0 also:0 "
        "two:1 four:8 also:1 also:2 four:9 also:3 four:10 plain-between plain-last"
    )
    assert len(reported(sweep)) == 8
    assert rounds(sweep) == {
        "test_two": ("ok", 2),
        "test_pedantic": ("ok", 3),
        "test_four": ("ok", 4),
        "test_one": ("ok", 1),
        "test_also": ("ok", 4),
    }


def write_random_session(project, dice: random.Random) -> dict[str, tuple[str, int]]:
    """Files of cases, each with its ending in some pass; returns ending and finished rounds of each test."""
    expected: dict[str, tuple[str, int]] = {}
    for file in range(dice.randint(1, 3)):
        lines = ["import pytest"]
        for number in range(dice.randint(1, 4)):
            name, fixtures = f"test_{file}{number}", dice.sample(["whole", "per_file", "per_class", "either"], 2)
            asked, warmups, indent = dice.randint(1, 4), dice.randint(0, 1), dice.choice(["", "    "])
            ending = dice.choice(["ok", "raise", "skip", "setup", "teardown", "assert", "pedantic", "plain"])
            at = dice.randrange(asked + warmups)
            if indent:
                lines.append(f"class Test{number}:")
            if ending == "plain":
                lines.append(f"{indent}def {name}({'self, ' * bool(indent)}{', '.join(fixtures)}): pass")
            else:
                lines.append(f"{indent}@pytest.mark.ends({ending!r}, {at})")
                lines.append(f"{indent}@pytest.mark.energybench(rounds={asked}, warmup={warmups})")
                lines.append(f"{indent}def {name}({'self, ' * bool(indent)}body, {', '.join(fixtures)}): body()")
            before = at - warmups
            finished = {"raise": before, "skip": before, "setup": before, "teardown": before + 1, "plain": 0}
            for id in [f"{name}[x]", f"{name}[y]"] if "either" in fixtures else [name]:
                expected[id] = (ending, max(0, finished.get(ending, asked)))
        project.file(f"test_{file}.py", "\n".join(lines))
    return expected


@pytest.mark.parametrize("number", range(8))
def test_however_cases_end_each_is_reported_once_rounds_ascend_and_wider_fixtures_end_in_time(sweep, number) -> None:
    expected = write_random_session(sweep, random.Random(number))
    sweep.file("pytest.ini", "[pytest]\nmarkers = ends\n")
    result = sweep.run("--energy-interleave", "--junitxml=out.xml")
    result.stdout.no_fnmatch_line("*previous item was not torn down*")
    endings = [ending for ending, _ in expected.values()]
    outcomes = {
        "passed": sum(map(endings.count, ("ok", "pedantic", "plain", "teardown"))),
        "failed": sum(map(endings.count, ("raise", "assert"))),
        "errors": sum(map(endings.count, ("setup", "teardown"))),
        "skipped": endings.count("skip"),
    }
    result.assert_outcomes(**outcomes)
    assert sorted(reported(sweep)) == sorted(expected)
    status = {"ok": "ok", "pedantic": "ok", "skip": "partial"}
    kept = {id: (status.get(ending, "failed"), finished) for id, (ending, finished) in expected.items() if finished}
    assert (rounds(sweep) if kept else {}) == kept

    up: set[str] = set()
    seeds: list[int] = []
    for line in sweep.log():
        word, _, rest = line.partition(":")
        if word == "run":
            name, _, seed = rest.rpartition(":")
            if expected[name][0] != "pedantic":
                seeds.append(int(seed))
            assert {name.partition("@")[2] for name in up} <= {"", f"test_{name[5]}.py"}
        elif word == "up":
            assert rest not in up
            up.add(rest)
        else:
            up.remove(rest)
    assert up == set()
    assert sweep.log().count("up:session-@") <= 1
    assert seeds == sorted(seeds)


@pytest.mark.parametrize("limit", ["-x", "--maxfail=2"])
def test_the_session_stops_after_as_many_failures_as_allowed_and_keeps_the_finished_rounds(sweep, limit: str) -> None:
    sweep.cases("""
        def test_a(energy):
            energy(list)

        def test_b(energy):
            assert energy.seed < 1
            energy(list)

        def test_c(energy):
            assert energy.seed < 2
            energy(list)

        def test_d(energy):
            energy(list)
        """)
    # Round 1: a b c d; round 2: b c d a; round 3: c d a.
    result = sweep.run("--energy-interleave", "--energy-rounds=3", "--junitxml=out.xml", limit)
    failed = ["test_b"] if limit == "-x" else ["test_b", "test_c"]
    result.assert_outcomes(failed=len(failed))
    assert reported(sweep) == failed
    if limit == "-x":
        others = dict.fromkeys(("test_a", "test_c", "test_d"), ("partial", 1))
    else:
        others = {"test_a": ("partial", 2), "test_c": ("failed", 2), "test_d": ("partial", 2)}
    assert rounds(sweep) == {"test_b": ("failed", 1), **others}
    assert sweep.last().status == "failed"


def test_a_wider_fixture_that_fails_to_end_is_the_error_of_the_case_that_ended_it(sweep) -> None:
    sweep.file(
        "test_1.py",
        """
        import pytest

        def test_a(energy):
            energy(list)
        """,
    )
    sweep.file(
        "test_2.py",
        """
        import pytest

        @pytest.fixture(scope="module")
        def broken():
            yield
            raise OSError("cache is gone")

        def test_b(energy, broken):
            # The last case of this round would be the first of the next.
            if energy.seed == 0:
                pytest.skip("enough")
            energy(list)
        """,
    )
    result = sweep.run("--energy-interleave", "--energy-rounds=2", "--junitxml=out.xml")
    result.assert_outcomes(passed=1, skipped=1, errors=1)
    sweep.says(result, "ERROR test_2.py::test_b - OSError: cache is gone")
    assert rounds(sweep) == {"test_a": ("ok", 2)}


LONG = """
    import os
    import signal
    import time
    import pytest

    @pytest.mark.parametrize("model", MODELS)
    def test_tune(energy, note, per_file, model):
        energy.workload(model=model, version=os.environ.get("VERSION", "") if model == "b" else "")

        def call():
            word = f"{model}{energy.seed}"
            if os.environ.get("STOP_AT", "").endswith(word):
                way = os.environ["STOP_AT"].removesuffix(word)
                if way == "SIGINT":
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                os.kill(os.getpid(), getattr(signal, way))
                time.sleep(60)
            note(word)
        assert len(energy(call).rounds) == 3
    """


@pytest.mark.parametrize(
    ("stop", "version", "rest"),
    [
        ("SIGINT", "", ["c1", "a1", "c2", "a2", "b2"]),
        ("SIGKILL", "", ["c1", "a1", "c2", "a2", "b2"]),
        ("SIGKILL", "2", ["c1", "a1", "c2", "a2", "b0", "b1", "b2"]),
    ],
    ids=["interrupted", "killed", "killed, with one case changed"],
)
def test_a_resumed_sweep_goes_on_in_the_round_where_it_stopped(
    sweep, monkeypatch: pytest.MonkeyPatch, stop: str, version: str, rest: list[str]
) -> None:
    for number, models in ((1, ["a"]), (2, ["b", "c"])):
        sweep.file(f"test_{number}.py", LONG.replace("MODELS", repr(models)))
    monkeypatch.setenv("STOP_AT", f"{stop}c1")
    stopped = sweep.run_apart("--energy-interleave", "--energy-rounds=3")
    assert [line for line in sweep.log() if len(line) == 2] == ["a0", "b0", "c0", "b1"]
    if stop == "SIGINT":
        assert stopped.ret == pytest.ExitCode.INTERRUPTED
        assert rounds(sweep) == {"test_tune[a]": ("partial", 1), "test_tune[b]": ("partial", 2)} | {
            "test_tune[c]": ("partial", 1)
        }
    else:
        assert stopped.ret == -signal.SIGKILL
        assert sweep.stored() == []
    (sweep.path / "log").unlink()
    monkeypatch.delenv("STOP_AT")
    monkeypatch.setenv("VERSION", version)
    resumed = sweep.run("--energy-interleave", "--energy-rounds=3", "--energy-resume", "--junitxml=out.xml")
    resumed.assert_outcomes(passed=3)
    log = sweep.log()
    assert [line for line in log if len(line) == 2] == rest
    ups = [line for line in log if line.startswith("up")]
    assert [line.replace("down", "up") for line in log if line.startswith("down")] == ups
    assert sorted(reported(sweep)) == ["test_tune[a]", "test_tune[b]", "test_tune[c]"]
    assert set(rounds(sweep).values()) == {("ok", 3)}
    assert sweep.last().status == "ok"


def test_a_sweep_that_is_complete_in_the_journal_is_only_replayed(sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep.cases("""
        import os
        import signal

        def test_a(energy, note):
            energy(lambda: note("a", energy.seed))

        def test_b(energy, note):
            energy(lambda: note("b", energy.seed))
            if "KILL" in os.environ:
                os.kill(os.getpid(), signal.SIGKILL)
        """)
    monkeypatch.setenv("KILL", "1")
    arguments = ["--energy-interleave", "--energy-rounds=2"]
    assert sweep.run_apart(*arguments).ret == -signal.SIGKILL
    assert sweep.log() == ["a:0", "b:0", "b:1"]
    assert sweep.run_apart(*arguments, "--energy-resume").ret == -signal.SIGKILL  # b is complete, and comes first
    monkeypatch.delenv("KILL")
    sweep.run(*arguments, "--energy-resume").assert_outcomes(passed=2)
    assert sweep.log() == ["a:0", "b:0", "b:1", "a:1"]
    assert rounds(sweep) == {"test_a": ("ok", 2), "test_b": ("ok", 2)}


def test_gates_come_after_all_rounds_and_judge_each_case_once(sweep) -> None:
    sweep.cases(STUDY)
    sweep.run("--energy-rounds=2").assert_outcomes(passed=6)
    sweep.replay({"*[b-stego]": [(150.0, 1.0)], "*": [(100.0, 1.0)]})
    result = sweep.run("--energy-rounds=2", "--energy-interleave", "--energy-compare=0001", "--junitxml=out.xml", "-v")
    names = reported(sweep)
    assert len(names) == len(set(names)) == 6 + 7
    assert all(name.startswith("gate[") for name in names[6:])
    sweep.says(result, "*gate[[]test_bench.py::test_tune[[]b-stego[]][]]*FAILED*")
    assert sweep.last().status == "regressed"


@pytest.mark.parametrize("option", ["--benchmark-disable", "--setup-only", "--collect-only", "-pno:benchmark"])
def test_it_goes_with_what_else_changes_how_cases_run(sweep, option: str) -> None:
    sweep.cases(STUDY)
    result = sweep.run("--energy-interleave", "--energy-rounds=2", "--energy-warmup=1", option)
    assert result.ret == 0
    done = [line for line in sweep.log() if not line.startswith("assert")]
    assert len(done) == {"--benchmark-disable": 6, "-pno:benchmark": 18}.get(option, 0)
    assert len(sweep.stored()) == (option == "-pno:benchmark")


def test_with_v_each_case_is_named_when_its_result_comes(sweep) -> None:
    sweep.cases(STUDY)
    result = sweep.run("--energy-interleave", "--energy-rounds=2", "-v")
    named = [line for line in result.outlines if "::test_tune" in line]
    assert len(named) == 6
    sweep.says(
        result,
        "[[]1/6[]] a-none: round 1/2, *",
        "[[]1/6[]] a-none: round 2/2, * PASSED*",
        "test_bench.py::test_tune[[]a-none[]]*",
    )
