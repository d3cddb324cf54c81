"""`energybench compare`, as its users call it: many runs, formats, what is shown, and the exit code."""

from __future__ import annotations

import csv
import gc
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from energybench.cli import main
from energybench.store import document, machine_id, write

THREE = (100.0, 101.0, 99.5)


def run(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["compare", *(str(word) for word in argv)], out, err)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def storage(tmp_path: Path, make_case: Any) -> Path:
    """main; same; worse: b-none +20 %; gone: without b-none; unsure: one round of b-none; alien: another workload."""

    def store(name: str, cases: list[Any]) -> None:
        session = {"session": name, "status": "ok", "pue": 1.0}
        write(document(cases, machine={"node": "box"}, commit={}, session=session), tmp_path, name)

    def case(id: str, factor: float = 1.0, **fields: Any) -> Any:
        params = dict(zip(("model", "compressor"), id.split("-"), strict=True))
        return make_case(id, [factor * j for j in THREE], accuracy=[0.9, 0.91, 0.9], params=params, **fields)

    a, b = case("a-none"), case("b-none")
    store("main", [a, b])
    store("same", [a, b])
    store("worse", [a, case("b-none", 1.2)])
    store("gone", [a])
    store("unsure", [a, make_case("b-none", [104.0], accuracy=[0.9], params=b.params)])
    store("alien", [case("a-none", workload="other"), case("b-none", workload="other")])
    return tmp_path


@pytest.mark.parametrize(
    ("candidates", "code"),
    [
        (["same"], 0),
        (["same", "same"], 0),
        (["same", "unsure"], 3),
        (["unsure", "gone"], 4),
        (["gone", "worse", "unsure"], 1),
        (["alien", "same"], 4),
    ],
)
def test_over_several_candidates_the_first_of_1_4_3_and_0_is_the_exit_code(
    candidates: list[str], code: int, storage: Path
) -> None:
    assert run("main", *candidates, "--storage", storage, "--strict")[0] == code


def test_every_candidate_is_held_against_the_first_run(storage: Path) -> None:
    code, out, err = run("main", "worse", "same", "--storage", storage)
    assert (code, err) == (1, "")
    assert out.startswith("0001_main -> 0003_worse\n")
    assert "\n\n0001_main -> 0002_same\n" in out
    assert "\nChange in energy against 0001_main\n" in out


def test_a_candidate_that_is_not_there_ends_it_before_anything_is_printed(storage: Path) -> None:
    code, out, err = run("main", "same", "nowhere", "--storage", storage)
    assert (code, out) == (2, "")
    assert "There is no run 'nowhere'" in err


def test_which_candidate_shares_nothing_is_said_on_stderr(storage: Path) -> None:
    code, _, err = run("main", "same", "alien", "--storage", storage)
    assert code == 4
    assert err == "energybench: 0006_alien: No case was compared: none of the common cases is comparable.\n"


@pytest.mark.parametrize("code", [1, 4])
def test_exit_zero_reports_and_exits_with_0(code: int, storage: Path) -> None:
    candidate = {1: "worse", 4: "gone"}[code]
    plain = run("main", candidate, "--storage", storage)
    zero = run("main", candidate, "--storage", storage, "--exit-zero")
    assert (plain[0], zero[0]) == (code, 0)
    assert zero[1] == plain[1]
    assert zero[2] == f"energybench: --exit-zero: exit with 0 instead of {code}.\n"


def test_exit_zero_says_nothing_where_all_is_well_and_does_not_hide_a_usage_error(storage: Path) -> None:
    assert run("main", "same", "--storage", storage, "--exit-zero")[::2] == (0, "")
    assert run("main", "nowhere", "--storage", storage, "--exit-zero")[0] == 2


@pytest.mark.parametrize("format", ["text", "markdown", "json", "csv", "junit", "github"])
@pytest.mark.parametrize("view", [[], ["--only", "improved"], ["--metric", "seconds"], ["--sort", "id"]])
def test_no_format_and_no_view_moves_the_exit_code(format: str, view: list[str], storage: Path) -> None:
    assert run("main", "worse", "--storage", storage, "--format", format, *view)[0] == 1
    assert run("main", "same", "--storage", storage, "--format", format, *view)[0] == 0


def test_the_formats_for_programs_are_whole_documents(storage: Path) -> None:
    where = ("main", "worse", "same", "--storage", storage, "--format")
    assert [one["exit"] for one in json.loads(run(*where, "json")[1])["reports"]] == [1, 0]
    rows = list(csv.DictReader(io.StringIO(run(*where, "csv")[1])))
    assert {row["candidate_run"] for row in rows} == {"0003_worse", "0002_same"}
    assert [suite.get("failures") for suite in ET.fromstring(run(*where, "junit")[1])] == ["1", "0"]


