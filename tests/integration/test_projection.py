"""--energy-project, --energy-stop-after, budgets: a round is known before it is over, and not taken for measured."""

from __future__ import annotations

import io
import json
import os
import signal
import zlib
from typing import Any

import pytest

from energybench.cli import main

LAP_J, LAP_S = 36.0, 2.0
CASES = """
    import pytest
    from pathlib import Path

    def log(word):
        with Path(__file__).with_name("log").open("a") as file:
            print(word, file=file)

    EPOCHS = 100

    MARKER
    def test_train(energy):
        energy.plan(epochs=EPOCHS)
        def train():
            for number in range(1, EPOCHS + 1):
                with energy.lap("epoch"):
                    log(number)
            log("end")
        energy(train)
        log("assert")
    """
TRAIN = "test_bench.py::test_train"


def laps(epochs: int = 100, joules: float = LAP_J, between: tuple[str, float] | None = None) -> list[dict[str, Any]]:
    """Recorded epochs of a replay file, the first a third dearer; `between` is a lap after each with its joules."""
    found = []
    for number in range(epochs):
        cost = joules * (4 / 3 if number == 0 else 1)
        found.append({"label": "epoch", "seconds": LAP_S, "joules": {"package:0": cost}})
        if between is not None:
            found.append({"label": between[0], "seconds": 1.0, "joules": {"package:0": between[1]}})
    return found


def recording(project: Any, *windows: dict[str, Any]) -> None:
    rows = [{"label": "*", "seconds": 210.0, "joules": {"package:0": 3700.0}, **window} for window in windows]
    document = {"schema": 1, "domains": [{"name": "package:0"}], "windows": rows}
    (project.path / "replay.json").write_text(json.dumps(document))


def write(project: Any, marker: str = "", **changes: str) -> None:
    text = CASES.replace("MARKER", marker)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    project.cases(text)


def journal(project: Any) -> list[dict[str, Any]]:
    """Every whole record of the newest journal."""
    path = max(project.path.glob(".benchmarks/.journal/*.jsonl"))
    records = []
    for line in path.read_bytes().splitlines():
        checksum, _, text = line.partition(b" ")
        assert int(checksum, 16) == zlib.crc32(text)
        records.append(json.loads(text))
    return records


def show(project: Any) -> str:
    out = io.StringIO()
    assert main(["show", str(project.last().path), "--storage", str(project.path / ".benchmarks")], out, out) == 0
    return out.getvalue()


def test_a_hundred_epochs_end_after_a_few_as_a_skip_whose_reason_is_the_projection(project: Any) -> None:
    write(project)
    recording(project, {"laps": laps()})
    result = project.run("--energy-stop-after=stable", "--energy-rounds=3", "-rs", "--junitxml=out.xml")
    result.assert_outcomes(skipped=1)
    assert result.ret == 0
    assert project.log() == ["1", "2", "3", "4", "5"]
    reason = "projected: 1.00 Wh (0.969 to 1.04) after 5 of 100 epochs; an estimate, not a measurement"
    project.says(
        result,
        "energybench: rounds are projected from their epochs while they run; a case ends once its energy is known*5 %",
        f"[[]1/1[]] test_train: {reason} *",
        f"SKIPPED [[]1[]] test_bench.py:*: {reason}",
        "Projected, not measured: rounds that were ended early",
    )
    (case,) = [line for line in (project.path / "out.xml").read_text().split("<testcase") if "test_train" in line]
    assert f'<skipped type="pytest.skip" message="{reason}"' in case

    stored = project.last()
    assert stored.document["benchmarks"] == []
    session = stored.document["energybench"]
    assert session["status"] == "partial"
    (entry,) = session["projections"]
    assert (entry["case"], entry["round"], entry["seed"], entry["ended"]) == (TRAIN, 1, 0, "stable")
    estimate = entry["estimate"]
    assert estimate["joules"] == pytest.approx(36 * 100 + 12)
    assert estimate["low"] < estimate["joules"] < estimate["high"]
    assert (estimate["high"] - estimate["low"]) / 2 / estimate["joules"] <= 0.05
    assert estimate["basis"]["epochs_seen"] == 5
    assert session["unmeasured"] == [{"fullname": TRAIN, "status": "partial", "warnings": [reason]}]

    (record,) = journal(project)
    assert record["kind"] == "laps"
    assert "record" not in record
    assert [lap["joules"]["package:0"] for lap in record["laps"]] == [48.0, 36.0, 36.0, 36.0, 36.0]
    text = show(project)
    assert "No case was measured." in text
    assert "Projected, not measured: rounds that were ended early" in text
    assert "STEP, energy form, 90 % interval; in no total and no verdict." in text


