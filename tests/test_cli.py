"""The command, as its users call it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from energybench import __version__
from energybench.cli import main
from energybench.model import Case
from energybench.store import document, machine_id, write

THREE = (100.0, 101.0, 99.5)


def run(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main([str(word) for word in argv], out, err)
    return code, out.getvalue(), err.getvalue()


def store(storage: Path, name: str, cases: list[Case], status: str = "ok") -> Path:
    session = {"session": name, "status": status, "pue": 1.58}
    return write(document(cases, machine={"node": "box"}, commit={}, session=session), storage, name)


@pytest.fixture
def storage(tmp_path: Path, make_case: Any) -> Path:
    """run1; run2, a doctored copy: +20 % joules in a-none, -10 points in b-none; other, which shares no case."""
    ids = ("a-none", "b-none", "c-none")
    cases = [make_case(id, THREE, accuracy=[0.90, 0.91, 0.90], pue=1.58) for id in ids]
    worse = [
        make_case("a-none", [j * 1.2 for j in THREE], accuracy=[0.90, 0.91, 0.90], pue=1.58),
        make_case("b-none", THREE, accuracy=[0.80, 0.81, 0.80], pue=1.58),
        cases[2],
    ]
    store(tmp_path, "run1", cases)
    store(tmp_path, "run2", worse)
    store(tmp_path, "other", [make_case("z-none")])
    return tmp_path


def test_the_version_is_printed() -> None:
    assert run("--version") == (0, f"energybench {__version__}\n", "")


@pytest.mark.parametrize("argv", [["--help"], ["compare", "--help"]])
def test_help_is_an_answer_and_no_error(argv: list[str]) -> None:
    code, out, err = run(*argv)
    assert (code, err) == (0, "")
    assert out.startswith("usage: energybench")


def test_runs_are_listed(storage: Path) -> None:
    code, out, err = run("list", "--storage", storage)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["0001_run1", "0002_run2", "0003_other"]


def test_an_empty_store_is_said(tmp_path: Path) -> None:
    code, out, err = run("list", "--storage", f"file://{tmp_path}")
    assert code == 0
    assert out == "No runs are stored.\n"
    assert str(tmp_path) in err


def test_a_run_is_shown_with_the_note_of_how_it_was_found(storage: Path) -> None:
    code, out, err = run("show", "latest", "--storage", storage, "--pue", "1")
    assert code == 0
    assert out.startswith("0003_other\n")
    assert "PUE 1 " in out
    assert err == "energybench: latest: 0003_other.\n"


def test_a_run_compared_with_itself_exits_0(storage: Path) -> None:
    code, out, err = run("compare", "run1", "run1", "--storage", storage, "--strict")
    assert (code, err) == (0, "")
    assert out.rstrip().endswith("energy 3 ok, geometric mean +0.0 % over 3 cases; accuracy 3 ok; passed (exit 0).")


def test_a_doctored_copy_exits_1_and_both_cases_are_named(storage: Path) -> None:
    code, out, _ = run("compare", "run1", "run2", "--storage", storage)
    assert code == 1
    assert "a-none: energy regressed: " in out
    assert "b-none: accuracy regressed: " in out
    assert "c-none: " not in out


def test_wider_margins_let_it_pass(storage: Path) -> None:
    argv = ("compare", 1, 2, "--storage", storage, "--margin", "30%", "--accuracy-margin", "0.2", "--noise-floor", "3%")
    assert run(*argv)[0] == 0


def test_the_json_format_is_strict_json_with_the_exit_code(storage: Path) -> None:
    code, out, _ = run("compare", "run1", "run2", "--storage", storage, "--format", "json")
    assert code == json.loads(out)["exit"] == 1


def test_nothing_in_common_exits_4_and_says_so_on_stderr(storage: Path) -> None:
    for more in ((), ("--common",)):
        code, _, err = run("compare", "run1", "other", "--storage", storage, *more)
        assert code == 4
        assert err == "energybench: No case was compared: the two runs have no case in common.\n"


def test_one_round_is_inconclusive_which_fails_only_when_strict(tmp_path: Path, make_case: Any) -> None:
    store(tmp_path, "a", [make_case("a-none", [100.0])])
    store(tmp_path, "b", [make_case("a-none", [102.0])])
    code, out, _ = run("compare", "a", "b", "--storage", tmp_path)
    assert code == 0
    assert "a-none: energy inconclusive: one round, assumed noise 3 %" in out
    assert run("compare", "a", "b", "--storage", tmp_path, "--strict")[0] == 3


def test_what_is_declared_to_vary_is_compared(tmp_path: Path, make_case: Any) -> None:
    case = make_case("a-none", THREE, comparability={"precision": "fp32"})
    store(tmp_path, "a", [case])
    store(tmp_path, "b", [replace(case, comparability={"precision": "bf16"})])
    code, out, _ = run("compare", "a", "b", "--storage", tmp_path)
    assert code == 4
    assert "differs in precision (fp32 -> bf16)" in out
    assert run("compare", "a", "b", "--storage", tmp_path, "--vary", "precision")[0] == 0


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ([], "COMMAND"),
        (["compare", "run1"], "CANDIDATE"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["compare", "run1", "run9"], "There is no run 'run9'"),
        (["compare", "run1", "run2", "--margin", "lots"], "invalid share value: 'lots'"),
        (["compare", "run1", "run2", "--margin", "0"], "not between 0 and 1"),
        (["compare", "run1", "run2", "--margin", "nan"], "not between 0 and 1"),
        (["compare", "run1", "run2", "--format", "xml"], "invalid choice: 'xml'"),
        (["compare", "run1", "run2", "--vary", "provenance"], "cannot be declared as varying"),
        (["show", "run1", "--pue", "0.5"], "a PUE is a number of at least 1"),
        (["show", "run1", "--pue", "inf"], "a PUE is a number of at least 1"),
    ],
)
def test_bad_input_is_one_sentence_on_stderr_and_exit_2(argv: list[str], complaint: str, storage: Path) -> None:
    where = ["--storage", str(storage)] if argv and argv[0] in ("compare", "show") else []
    code, out, err = run(*argv, *where)
    assert (code, out) == (2, "")
    assert err.startswith("energybench: ")
    assert complaint in err
    assert err.count("\n") == 1


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, _, err = run("list", "--storage", tmp_path / "nowhere")
    assert code == 2
    assert "nowhere" in err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"benchmarks": []}'])
def test_torn_and_foreign_files_exit_2(text: str, storage: Path) -> None:
    bad = storage / machine_id() / "0004_bad.json"
    bad.write_text(text)
    code, out, err = run("compare", "run1", "bad", "--storage", storage)
    assert (code, out) == (2, "")
    assert "0004_bad.json" in err
    assert "unreadable" in run("list", "--storage", storage)[1]


def test_the_store_is_looked_for_upwards(storage: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "deep" / "down").mkdir(parents=True)
    (storage / machine_id()).rename(tmp_path / "moved")
    (root / ".benchmarks").mkdir()
    (tmp_path / "moved").rename(root / ".benchmarks" / machine_id())
    monkeypatch.chdir(root / "deep" / "down")
    assert run("show", "run1")[0] == 0


@pytest.fixture
def studied(storage: Path, make_case: Any) -> Path:
    """paper: VGG16 with none and stego under the paper's protocol, three rounds each; again: the same."""
    declared = {"protocol": "early stopping", "model": "vgg16", "profile": "quick", "data": "mnist5k"}
    curve = [[0, 0.95], [19, 0.95], [20, 0.6]]
    stego = {"kind": "stego", "bits": 19, "rule": "truncate", "rate": 0.59, "curve": curve, "evaluations": 4}
    cases = [
        make_case(
            f"vgg16-{name}",
            [factor * joules for joules in THREE],
            accuracy=[0.9] * 3,
            epochs=4,
            facts={"workload": {**declared, "compressor": name}, "compression": report},
            pue=1.58,
        )
        for name, factor, report in (("none", 1.0, {"kind": "none"}), ("stego", 0.98, stego))
    ]
    store(storage, "paper", cases)
    store(storage, "again", cases)
    return storage


