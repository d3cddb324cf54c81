"""`energybench interactions`, as its users call it."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from energybench.cli import main
from energybench.model import Case, Domain, Provenance, Round, Window
from energybench.store import document, write

SETTINGS = ("cpu-b16-t2-fp32", "cpu-b32-t2-fp32")
SCORES = {"small": 0.92, "large": 0.955}


def run(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["interactions", *map(str, argv)], out, err)
    return code, out.getvalue(), err.getvalue()


def case(model: str, setting: str, joules: Sequence[float], cpu: str = "EPYC") -> Case:
    return Case(
        f"benches/test_environment.py::test_environment[{model}-{setting}]",
        tuple(
            Round(
                Window(2.0, {"cpu": j + 1}, laps=(Window(1.0, {"cpu": j}, label="epoch"),)),
                {"images": 256.0, "accuracy": SCORES[model], "macro_f1": SCORES[model]},
                seed=seed,
            )
            for seed, j in enumerate(joules)
        ),
        domains=(Domain("cpu", "estimate", Provenance.ESTIMATED),),
        facts={
            "workload": {"protocol": "environment", "model": model, "compressor": "none"},
            "environment": {"id": setting, "default": setting == SETTINGS[1]},
        },
        comparability={"cpu": cpu, "cpu_count": 2},
    )


def store(storage: Path, name: str, cpu: str = "EPYC", models: Sequence[str] = ("small", "large")) -> None:
    cases = [
        case(model, setting, [10.0 * (1 + i) * (2 + j), 10.2 * (1 + i) * (2 + j)], cpu)
        for i, model in enumerate(models)
        for j, setting in enumerate(SETTINGS)
    ]
    made = document(cases, machine={}, commit={}, session={"session": name, "status": "ok", "interleaved": True})
    write(made, storage, name)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    store(tmp_path, "env")
    store(tmp_path, "elsewhere", "Xeon")
    store(tmp_path, "one", models=("small",))
    return tmp_path


def test_a_stored_run_is_tabled(storage: Path) -> None:
    code, out, err = run("env", "--storage", storage)
    assert (code, err) == (0, "")
    assert out.startswith("0001_env\n")
    assert "type II sums of squares" in out


def test_two_machines_are_held_against_their_own_baselines(storage: Path) -> None:
    code, out, _ = run("env", "elsewhere", "--storage", storage)
    assert code == 0
    assert "@B: Xeon" in out
    assert "run's own baseline" in out


def test_the_loss_decides_which_combination_may_be_the_cheapest(storage: Path) -> None:
    cheapest = {}
    for loss in (2, 3.5):
        code, out, _ = run("env", "--loss", loss, "--format", "json", "--storage", storage)
        assert code == 0
        found = json.loads(out)
        assert found["loss"] == pytest.approx(loss / 100)
        cheapest[loss] = next(c["cheapest"]["model"] for c in found["choices"] if c["scope"] == "all models")
    assert cheapest == {2: "large", 3.5: "small"}


def test_markdown_is_asked_for_by_name(storage: Path) -> None:
    code, out, _ = run("env", "--format", "markdown", "--storage", storage)
    assert code == 0
    assert out.startswith("# 0001_env\n")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("one",), "There is only one model, small: an interaction needs two models and two environments."),
        (("env", "env"), "0001_env was given twice"),
        (("env", "--loss", "101"), "a loss is between 0 and 100 points, not '101'"),
        (("env", "--loss", "-1"), "between 0 and 100 points"),
        (("env", "--loss", "nan"), "between 0 and 100 points"),
        (("env", "--loss", "two"), "invalid points value: 'two'"),
        (("nowhere",), "nowhere"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_2(storage: Path, argv: tuple[str, ...], said: str) -> None:
    code, out, err = run(*argv, "--storage", storage)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
