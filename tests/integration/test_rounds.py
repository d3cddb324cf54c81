"""A round is one complete pass of its test, and the user's test sees all of them once."""

from __future__ import annotations

import pytest


def test_each_round_is_a_fresh_pass_and_the_assertions_run_once_after_the_last(project) -> None:
    project.cases("""
        import pytest
        from pathlib import Path
        log = Path(__file__).parent / "log"

        def note(word):
            with log.open("a") as file:
                file.write(word + "\\n")

        @pytest.fixture(scope="session")
        def wide():
            note("session-up")
            yield
            note("session-down")

        @pytest.fixture(scope="module")
        def middle():
            note("module-up")
            yield
            note("module-down")

        @pytest.fixture
        def narrow(tmp_path):
            assert not list(tmp_path.iterdir())
            (tmp_path / "x").touch()
            note("up")
            yield
            note("down")

        def test_it(energy, wide, middle, narrow, capsys):
            def call():
                note(f"call-{energy.seed}")
                print("only this round")
            run = energy(call)
            assert capsys.readouterr().out == "only this round\\n"
            note(f"assert-{len(run.rounds)}")
        """)
    project.replay({"*test_it*": [(9.0, 1.0), (100.0, 1.0), (110.0, 1.1), (120.0, 1.2)]})
    result = project.run("--energy-rounds=3", "--energy-warmup=1")
    result.assert_outcomes(passed=1)
    assert " ".join(project.log()) == (
        "session-up module-up up call-0 down up call-0 down up call-1 down up call-2 assert-3 down "
        "module-down session-down"
    )
    record = project.last().records["test_bench.py::test_it"]
    assert [r["joules"] for r in record["rounds"]] == [{"package:0": j} for j in (100.0, 110.0, 120.0)]
    assert [r["seconds"] for r in record["rounds"]] == [1.0, 1.1, 1.2]
    assert [r["seed"] for r in record["rounds"]] == [0, 1, 2]
    assert [r["joules"] for r in record["warmups"]] == [{"package:0": 9.0}]
    assert record["status"] == "ok"


def test_wider_fixtures_of_two_files_end_between_the_files_whatever_becomes_of_the_rounds(project) -> None:
    """The last case of a file keeps its module's fixtures over its rounds; they end before the next file's begin."""
    project.file(
        "conftest.py",
        """
        import pytest

        @pytest.fixture(scope="module")
        def middle(request):
            with request.config.rootpath.joinpath("log").open("a") as log:
                print(f"up:{request.path.stem}", file=log, flush=True)
                yield
                print(f"down:{request.path.stem}", file=log, flush=True)
        """,
    )
    for name, ending in (
        ("test_1", "pass"),
        ("test_2", "assert not log.count('x') == 2"),
        ("test_3", "len(log) < 2 or pytest.skip('enough')"),
        ("test_4", "pass"),
    ):
        project.file(
            f"{name}.py",
            f"""
            import pytest
            log = []
            def test_it(energy, middle):
                log.append("x")
                {ending}
                energy(lambda: None)
            """,
        )
    result = project.run("--energy-rounds=3")
    result.assert_outcomes(passed=2, failed=1, skipped=1)
    assert project.log() == [f"{way}:test_{n}" for n in (1, 2, 3, 4) for way in ("up", "down")]


def test_a_wider_fixture_that_fails_to_end_is_the_last_cases_own_error(project) -> None:
    project.cases("""
        import pytest

        @pytest.fixture(scope="module")
        def middle():
            yield
            raise OSError("cache is gone")

        def test_it(energy, middle):
            if energy.seed == 1:
                pytest.skip("enough")
            energy(lambda: None)
        """)
    result = project.run("--energy-rounds=3", "--junitxml=out.xml")
    result.assert_outcomes(skipped=1, errors=1)
    project.says(result, "ERROR test_bench.py::test_it - OSError: cache is gone")