def test_no_joule_of_it_is_in_any_verdict(project: Any) -> None:
    write(project)
    project.file("test_other.py", "def test_other(energy):\n    energy(lambda: None)\n")
    recording(project, {"laps": laps()})
    project.run("--energy-rounds=2", "--benchmark-save=main").assert_outcomes(passed=2)
    result = project.run("--energy-stop-after=stable", "--energy-rounds=2", "--energy-compare=main", "-rf")
    result.assert_outcomes(skipped=1, passed=3, failed=1)
    project.says(
        result, f"{TRAIN}: no round was finished in this session (its first round was ended early: projected: *"
    )
    stored = project.last()
    assert list(stored.records) == ["test_other.py::test_other"]
    out = io.StringIO()
    assert main(["compare", "main", str(stored.path), "--storage", str(project.path / ".benchmarks")], out, out) == 4
    assert "missing" in out.getvalue()


def test_a_resumed_sweep_takes_the_laps_for_no_round_and_measures_the_case_in_whole(project: Any) -> None:
    write(project)
    project.file("test_other.py", "def test_other(energy):\n    energy(lambda: None)\n")
    recording(project, {"laps": laps()})
    project.run("--energy-stop-after=stable", "--energy-rounds=2").assert_outcomes(skipped=1, passed=1)
    (project.path / "log").unlink()
    resumed = project.run("--energy-resume", "--energy-rounds=2")
    resumed.assert_outcomes(passed=2)
    project.says(resumed, "*test_other: round 2/2, *, 2 from the interrupted sweep*")
    assert project.log() == 2 * [*map(str, range(1, 101)), "end"] + ["assert"]
    stored = project.last()
    assert stored.joules(TRAIN) == [3700.0, 3700.0]
    assert stored.status == "ok"
    assert "projections" not in stored.document["energybench"]


def test_rounds_that_were_measured_before_stay_and_the_case_is_partial(project: Any) -> None:
    """Its first round is noisy and never tight, the second one is."""
    write(project, **{"EPOCHS = 100": "EPOCHS = 8"})
    noisy = [{"label": "epoch", "seconds": 2.0, "joules": {"package:0": j}} for j in (40, 70, 20, 90, 15, 99, 30, 80)]
    recording(project, {"laps": noisy}, {"laps": laps(8)})
    result = project.run("--energy-stop-after=stable", "--energy-rounds=3")
    result.assert_outcomes(skipped=1)
    assert project.log()[:9] == [*map(str, range(1, 9)), "end"]
    assert project.log()[9:] == ["1", "2", "3", "4"][: len(project.log()) - 9]
    stored = project.last()
    assert stored.joules(TRAIN) == [3700.0]
    assert stored.records[TRAIN]["status"] == "partial"
    assert [entry["round"] for entry in stored.document["energybench"]["projections"]] == [2]


def test_what_is_between_the_epochs_is_projected_too_and_what_lies_inside_them_is_not_counted_twice(
    project: Any,
) -> None:
    inside = 'with energy.lap("epoch"):\n                    with energy.lap("step"):\n                        pass\n'
    after = '                with energy.lap("eval"):\n                    pass\n                if False:'
    write(project, **{'with energy.lap("epoch"):': f"{inside}{after}"})
    steps = [{"label": "step", "seconds": 1.0, "joules": {"package:0": 10.0}} for _ in range(100)]
    recording(project, {"laps": [*laps(between=("eval", 9.0)), *steps]})
    project.run("--energy-stop-after=stable").assert_outcomes(skipped=1)
    (entry,) = project.last().document["energybench"]["projections"]
    assert entry["estimate"]["joules"] == pytest.approx(100 * (36 + 9) + 12)
    assert entry["estimate"]["basis"]["seconds"] == pytest.approx(100 * 3.0)


