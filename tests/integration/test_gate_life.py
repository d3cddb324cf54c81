"""The whole life of a gate on a real git repository: what a team sees from its first baseline on.

The project's joules are replayed, one for each operation that its training really counts, so that each change below is
a change of code and nothing else.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from energybench.cli import main

GATE = ("--energy-compare=main", "--energy-inconclusive=fail", "--junitxml=gate.xml")
# The noise that is assumed between sessions without a history (2 % in common, 1 % per case) leaves a change of 0 an
# interval that ends beyond 5 %.
MARGIN = "--energy-margin=0.1"


@dataclass(frozen=True)
class Outcome:
    """What one pytest session ended as."""

    code: int
    text: str
    gates: Mapping[str, ElementTree.Element]
    """case, or `run`, -> its gate's <testcase> in the JUnit file"""

    @property
    def failed(self) -> dict[str, str]:
        """Gate -> what it says, of those that failed."""
        found = {name: gate.find("failure") for name, gate in self.gates.items()}
        return {name: str(failure.text) for name, failure in found.items() if failure is not None}

    def verdict(self, case: str) -> str:
        (value,) = [p.get("value") for p in self.gates[case].iter("property") if p.get("name") == "energybench_verdict"]
        return str(value)


def measure(project: Any, *args: str, **variables: str) -> Outcome:
    """`pytest benches --energy-rounds=3 ARGS` in the project."""
    junit = project.path / "gate.xml"
    junit.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-p", "energybench.plugin", "benches", "--energy-rounds=3", *args]
    done = subprocess.run(command, cwd=project.path, env={**os.environ, **variables}, capture_output=True, text=True)
    gates = {}
    if junit.exists():
        for case in ElementTree.parse(junit).getroot().iter("testcase"):
            if case.get("classname") == "energybench":
                gates[str(case.get("name")).removeprefix("gate[").removesuffix("]")] = case
    return Outcome(done.returncode, done.stdout + done.stderr, gates)