@pytest.mark.parametrize("way", ["command line", "marker", "ini"])
def test_seeds_are_those_that_were_asked_for_and_everything_random_is_seeded(project, way: str) -> None:
    marker = "@pytest.mark.energybench(seeds=[11, 12])" if way == "marker" else ""
    project.cases(f"""
        import random
        import numpy
        import pytest
        from pathlib import Path

        {marker}
        def test_it(energy):
            before = random.random(), numpy.random.rand()
            def call():
                assert (random.random(), numpy.random.rand()) == before
                with Path(__file__).with_name("log").open("a") as file:
                    print(energy.seed, before[0], file=file)
            energy(call)
        """)
    if way == "ini":
        project.file("pytest.ini", "[pytest]\nenergy_seeds = 11, 12\n")
    args = ["--energy-seeds=11,12"] if way == "command line" else []
    project.run(*args).assert_outcomes(passed=1)
    import random

    expected = [str(value) for seed in (11, 12) for value in (seed, random.Random(seed).random())]
    assert project.log() == expected
    assert [r["seed"] for r in project.last().records["test_bench.py::test_it"]["rounds"]] == [11, 12]


def test_pedantic_makes_each_rounds_state_by_setup_in_one_pass(project) -> None:
    project.cases("""
        from pathlib import Path

        def note(word):
            with Path(__file__).with_name("log").open("a") as file:
                print(word, file=file)

        def test_it(energy):
            note("body")
            def setup():
                note("setup")
                return ([energy.seed],), {"by": 2}
            def call(state, by):
                note(f"call-{state[0] * by}")
                return state
            run = energy.pedantic(call, setup=setup, teardown=lambda state, by: note(f"end-{state[0]}"), rounds=2,
                                  warmup_rounds=1)
            assert run.value == [1]
            assert len(run.rounds) == 2

        def test_one_round_needs_no_setup(energy):
            assert energy.pedantic(lambda a, b=0: a + b, (1,), {"b": 2}).value == 3
        """)
    project.run().assert_outcomes(passed=2)
    assert " ".join(project.log()) == "body setup call-0 end-0 setup call-0 end-0 setup call-2 end-1"
    record = project.last().records["test_bench.py::test_it"]
    assert (len(record["rounds"]), len(record["warmups"])) == (2, 1)


def test_the_command_line_beats_what_pedantic_asks_for(project) -> None:
    project.cases("def test_it(energy):\n    energy.pedantic(list, setup=lambda: None, rounds=5)")
    project.run("--energy-rounds=2").assert_outcomes(passed=1)
    assert len(project.last().records["test_bench.py::test_it"]["rounds"]) == 2


def test_misuse_of_the_fixture_fails_the_test_with_a_sentence(project) -> None:
    project.cases("""
        import pytest

        def test_pedantic_without_setup(energy):
            energy.pedantic(list, rounds=3)

        def test_setup_and_args(energy):
            energy.pedantic(list, args=([],), setup=lambda: (((),), {}))

        def test_twice(energy):
            energy(list)
            energy(list)

        def test_record_outside(energy):
            energy(list)
            energy.record(accuracy=1)

        def test_record_text(energy):
            energy(lambda: energy.record(accuracy="high"))

        def test_no_accuracy(energy):
            energy(list).accuracy

        def test_late_workload(energy):
            energy(list)
            energy.workload(model="x")

        def test_unknown_window(energy):
            with energy.apart("lunch"):
                pass

        def test_search_inside(energy):
            def call():
                with energy.apart("search"):
                    pass
            energy(call)

        def test_by_name(request):
            request.getfixturevalue("energy")
        """)
    result = project.run()
    result.assert_outcomes(failed=10)
    project.says(
        result,
        "*test_pedantic_without_setup: energy.pedantic with 3 rounds and 0 warm-ups needs setup=*",
        "*test_setup_and_args: setup= returned arguments although args or kwargs were given*",
        "*test_twice used the energy fixture twice: one case is one metered function*",
        "*test_record_outside: energy.record(...) belongs inside the function that energy(...) meters*",
        "*energy.record(accuracy=...) takes a number, not str*",
        "*test_no_accuracy recorded no accuracy: call energy.record(accuracy=...)*",
        "*test_late_workload: declare the workload before energy(...) is called*",
        "*energy.apart('lunch'): only search and pretraining are metered apart*",
        "*energy.apart('search') inside a round would count its energy twice*",
        "*test_by_name asks for the energy fixture through request.getfixturevalue: name it as a parameter*",
    )
    # What was measured before the mistake is kept, marked as failed.
    assert project.last().records["test_bench.py::test_twice"]["status"] == "failed"


