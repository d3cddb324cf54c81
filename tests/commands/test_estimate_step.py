"""`energybench estimate`: step, check, consistency."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from energybench.cli import main
from energybench.commands.estimate.check import rated_w
from energybench.model import Case, Domain, Provenance, Round, Window
from energybench.store import document, write

EPOCHS = "epoch,seconds,joules,loss\n" + "".join(
    f"{k},10,{130 if k == 1 else 100 + k % 3},{2 * 0.5**k + 0.4:.4f}\n" for k in range(1, 9)
)


def run(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["estimate", *(str(word) for word in argv)], out, err)
    return code, out.getvalue(), err.getvalue()


def case(name: str, joules: list[float], provenance: Provenance = Provenance.MEASURED) -> Case:
    laps = tuple(Window(10.0, {"cpu": value}, label="epoch") for value in joules)
    window = Window(10.0 * len(joules) + 5, {"cpu": sum(joules) + 20}, laps=laps)
    return Case(
        f"b.py::t[{name}]",
        (Round(window),),
        domains=(Domain("cpu", "estimate", provenance),),
        comparability={"cpu": "unknown", "cpu_count": 2, "estimate_w_per_cpu": 5.5},
        pue=1.58,
    )


def store(folder: Path, *cases: Case) -> Path:
    session = {"session": "s", "status": "ok", "pue": 1.58}
    return write(document(list(cases), machine={"node": "box"}, commit={}, session=session), folder, "run1")


@pytest.fixture
def epochs(tmp_path: Path) -> Path:
    path = tmp_path / "epochs.csv"
    path.write_text(EPOCHS)
    return path


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    store(tmp_path, case("a", [130.0, 100.0, 101.0, 99.0, 100.0]), case("b", [50.0, 51.0, 50.0, 49.0]))
    return tmp_path


def test_a_file_of_epochs_is_projected(epochs: Path) -> None:
    code, out, err = run("step", epochs, "--epochs", 90)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == str(epochs)
    assert lines[1].startswith("  STEP, energy form: 9.1")
    assert lines[1].endswith("for 90 epochs")
    assert "PUE" not in out
    assert "at PUE 1.5: " in run("step", epochs, "--epochs", 90, "--pue", 1.5)[1]


def test_the_json_has_what_a_program_needs(epochs: Path) -> None:
    code, out, _ = run("step", epochs, "--epochs", 20, "--skip", 2, "--window", 5, "--format", "json")
    read = json.loads(out)
    assert code == 0
    assert set(read) == {"schema", "joules", "low", "high", "method", "basis", "warnings"}
    assert read["low"] < read["joules"] < read["high"]
    assert read["basis"]["window"] == [3, 7]
    assert read["basis"]["source"] == str(epochs)


def test_a_case_of_a_run_is_projected_with_its_pue(storage: Path) -> None:
    code, out, err = run("step", "run1", "--case", "a", "--epochs", 50, "--storage", storage)
    assert (code, err) == (0, "")
    assert out.startswith("0001_run1, a, round 1 of 1\n")
    assert "at PUE 1.58: " in out
    assert "4 % of the round lies outside its epochs" in out
    first = json.loads(
        run("step", 1, "--case", "a", "--epochs", 5, "--seen", 3, "--storage", storage, "--format", "json")[1]
    )
    assert first["basis"]["epochs_seen"] == 3
    assert first["joules"] == pytest.approx(331 + 2 * 100.5)


def test_early_stopping_and_planned_changes(epochs: Path) -> None:
    argv = ("step", epochs, "--epochs", 40, "--seen", 5, "--early-stopping", "3:0.01", "--change", "30:optimizer")
    code, out, _ = run(*argv)
    assert code == 0
    assert "for about" in out
    assert "note: optimizer changes at epoch 30, behind the window" in out


def test_a_power_series_finds_the_stable_epoch(tmp_path: Path, epochs: Path) -> None:
    alone = tmp_path / "power.csv"
    alone.write_text("seconds,watts\n" + "".join(f"{s},{10 + (s % 10 < 8)}\n" for s in range(201)))
    code, out, _ = run("step", alone, "--epochs", 90, "--seen", 20, "--form", "power")
    assert code == 0
    assert "STEP, power form" in out
    assert "matrix profile and FLUSS on 200 samples" in " ".join(out.split())
    assert run("step", epochs, "--epochs", 90, "--power", alone)[0] == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--epochs", 5), "8 epochs have ended already, more than the 5 that are planned"),
        (("--epochs", 90, "--window", 9), "The window takes 9 epochs; of the 8 that have ended 7 are stable"),
        (("--epochs", 90, "--case", "a"), "--case chooses from a stored run"),
        (("--epochs", 90, "--seen", 9), "has 8 epochs, not 9"),
        (("--epochs", 90, "--early-stopping", "x"), "'x' is not PATIENCE:MIN_DELTA"),
        (("--epochs", 90, "--change", "x"), "'x' is not EPOCH:WHAT"),
        ((), "the following arguments are required: --epochs"),
    ],
)
def test_bad_input_exits_2_with_a_sentence(epochs: Path, argv: tuple[object, ...], said: str) -> None:
    code, out, err = run("step", epochs, *argv)
    assert (code, out) == (2, "")
    assert said in err


def test_an_answer_imports_neither_torch_nor_numpy(epochs: Path) -> None:
    code = (
        "import sys; from energybench.cli import main; main(sys.argv[1:]); "
        "print(*{'torch', 'numpy', 'scipy', 'pytest', 'sklearn'} & set(sys.modules), file=sys.stderr)"
    )
    argv = [sys.executable, "-c", code, "estimate", "step", str(epochs), "--epochs", "90"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.startswith(str(epochs))
    assert done.stderr.strip() == ""


def test_check_prints_the_tables_and_the_consistency(storage: Path) -> None:
    code, out, _ = run("check", "run1", "--storage", storage)
    assert code == 0
    assert "STEP replayed: median absolute error of the total energy of the epochs" in out
    assert "2 trainings of 4 to 5 epochs." in out
    assert "TDP x t %" in out
    assert "0001_run1: 2 rounds, 2 with laps, none against a trace (no trace was" in out
    read = json.loads(run("check", "run1", "--storage", storage, "--format", "json")[1])
    assert set(read) == {"schema", "run", "step", "pre", "consistency"}
    one = next(row for row in read["step"] if row["window"] is None and row["share"] == 0.4)
    assert one["answered"] == 2
    assert one["step"] < one["so_far"]
    assert one["rated"] == pytest.approx((5 * 10 * 11 / 530 - 1 + 4 * 10 * 11 / 200 - 1) / 2)
    given = json.loads(run("check", "run1", "--storage", storage, "--rated-w", 10, "--format", "json")[1])
    assert given["step"][1]["rated"] == pytest.approx((1 - 500 / 530 + 1) / 2)


def test_check_of_a_run_without_epochs_says_so(tmp_path: Path) -> None:
    store(tmp_path, case("a", [100.0, 100.0]))
    code, out, _ = run("check", "run1", "--storage", tmp_path)
    assert code == 0
    assert "STEP: no training of 0001_run1 has 3 epochs with energy" in out


def test_a_run_that_contradicts_itself_exits_1(tmp_path: Path) -> None:
    broken = case("a", [100.0, 100.0, 100.0])
    window = replace(broken.rounds[0].window, joules={"cpu": 200.0})
    store(tmp_path, replace(broken, rounds=(Round(window),)))
    for command in (("check", "run1"), ("consistency",)):
        code, out, _ = run(*command, "--storage", tmp_path)
        assert code == 1
        assert "a, round 1: the laps `epoch` took 300 J of cpu, the round 200 J" in out


def test_consistency_looks_at_every_stored_run(storage: Path) -> None:
    store(storage, case("c", [100.0, 100.0, 100.0]))
    code, out, err = run("consistency", "--storage", storage)
    assert (code, err) == (0, "")
    assert [line.partition(":")[0] for line in out.splitlines()] == ["0001_run1", "0002_run1"]
    assert run("consistency", 2, "--storage", storage)[1] == out.splitlines()[1] + "\n"
    (storage / "0003_torn.json").write_text("{")
    code, _, err = run("consistency", "--storage", storage)
    assert code == 2
    assert "0003_torn.json is not a whole JSON file" in err


def test_an_empty_store_is_said(tmp_path: Path) -> None:
    assert run("consistency", "--storage", tmp_path) == (0, "", f"energybench: no runs are stored in {tmp_path}.\n")


@pytest.mark.parametrize(
    ("domains", "watts"),
    [
        (("gpu:0", "gpu:1"), 700.0),
        (("gpu:1", "package:0", "package:1", "dram:0"), 400.0 + 280.0),
        (("gpu:2",), None),
        (("psys:0",), None),
        (("dram:0",), None),
    ],
)
def test_rated_power_is_that_of_every_domain_or_none(domains: tuple[str, ...], watts: float | None) -> None:
    said = {
        "gpus": [{"name": "A", "power_limit_w": 300.0}, {"name": "B", "power_limit_w": 400.0}, {"name": "C"}],
        "cpu": "AMD EPYC 7763 64-Core Processor",
        "cpu_count": 128,
    }
    parts = tuple(Domain(name, "m", Provenance.MEASURED) for name in domains)
    assert rated_w(Case("f", domains=parts, comparability=said)) == watts