def test_a_budget_that_will_be_exceeded_fails_the_case_and_keeps_its_laps(project: Any) -> None:
    write(project, "@pytest.mark.energybench(max_kwh=0.0005)")
    recording(project, {"laps": laps()})
    result = project.run("--energy-project", "--energy-pue=2")
    result.assert_outcomes(failed=1)
    said = (
        "the budget of 0.000500 kWh will be exceeded: 0.00100 kWh of IT energy (*) are projected after 3 of 100 epochs"
        "; the round was ended there, its finished laps are in the journal"
    )
    project.says(result, said)
    assert project.log() == ["1", "2", "3"]
    stored = project.last()
    assert stored.document["benchmarks"] == []
    assert stored.status == "failed"
    (entry,) = stored.document["energybench"]["projections"]
    assert (entry["ended"], entry["pue"]) == ("over budget", 2.0)
    (record,) = journal(project)
    assert len(record["laps"]) == 3
    # Without the flag the same case runs to its end, and is held to its budget then.
    (project.path / "log").unlink()
    whole = project.run()
    whole.assert_outcomes(failed=1)
    project.says(whole, "*the budget of 0.000500 kWh was exceeded by *")
    assert project.log()[-1] == "end"


def test_a_budget_that_may_be_kept_stops_nothing(project: Any) -> None:
    write(project, "@pytest.mark.energybench(max_kwh=0.00103)")
    recording(project, {"laps": laps()})
    project.run("--energy-project").assert_outcomes(passed=1)
    assert project.log()[-1] == "assert"
    assert project.last().joules(TRAIN) == [3700.0]
    assert "projections" not in project.last().document["energybench"]


@pytest.mark.parametrize(
    ("declared", "seen"),
    [
        ("energy.workload(recipe={'epochs': 100, 'lr': 0.1})", "after 5 of 100 epochs"),
        ("energy.workload(model='m', epochs=100)", "after 5 of 100 epochs"),
        ("energy.workload(epochs=7); energy.plan(100)", "after 5 of 100 epochs"),
    ],
)
def test_the_number_of_epochs_comes_from_the_plan_or_the_declared_workload(
    project: Any, declared: str, seen: str
) -> None:
    write(project, **{"energy.plan(epochs=EPOCHS)": declared})
    recording(project, {"laps": laps()})
    project.says(project.run("--energy-stop-after=stable"), f"*{seen}; an estimate*")


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ("pass", "how many epochs they train is not declared: energy.plan(epochs=N)"),
        ("energy.plan(None)", "how many epochs they train is not declared: energy.plan(epochs=N)"),
        ("energy.plan(2)", "3 epochs have ended already, more than the 2 that are planned"),
    ],
)
def test_what_cannot_be_projected_runs_to_its_end_and_is_named_with_the_reason(
    project: Any, declared: str, reason: str
) -> None:
    write(project, **{"energy.plan(epochs=EPOCHS)": declared, "EPOCHS = 100": "EPOCHS = 3"})
    recording(project, {"laps": laps()})
    result = project.run("--energy-stop-after=stable")
    result.assert_outcomes(passed=1)
    project.says(result, f"note: not projected: test_train: {reason}")


def test_with_early_stopping_the_losses_say_how_many_epochs_it_will_be(project: Any) -> None:
    project.cases("""
        def test_train(energy):
            def train():
                energy.plan(60, patience=2, min_delta=0.05)
                for number in range(9):
                    with energy.lap("epoch"):
                        pass
                    with energy.lap("eval"):
                        loss = 0.5 + 1.5 * 0.5**number  # nine epochs by this rule
                    energy.note(loss=loss)
            energy(train)
        """)
    recording(project, {"laps": laps(between=("eval", 4.0))})
    result = project.run("--energy-stop-after=stable")
    result.assert_outcomes(skipped=1)
    (entry,) = project.last().document["energybench"]["projections"]
    basis = entry["estimate"]["basis"]
    assert (basis["epochs_seen"], basis["epochs"]) == (7, 9)
    (record,) = journal(project)
    assert record["laps"][-1]["label"] == "eval"  # it waited for the loss


def test_without_losses_early_stopping_is_an_upper_bound_that_ends_nothing(project: Any) -> None:
    write(
        project,
        "@pytest.mark.energybench(max_kwh=0.0005)",
        **{"energy.plan(epochs=EPOCHS)": "energy.plan(100, patience=3)"},
    )
    recording(project, {"laps": laps()})
    result = project.run("--energy-stop-after=stable")
    result.assert_outcomes(failed=1)
    project.says(result, "*the budget of 0.000500 kWh was exceeded*")
    assert project.log()[-1] == "end"