def test_a_study_is_shown_with_its_claims(studied: Path) -> None:
    code, out, err = run("study", "paper", "--storage", studied)
    assert (code, err) == (0, "")
    assert out.startswith("0004_paper\n")
    assert "not reproduced: stego: VGG16 trains with less than half of the energy" in out
    assert "Runs side by side" not in out


def test_several_studies_stand_side_by_side(studied: Path) -> None:
    code, out, _ = run("study", "paper", "again", "--storage", studied, "--pue", "1")
    assert code == 0
    assert "PUE 1\n" in out
    assert "Runs side by side\n" in out


def test_a_study_s_formats_are_strict_json_and_markdown(studied: Path) -> None:
    code, out, _ = run("study", "paper", "--storage", studied, "--format", "json")
    document = json.loads(out)
    assert (code, document["schema"]) == (0, 1)
    assert [row["saving"] for row in document["rows"]] == [None, pytest.approx(0.02)]
    code, out, _ = run("study", "paper", "--storage", studied, "--format", "markdown")
    assert code == 0
    assert out.startswith("# 0004_paper\n")


def test_a_study_s_curve_is_drawn_into_a_file(studied: Path, tmp_path: Path) -> None:
    code, out, err = run("study", "paper", "--storage", studied, "--plot", tmp_path / "curve.svg")
    assert (code, err) == (0, "")
    assert out.startswith("0004_paper\n")
    assert ">vgg16</text>" in (tmp_path / "curve.svg").read_text()


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["run1"], "0001_run1 holds no study cases"),
        (["paper", "paper"], "0004_paper was given twice"),
        (["paper", "--pue", "0"], "a PUE is a number of at least 1"),
        (["paper", "--format", "html"], "invalid choice: 'html'"),
        (["paper", "--plot", "curve.gif"], "a plot is written as .png, .svg, .pdf"),
        (["nothing"], "There is no run 'nothing'"),
        ([], "RUN"),
    ],
)
def test_what_is_no_study_is_refused_in_one_sentence(argv: list[str], complaint: str, studied: Path) -> None:
    code, out, err = run("study", *argv, "--storage", studied)
    assert (code, out) == (2, "")
    assert err.startswith("energybench: ")
    assert complaint in err
    assert err.count("\n") == 1