def test_what_a_case_records_and_declares_is_in_the_stored_record(project) -> None:
    project.cases("""
        def test_it(energy):
            energy.workload(model="resnet18", batch=32)
            energy.facts(parameters=11, found={"rate": float("nan")})
            with energy.apart("search"):
                pass
            def call():
                with energy.lap("epoch"):
                    with energy.lap("step"):
                        pass
                with energy.lap("epoch"):
                    pass
                energy.record(accuracy=0.75, loss=float("nan"))
                energy.record(epochs=2)
            run = energy(call)
            assert run.accuracy == 0.75
            assert run.metric("epochs") == 2
            assert run.joules == 200.0
            assert run.it_kwh == 200.0 / 3.6e6
            assert run.kwh == 200.0 * 1.58 / 3.6e6
            assert run.seconds == 2.0
        """)
    laps = [{"label": "epoch", "seconds": s, "joules": {"package:0": j}} for s, j in ((1.5, 150.0), (0.5, 50.0))]
    windows = [
        {"label": "*test_it", "seconds": 2.0, "joules": {"package:0": 200.0}, "laps": laps},
        {"label": "search", "seconds": 7.0, "joules": {"package:0": 70.0}},
    ]
    import json

    text = json.dumps({"schema": 1, "domains": [{"name": "package:0"}], "windows": windows})
    project.file("replay.json", text)
    project.run("--energy-pue=1.58").assert_outcomes(passed=1)
    stored = project.last()
    record = stored.records["test_bench.py::test_it"]
    (only,) = record["rounds"]
    assert only["metrics"] == {"accuracy": 0.75, "loss": None, "epochs": 2.0}
    assert [lap["label"] for lap in only["laps"]] == ["step", "epoch", "epoch"]
    assert [lap["joules"]["package:0"] for lap in only["laps"][1:]] == [150.0, 50.0]
    assert [window["joules"] for window in record["search"]] == [{"package:0": 70.0}]
    assert record["facts"]["parameters"] == 11
    assert record["facts"]["found"] == {"rate": None}
    assert record["pue"] == stored.document["energybench"]["pue"] == 1.58
    assert only["joules"] == {"package:0": 200.0}  # IT energy: the PUE is applied on output
    assert "loss was recorded as nan: stored as absent" in record["warnings"]
    assert record["provenance"] == "replayed"


def test_the_workload_is_the_declared_inputs_or_else_the_parameters(project) -> None:
    project.cases("""
        import pytest

        @pytest.mark.parametrize("size", [1, 2])
        def test_by_parameter(energy, size):
            energy(list)

        @pytest.mark.parametrize("name", ["x", "y"])
        def test_declared(energy, name):
            energy.workload(model="resnet18")
            energy(list)
        """)
    project.run().assert_outcomes(passed=4)
    one, two, x, y = (record["workload"] for record in project.last().records.values())
    assert one != two
    assert x == y != one


def test_failed_accuracy_is_a_status_of_the_case_and_not_a_failure(project) -> None:
    project.cases("""
        def test_it(energy):
            energy(lambda: energy.record(accuracy=0.1))
            energy.failed_accuracy("10 % where 90 % were needed")
        """)
    result = project.run()
    result.assert_outcomes(passed=1)
    record = project.last().records["test_bench.py::test_it"]
    assert record["status"] == "failed-accuracy"
    assert record["warnings"] == ["10 % where 90 % were needed"]


def test_a_lap_outside_a_round_does_nothing(project) -> None:
    project.cases("""
        def test_it(energy):
            with energy.lap("before"):
                pass
            assert energy(list).rounds[0].window.laps == ()
        """)
    project.run().assert_outcomes(passed=1)