def test_a_change_of_batch_restarts_the_window(project: Any) -> None:
    project.cases("""
        def test_train(energy):
            energy.plan(100)
            def train():
                energy.note(batch=32)
                for number in range(1, 101):
                    if number == 4:
                        energy.note(batch=64)
                    with energy.lap("epoch"):
                        pass
            energy(train)
        """)
    recording(project, {"laps": laps()})
    project.run("--energy-stop-after=stable").assert_outcomes(skipped=1)
    (entry,) = project.last().document["energybench"]["projections"]
    assert entry["estimate"]["basis"]["window"][0] == 5
    assert "batch 32 to 64 at epoch 4: the window begins behind it" in entry["estimate"]["warnings"]


def test_cleaning_up_runs_and_except_exception_does_not_hold_it_up(project: Any) -> None:
    project.cases("""
        from pathlib import Path

        def log(word):
            with Path(__file__).with_name("log").open("a") as file:
                print(word, file=file)

        def test_train(energy):
            energy.plan(100)
            def train():
                for number in range(1, 101):
                    try:
                        with energy.lap("epoch"):
                            log(number)
                    except Exception:
                        log("held")
                    finally:
                        log("clean")
            energy(train)
        """)
    recording(project, {"laps": laps()})
    project.run("--energy-stop-after=stable").assert_outcomes(skipped=1)
    assert project.log() == [word for number in range(1, 6) for word in (str(number), "clean")]


def test_a_bare_except_only_delays_it_and_a_worker_thread_looks_at_the_flag(project: Any) -> None:
    project.cases("""
        import threading

        def test_bare(energy):
            energy.plan(100)
            def train():
                for number in range(100):
                    try:
                        with energy.lap("epoch"):
                            pass
                    except:
                        if number > 20:
                            raise
            energy(train)

        def test_swallowed(energy):
            energy.plan(100)
            def train():
                try:
                    for number in range(100):
                        with energy.lap("epoch"):
                            pass
                except BaseException:
                    pass
            energy(train)

        def test_thread(energy):
            energy.plan(100)
            done = []
            def loop():
                for number in range(100):
                    with energy.lap("epoch"):
                        pass
                    done.append(number)
                    if energy.stopping:
                        break
            def train():
                thread = threading.Thread(target=loop)
                thread.start()
                thread.join()
                assert len(done) == 5
            energy(train)
        """)
    recording(project, {"laps": laps()})
    project.run("--energy-stop-after=stable").assert_outcomes(skipped=3)
    assert len(project.last().document["energybench"]["projections"]) == 3


def test_pedantic_tears_its_round_down_and_measures_no_further_one(project: Any) -> None:
    project.cases("""
        from pathlib import Path

        def log(word):
            with Path(__file__).with_name("log").open("a") as file:
                print(word, file=file)

        def test_train(energy):
            energy.plan(100)
            def train(state):
                for number in range(100):
                    with energy.lap("epoch"):
                        pass
            def setup():
                log("up")
                return (1,), {}
            energy.pedantic(train, setup=setup, teardown=lambda state: log("down"), rounds=3)
        """)
    recording(project, {"laps": laps()})
    project.run("--energy-stop-after=stable").assert_outcomes(skipped=1)
    assert project.log() == ["up", "down"]


def test_a_warm_up_runs_in_whole_as_it_was_asked_for(project: Any) -> None:
    write(project)
    recording(project, {"laps": laps()})
    project.run("--energy-stop-after=stable", "--energy-warmup=1").assert_outcomes(skipped=1)
    assert project.log() == [*map(str, range(1, 101)), "end", "1", "2", "3", "4", "5"]
    (entry,) = project.last().document["energybench"]["projections"]
    assert entry["round"] == 1


def test_interleaved_the_other_cases_go_on(project: Any) -> None:
    write(project, **{"def test_train": "def test_first(energy):\n        energy(lambda: None)\n\n    def test_train"})
    recording(project, {"laps": laps()})
    project.run("--energy-stop-after=stable", "--energy-rounds=2", "--energy-interleave").assert_outcomes(
        skipped=1, passed=1
    )
    assert len(project.last().records["test_bench.py::test_first"]["rounds"]) == 2


def test_without_pytest_benchmark_and_without_a_store_it_is_the_same(project: Any) -> None:
    write(project)
    recording(project, {"laps": laps()})
    project.run("--energy-stop-after=stable", "-pno:benchmark").assert_outcomes(skipped=1)
    assert len(project.last().document["energybench"]["projections"]) == 1
    project.run("--energy-stop-after=stable", "--energy-no-save").assert_outcomes(skipped=1)
    assert len(project.stored()) == 1