def test_github_gets_annotations_on_stdout_and_the_summary_in_its_file(
    storage: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    code, out, err = run("main", "worse", "--storage", storage, "--format", "github")
    assert (code, err) == (1, "")
    assert all(line.startswith(("::error ", "::notice ")) for line in out.splitlines())
    assert "::error title=b-none%3A energy regressed::energy regressed +20.0 %25" in out
    markdown = run("main", "worse", "--storage", storage, "--format", "markdown")[1]
    assert path.read_text(encoding="utf-8").strip() == markdown.strip()


def test_a_summary_that_cannot_be_written_is_said_and_moves_no_verdict(
    storage: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "nowhere" / "summary.md"))
    code, out, err = run("main", "same", "--storage", storage, "--format", "github")
    assert code == 0
    assert out.startswith("::notice ")
    assert err.startswith("energybench: the summary cannot be appended to ")
    assert err.endswith("No such file or directory.\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "")
    assert run("main", "same", "--storage", storage, "--format", "github")[2] == ""


def test_margins_come_from_a_file_and_one_that_fits_nothing_is_said(storage: Path, tmp_path: Path) -> None:
    path = tmp_path / "margins.toml"
    path.write_text('[margins]\n"b-*" = 0.5\n"resnet*" = 0.2\n', encoding="utf-8")
    code, out, _ = run("main", "worse", "--storage", storage, "--margins", path, "--paired")
    assert code == 0
    assert "note: The margins of 'resnet*' fit no case of these runs." in out


def test_the_noise_between_sessions_is_learnt_declared_or_none(storage: Path) -> None:
    where = ("main", "unsure", "--storage", storage)
    assert " earlier sessions." in run(*where)[1]
    assert "2 % common to all cases, 1 % of each, assumed, not learnt" in run(*where, "--no-history")[1]
    stated = run(*where, "--no-history", "--session-noise", "10%", "--case-noise", "4%")[1]
    assert "10 % common to all cases, 4 % of each, assumed" in stated
    assert "none, both sides were measured in turn" in run(*where, "--paired")[1]


def test_many_looks_leave_each_but_a_part_of_the_level(storage: Path) -> None:
    where = ("main", "worse", "--storage", storage, "--paired", "--strict")
    assert run(*where)[0] == 1
    assert run(*where, "--looks", 10**9)[0] == 3


def test_what_is_shown_is_restricted_sorted_and_grouped(storage: Path) -> None:
    out = run("main", "worse", "--storage", storage, "--sort", "change", "--group-by", "model")[1]
    assert out.index("model b: energy geometric mean +20.0 %") < out.index("model a: energy geometric mean +0.0 %")
    out = run("main", "worse", "--storage", storage, "--only", "regressed", "--only", "missing")[1]
    assert "Shown: 1 of 2 cases (regressed, missing)." in out
    out = run("main", "worse", "--storage", storage, "--metric", "power", "--metric", "seconds")[1]
    assert out.splitlines()[2].split()[:3] == ["case", "power", "change"]


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--metric", "joules"], "there is no metric 'joules'; there are energy, accuracy, seconds, epochs, power"),
        (["--only", "bad"], "there is no verdict 'bad'; there are ok, improved, regressed"),
        (["--sort", "size"], "invalid choice: 'size'"),
        (["--group-by", "gpu"], "invalid choice: 'gpu'"),
        (["--looks", "0"], "looks are a whole number of at least 1, not '0'"),
        (["--looks", "few"], "invalid looks value: 'few'"),
        (["--session-noise", "2"], "not between 0 and 1"),
        (["--margins", "nowhere.toml"], "nowhere.toml cannot be read"),
    ],
)
def test_bad_options_are_one_sentence_and_exit_2(argv: list[str], complaint: str, storage: Path) -> None:
    code, out, err = run("main", "same", "--storage", storage, *argv)
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1


def test_runs_named_by_path_need_no_store(storage: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paths = [storage / machine_id() / f"000{n}.json" for n in (1, 2)]
    for path, name in zip(paths, ("0001_main", "0002_same"), strict=True):
        (storage / machine_id() / f"{name}.json").rename(path)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    code, out, err = run(*paths)
    assert (code, err) == (0, "")
    assert "assumed, not learnt from earlier sessions" in out


def test_a_terminal_that_lacks_a_letter_gets_its_escape(storage: Path, make_case: Any) -> None:
    case = make_case("a-\N{GREEK SMALL LETTER ALPHA}", THREE)
    write(document([case], machine={}, commit={}, session={"status": "ok"}), storage, "greek")
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    assert main(["compare", "greek", "greek", "--storage", str(storage)], out, io.StringIO()) == 0
    assert b"a-\\u03b1" in raw.getvalue()


def test_the_garbage_collector_is_on_again_afterwards(storage: Path) -> None:
    assert gc.isenabled()
    run("main", "nowhere", "--storage", storage)
    assert gc.isenabled()
    run("main", "same", "--storage", storage)
    assert gc.isenabled()