def energybench(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(list(argv), out, err)
    return code, out.getvalue(), err.getvalue()


def statuses(project: Any) -> dict[str, str]:
    return {name[5:]: document["energybench"]["status"] for name, document in project.runs().items()}


measured: dict[str, bytes] = {}
"""the run of main, measured once: it is the same in every test"""


@pytest.fixture
def baseline(git_project: Any) -> Any:
    """main measured, promoted and committed with its run; a branch `change` checked out."""
    with (git_project.path / ".gitignore").open("a") as file:
        file.write("/gate.xml\n/.benchmarks/.*\n")
    git_project.commit("the suite")
    if not measured:
        outcome = measure(git_project, "--benchmark-save=first")
        assert outcome.code == 0, outcome.text
        (path,) = git_project.path.glob(".benchmarks/*/*.json")
        measured[str(path.relative_to(git_project.path))] = path.read_bytes()
    for name, content in measured.items():
        (git_project.path / name).parent.mkdir(parents=True, exist_ok=True)
        (git_project.path / name).write_bytes(content)
    code, _, err = energybench("baseline", "set", "main", "latest")
    assert code == 0, err
    git_project.commit("baseline of main")
    git_project.git("checkout", "--quiet", "-b", "change")
    return git_project


def test_an_honest_change_passes_every_gate(baseline: Any) -> None:
    baseline.change("points, threshold =", "points, threshold = [], 0.0\n    points, threshold =")
    baseline.commit("an honest change")
    outcome = measure(baseline, *GATE, MARGIN, "--benchmark-save=honest")
    assert outcome.code == 0, outcome.text
    assert set(outcome.gates) == {*baseline.CASES, "run"}
    assert outcome.failed == {}
    assert {outcome.verdict(case) for case in baseline.CASES} == {"energy:ok,accuracy:ok"}
    assert statuses(baseline) == {"first": "ok", "honest": "ok"}


def test_a_slower_training_loop_is_named_and_its_run_never_becomes_a_baseline(baseline: Any) -> None:
    baseline.change(*baseline.SLOWER)
    baseline.commit("a further pass over a fifth of the points")
    outcome = measure(baseline, *GATE, MARGIN, "--benchmark-save=slower")
    assert outcome.code == 1
    assert set(baseline.CASES) <= set(outcome.failed)
    for case in baseline.CASES:
        assert outcome.verdict(case).startswith("energy:regressed")
        assert "energy regressed +2" in outcome.failed[case]
        assert "seconds per epoch" in outcome.failed[case]
    assert statuses(baseline) == {"first": "ok", "slower": "regressed"}
    assert "first" in energybench("show", "latest")[1].splitlines()[0]
    code, _, err = energybench("baseline", "set", "main", "slower")
    assert (code, "regressed" in err) == (2, True)
    # What main is held against has not moved.
    assert set(measure(baseline, *GATE, MARGIN).failed) == set(outcome.failed)


def test_only_the_case_that_got_slower_fails(baseline: Any) -> None:
    baseline.change("operations += 1", "operations += 1 + (model == 'large' and x < 0.3)")
    baseline.commit("the large model is slower")
    outcome = measure(baseline, *GATE, MARGIN)
    assert outcome.code == 1
    assert list(outcome.failed) == [baseline.CASES[2]]


def test_energy_that_is_saved_by_losing_accuracy_is_named_as_that(baseline: Any) -> None:
    baseline.change(*baseline.CHEAPER_AND_WORSE)
    baseline.commit("one epoch fewer")
    outcome = measure(baseline, *GATE, MARGIN, "--benchmark-save=worse")
    assert outcome.code == 1
    assert set(baseline.CASES) <= set(outcome.failed)
    for case in baseline.CASES:
        assert outcome.verdict(case) == "energy:improved,accuracy:regressed"
        assert "accuracy regressed -3." in outcome.failed[case]
        assert "trade-off" in outcome.failed[case]
    assert statuses(baseline)["worse"] == "regressed"


def test_a_renamed_case_is_missing(baseline: Any) -> None:
    baseline.change('"small": 200', '"little": 200')
    baseline.commit("another name")
    outcome = measure(baseline, *GATE, MARGIN)
    assert outcome.code == 1
    small = baseline.CASES[0]
    assert small in outcome.failed
    assert "is in the baseline" in outcome.failed[small]
    assert "Renamed or removed?" in outcome.failed[small]
    assert outcome.verdict(baseline.CASES[1]) == "energy:ok,accuracy:ok"
    assert "little" in " ".join(outcome.gates)
    assert not [name for name in outcome.failed if "little" in name]


def test_another_machine_cannot_be_compared(baseline: Any) -> None:
    outcome = measure(baseline, *GATE, MARGIN, CPU_MODEL="Xeon")
    assert outcome.code == 1
    assert set(baseline.CASES) <= set(outcome.failed)
    for case in baseline.CASES:
        assert "energy:not-comparable" in outcome.verdict(case)
        assert "cpu_model (EPYC -> Xeon)" in outcome.failed[case]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_was_stopped_is_partial_and_never_a_baseline(baseline: Any, number: signal.Signals) -> None:
    """Ctrl-C stores what is finished as partial; kill -9 leaves the journal, and resuming completes the run."""
    stop = f"""
            import os, signal, sys, time
            if os.environ.get("STOP") and model == "medium" and energy.seed == 1:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                os.kill(os.getpid(), {int(number)})
                time.sleep(60)

            def call():"""
    baseline.change("    def call():", stop.lstrip("\n").replace(" " * 12, " " * 4), baseline.SUITE)
    baseline.commit("can be stopped")
    stopped = measure(baseline, "--benchmark-save=stopped", STOP="1")
    assert stopped.code == (2 if number is signal.SIGINT else -signal.SIGKILL), stopped.text
    (journal,) = (baseline.path / ".benchmarks/.journal").glob("*.jsonl")
    partial = [name for name, status in statuses(baseline).items() if status == "partial"]
    assert len(partial) == (number is signal.SIGINT)
    for name in partial:
        code, _, err = energybench("baseline", "set", "main", name)
        assert (code, "partial" in err) == (2, True)
    assert "first" in energybench("show", "latest")[1].splitlines()[0]
    assert baseline.CASES[0] in journal.read_text()

    resumed = measure(baseline, "--energy-resume", "--benchmark-save=resumed", *GATE, MARGIN)
    assert resumed.code == 0, resumed.text
    assert "from the interrupted sweep" in resumed.text
    assert statuses(baseline)["resumed"] == "ok"
    assert "resumed" in energybench("show", "latest")[1].splitlines()[0]


def test_stock_pytest_benchmark_reads_the_store_after_all_this(baseline: Any) -> None:
    assert measure(baseline, *GATE, MARGIN, "--benchmark-save=honest").code == 0
    baseline.change(*baseline.SLOWER)
    baseline.commit("slower")
    assert measure(baseline, *GATE, MARGIN, "--benchmark-save=slower").code == 1
    assert energybench("ab", "main", "change", "--rounds", "2", "--", "benches")[0] == 1

    def stock(*args: str) -> str:
        variables = {**os.environ, "PYTHONPATH": f"{baseline.path / 'src'}:{os.environ['PYTHONPATH']}"}
        command = [sys.executable, "-m", "pytest_benchmark", *args]  # it imports the conftest
        done = subprocess.run(command, cwd=baseline.path, env=variables, check=True, capture_output=True, text=True)
        return done.stdout

    names = [Path(line).stem for line in stock("list").split() if Path(line).name != "baselines.json"]
    assert names == sorted(baseline.runs())
    assert [name.rpartition("_")[2] for name in names] == ["first", "honest", "slower", "base", "head"]
    compared = stock("compare", "0001", "0005", "--columns=mean,rounds")
    assert "test_train[small] (0001_first)" in compared