def test_joules_of_a_counter_are_projected_exactly(project: Any, powercap: Any) -> None:
    """A fake package whose counter the training itself moves: 2 J in each epoch, 0.5 J in each validation."""
    counter = powercap.zone("intel-rapl:0", "package-0")
    project.cases(f"""
        from pathlib import Path
        counter, spent = Path({str(counter)!r}), [0]

        def spend(joules):
            spent[0] += int(joules * 1e6)
            counter.write_text(f"{{spent[0]}}\\n")

        def test_train(energy):
            energy.workload(epochs=50)
            def train():
                for number in range(50):
                    with energy.lap("epoch"):
                        spend(2.0)
                    with energy.lap("eval"):
                        spend(0.5)
            energy(train)
        """)
    project.run("--energy-stop-after=stable", f"--energy-powercap-root={powercap.root}", meters="rapl").assert_outcomes(
        skipped=1
    )
    (entry,) = project.last().document["energybench"]["projections"]
    assert entry["estimate"]["joules"] == pytest.approx(50 * 2.5)
    assert entry["provenance"] == "measured"
    assert entry["estimate"]["warnings"] == []


def test_killed_in_the_middle_the_projected_case_is_stored_by_nobody_as_a_round(project: Any) -> None:
    write(project)
    project.file(
        "test_other.py",
        """
        import os, signal
        def test_other(energy):
            if os.environ.get("KILL"):
                os.kill(os.getpid(), signal.SIGKILL)
            energy(lambda: None)
        """,
    )
    recording(project, {"laps": laps()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KILL", "1")
        assert project.run_apart("--energy-stop-after=stable").ret == -signal.SIGKILL
    assert os.environ.get("KILL") is None
    project.run("--energy-stop-after=stable", "--energy-resume").assert_outcomes(skipped=1, passed=1)
    assert list(project.last().records) == ["test_other.py::test_other"]
    assert [record["kind"] for record in journal(project)] == ["laps", "laps", "round"]


def test_notes_and_plans_that_mean_nothing_are_refused_with_or_without_projecting(project: Any) -> None:
    project.cases("""
        import pytest

        def test_after(energy):
            energy(lambda: None)
            energy.note(loss=1.0)

        @pytest.mark.parametrize("noted", [{"los": 1.0}, {"loss": "low"}])
        def test_note(energy, noted):
            energy(lambda: energy.note(**noted))

        def test_plan(energy):
            energy.plan(epochs=2.5)

        def test_not_finite(energy):
            energy(lambda: energy.note(loss=float("nan"), lr=0.1))
        """)
    for asked in ([], ["--energy-project"], ["--benchmark-disable"]):
        result = project.run(*asked)
        result.assert_outcomes(failed=4, passed=1)
        project.says(
            result,
            "*energy.note(...) belongs inside the function that energy(...) meters",
            "*energy.note(los=...) means nothing; there are loss, lr, optimizer, frozen, batch, data",
            "*energy.note(loss=...) takes a number, not str",
            "*energy.plan(epochs=...) is a whole number of at least 0, or None, not 2.5",
        )


def test_what_is_noted_of_epochs_is_stored_and_projected_from_afterwards(project: Any) -> None:
    project.cases("""
        def test_train(energy):
            def train():
                energy.note(batch=32, lr=0.1)
                for number in range(1, 11):
                    if number == 4:
                        energy.note(batch=64)
                    with energy.lap("epoch"):
                        pass
                    energy.note(loss=2.0 - 0.1 * number)
            energy(train)
        """)
    recording(project, {"laps": laps(10)})
    project.run().assert_outcomes(passed=1)
    (round,) = project.last().records["test_bench.py::test_train"]["rounds"]
    notes = [lap["notes"] for lap in round["laps"] if lap["label"] == "epoch"]
    assert notes[0] == {"batch": 32, "lr": 0.1, "loss": pytest.approx(1.9)}
    assert notes[9] == {"batch": 64, "lr": 0.1, "loss": pytest.approx(1.0)}

    out, err = io.StringIO(), io.StringIO()
    storage = ("--storage", str(project.path / ".benchmarks"))
    assert main(["estimate", "step", "latest", "--epochs", "100", *storage], out, err) == 0
    assert "batch 32 to 64 at epoch 4: the window begins behind it" in " ".join(out.getvalue().split())
    out = io.StringIO()
    stopping = ("--early-stopping", "3:0.05", "--format", "json")
    assert main(["estimate", "step", "latest", "--epochs", "100", *stopping, *storage], out, err) == 0
    assert json.loads(out.getvalue())["basis"]["epochs_interval"][0] > 10