QUICK = ("doctor", "--seconds", "0.02", "--energy-meters", "rapl,estimate")


def zone(root: Path) -> None:
    folder = root / "intel-rapl:0"
    folder.mkdir()
    (folder / "name").write_text("package-0\n")
    (folder / "max_energy_range_uj").write_text("262143328850\n")
    (folder / "energy_uj").write_text("1000000\n")


def test_the_doctor_exits_3_where_only_estimates_are_left_and_0_where_energy_is_measured(tmp_path: Path) -> None:
    code, out, err = run(*QUICK, "--energy-powercap-root", tmp_path)
    assert (code, err) == (3, "")
    assert out.startswith("This machine can measure nothing; it can only estimate: CPU (cpu), memory (ram).")
    zone(tmp_path)
    code, out, err = run(*QUICK, "--energy-powercap-root", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith("This machine can measure: CPU (package:0). It can only estimate: memory (ram).")


def test_the_doctor_tells_programs_the_same_as_strict_json(tmp_path: Path) -> None:
    zone(tmp_path)
    code, out, err = run(*QUICK, "--energy-powercap-root", tmp_path, "--json")
    said = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not strict JSON"))
    assert (code, err) == (0, "")
    assert (said["schema"], said["verdict"], said["exit"]) == (1, "measured", 0)
    assert [(domain["name"], domain["provenance"]) for domain in said["domains"]] == [
        ("package:0", "measured"),
        ("ram", "estimated"),
    ]
    assert {"cpu", "logical_cpus", "governors", "turbo", "load_per_cpu"} <= said["machine"].keys()


def test_the_doctor_goes_on_without_a_powercap_root_that_is_no_folder(tmp_path: Path) -> None:
    code, out, err = run(*QUICK, "--energy-powercap-root", tmp_path / "nowhere", "--json")
    said = json.loads(out)
    assert (code, err) == (3, "")
    assert said["devices"][0]["reason"].endswith("nowhere is not a folder")
    assert [domain["name"] for domain in said["domains"]] == ["cpu", "ram"]


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (("--energy-cpu-tdp", "0"), "the CPU's rated power must be above 0 W, not 0."),
        (("--energy-cpu-tdp", "much"), "invalid float value: 'much'"),
        (("--seconds", "-1"), "seconds to watch are above 0 and at most 3600, not '-1'"),
        (("--seconds", "0"), "seconds to watch are above 0 and at most 3600, not '0'"),
        (("--seconds", "nan"), "seconds to watch are above 0 and at most 3600, not 'nan'"),
        (("--seconds", "soon"), "invalid seconds value: 'soon'"),
        (("--energy-meters", "tachometer"), "there is no meter 'tachometer'"),
        (("--energy-meters", "replay:run.json"), "replay:FILE holds recorded values"),
    ],
)
def test_the_doctor_refuses_what_makes_no_sense_in_one_sentence(argv: tuple[str, ...], complaint: str) -> None:
    code, out, err = run("doctor", *argv)
    assert (code, out) == (2, "")
    assert err.startswith("energybench: ")
    assert complaint in err
    assert len(err.splitlines()) == 1


SPY = """
import sys
from energybench.cli import main
code = main(sys.argv[1:])
heavy = {"torch", "numpy", "scipy", "pytest", "_pytest", "pynvml", "pyRAPL", "matplotlib", "psutil"}
heavy |= {"energybench.metering", "energybench.lab", "energybench.compress", "energybench.plugin"}
loaded = sorted(heavy.intersection(sys.modules))
print("loaded:", loaded, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("argv", [["list"], ["show", "run1"], ["compare", "run1", "run1"], ["study", "paper"]])
def test_nothing_heavy_is_loaded_for_reading(argv: list[str], studied: Path) -> None:
    command = [sys.executable, "-c", SPY, *argv, "--storage", str(studied)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.endswith("loaded: []\n")


@pytest.mark.parametrize("argv", [["compare", "run1", "run2"], ["compare", "run1", "run2", "--help"]], ids=" ".join)
def test_a_reader_that_goes_away_is_no_traceback(argv: list[str], storage: Path) -> None:
    command = [sys.executable, "-m", "energybench", *argv, "--storage", str(storage)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 141
