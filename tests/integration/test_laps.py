"""`energybench.integrations.laps` with the fixture of a real session."""

from __future__ import annotations

from typing import Any


def test_a_plain_loop_is_metered_epoch_by_epoch(project: Any) -> None:
    project.cases("""
        from energybench.integrations import laps

        def train(energy):
            for epoch in laps(range(3), energy):
                sum(range(1000))
            energy.record(accuracy=0.9)

        def test_it(energy):
            run = energy(train, energy)
            assert run.metric("epochs") == 3
        """)
    project.run(meters="estimate").assert_outcomes(passed=1)
    (round,) = project.last().records["test_bench.py::test_it"]["rounds"]
    assert [lap["label"] for lap in round["laps"]] == ["epoch"] * 3
    assert round["metrics"] == {"accuracy": 0.9, "epochs": 3.0}


def test_a_loop_outside_the_metered_function_is_told_where_it_belongs(project: Any) -> None:
    project.cases("""
        from energybench.integrations import laps

        def test_it(energy):
            energy(int)
            for _ in laps(range(3), energy):
                pass
        """)
    result = project.run(meters="estimate")
    result.assert_outcomes(failed=1)
    project.says(result, "*energy.record(...) belongs inside the function that energy(...) meters*")


def test_a_projection_ends_the_loop(project: Any) -> None:
    project.cases("""
        from energybench.integrations import laps

        def train(energy):
            for epoch in laps(range(40), energy):
                pass
            raise AssertionError("never reached")

        def test_it(energy):
            energy.plan(40)
            energy(train, energy)
        """)
    project.replay({"*": [(1000.0, 40.0)]}, name="replay.json")
    lap = {"label": "epoch", "seconds": 1.0, "joules": {"package:0": 25.0}}
    window = {"label": "*", "seconds": 40.0, "joules": {"package:0": 1000.0}, "laps": [lap] * 40}
    import json

    recording = {"schema": 1, "domains": [{"name": "package:0"}], "windows": [window]}
    (project.path / "replay.json").write_text(json.dumps(recording))
    result = project.run("--energy-stop-after=stable")
    result.assert_outcomes(skipped=1)
