"""Reading and listing runs, good ones and bad ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from energybench.errors import StoreError
from energybench.model import Case, Domain, Mark, Provenance, Round, Run, Span, Window
from energybench.store import document, find_run, list_runs, machine_id, read_run


def test_a_run_reads_back_as_it_was_written(save: Any, make_case: Any) -> None:
    run = read_run(save("run1"))
    assert run.cases == (make_case(pue=1.5),)
    assert (run.name, run.pue, run.carbon_g_per_kwh, run.session["status"]) == ("0001_run1", 1.5, 400, "ok")
    assert run.foreign == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ('{"benchmarks": [', "is not a whole JSON file"),
        ('{"benchmarks": [], "x": NaN}', "NaN is not JSON"),
        ("[1, 2]", "is not a run"),
        ('{"benchmarks": 3}', "is not a run"),
        ('{"benchmarks": [{"fullname": "t", "extra_info": {}}]}', r"no energy case \(1 plain"),
        ('{"benchmarks": [], "energybench": {"schema": 99}}', r"newer energybench \(schema 99, .* Upgrade"),
        ('{"benchmarks": [{"fullname": "t", "extra_info": {"energybench": {"schema": 1}}}]}', "t: its .* is damaged"),
        ('{"benchmarks": [{"fullname": "t", "extra_info": {"energybench": 7}}]}', "no schema number"),
        ('{"benchmarks": [{"fullname": "t", "extra_info": {"energybench": {"schema": 2}}}]}', r"t: .*newer .*Upgrade"),
        ("[" * 100_000, "is not a whole JSON file"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence_that_names_it(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "0001_bad.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=complaint) as caught:
        read_run(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        ([], r"\[\] instead of an object"),
        ({"schema": "1"}, "schema '1' instead of a whole number"),
        ({"schema": True}, "schema True instead of a whole number"),
        ({"status": 5}, "status 5 instead of a text"),
        ({"session": ["a"]}, r"session \['a'\] instead of a text"),
        ({"notes": "look"}, "notes 'look' instead of a list of texts"),
        ({"warnings": [5]}, r"warnings \[5\] instead of a list of texts"),
        ({"diagnoses": {"meter": "rapl"}}, "instead of a list of objects"),
        ({"unmeasured": ["f"]}, "instead of a list of objects"),
        ({"rank": 1}, "rank 1 instead of an object"),
        ({"rank": {"rank": "first"}}, "instead of a rank with a whole number"),
        ({"canary": [{"joules": {"gpu:0": "5"}}]}, "instead of joules, seconds and calls as numbers"),
        ({"canary": [{"joules": 5}]}, "instead of joules, seconds and calls as numbers"),
        ({"canary": [{"seconds": 1.0, "gpu": {"calls": "all"}}]}, "instead of joules, seconds and calls as numbers"),
        ({"pue": 0.5}, "pue 0.5 instead of a number >= 1"),
        ({"pue": "1.5"}, "pue '1.5' instead of a number >= 1"),
        ({"pue": 10**400}, r"pue 1000.*\.\.\. instead of a number >= 1"),
        ({"carbon_g_per_kwh": -1}, "carbon_g_per_kwh -1 instead of a number >= 0"),
        ({"price_per_kwh": "0.3"}, "price_per_kwh '0.3' instead of a number >= 0"),
        ({"currency": 3}, "currency 3 instead of a text"),
        ({"projections": {}}, "projections {} instead of a list of objects"),
        ({"projections": [{"case": "x"}]}, "projections .* instead of estimates with joules, low and high as numbers"),
        ({"projections": [{"case": "x", "estimate": {"joules": -1}}]}, "projections .* instead of estimates"),
        ({"projections": [{"case": "x", "estimate": {"joules": 1, "low": "0"}}]}, "projections .* instead of"),
        (
            {"projections": [{"case": "x", "estimate": {"joules": 1, "basis": {"epochs": "9"}}}]},
            "projections .* instead",
        ),
    ],
)
def test_a_session_that_was_edited_by_hand_is_refused(edit: Any, complaint: str, save: Any) -> None:
    path = save("run1")
    whole = json.loads(path.read_text())
    whole["energybench"] = {**whole["energybench"], **edit} if isinstance(edit, dict) else edit
    path.write_text(json.dumps(whole))
    with pytest.raises(StoreError, match=rf"0001_run1\.json: its top-level object .* damaged \(.*{complaint}.*Restore"):
        read_run(path)


def test_what_the_session_does_not_say_is_absent_and_no_damage(save: Any) -> None:
    path = save("run1")
    whole = json.loads(path.read_text())
    whole["energybench"] |= {
        "status": None,
        "pue": None,
        "carbon_g_per_kwh": None,
        "rank": None,
        "notes": None,
        "later": [1],
    }
    whole["datetime"] = 5
    path.write_text("\ufeff" + json.dumps(whole), encoding="utf-8")  # as an editor of Windows leaves it
    run = read_run(path)
    assert (run.pue, run.carbon_g_per_kwh, run.created) == (1.5, None, "")  # the PUE is its case's
    assert "notes" not in run.session
    assert run.session["later"] == [1]


def test_a_torn_copy_is_refused_wherever_it_was_cut(save: Any) -> None:
    path = save("run1")
    whole = path.read_bytes().rstrip()
    for cut in range(1, len(whole), 97):
        path.write_bytes(whole[:cut])
        with pytest.raises(StoreError, match="not a whole JSON file"):
            read_run(path)


def test_bytes_that_are_not_text_and_absent_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StoreError, match="cannot be read"):
        read_run(tmp_path / "x.json")
    with pytest.raises(StoreError, match="There is no file"):
        read_run(tmp_path / "y.json")


def test_laps_in_laps_without_end_are_refused(save: Any) -> None:
    path = save("run1")
    whole = json.loads(path.read_text())
    (round,) = whole["benchmarks"][0]["extra_info"]["energybench"]["rounds"]
    round["laps"] = ["@"]
    deep = 20_000
    nested = '{"seconds": 1, "joules": {}, "laps": [' * deep + "]}" * deep
    path.write_text(json.dumps(whole).replace('"@"', nested))
    with pytest.raises(StoreError, match=r"0001_run1\.json.*(too deep|not a whole JSON file)"):
        read_run(path)


def test_plain_entries_are_counted_and_a_repeated_case_counts_once(save: Any) -> None:
    path = save("run1")
    whole = json.loads(path.read_text())
    first = whole["benchmarks"][0]
    last = json.loads(json.dumps(first))
    last["extra_info"]["energybench"]["rounds"][0]["joules"]["package:0"] = 7.0
    whole["benchmarks"] += [last, {"name": "plain", "extra_info": {}}]
    path.write_text(json.dumps(whole))
    run = read_run(path)
    assert run.foreign == 1
    (case,) = run.cases
    assert case.warnings == ("stored 2 times in this file; the last one counts",)
    assert case.joules() == (7.0,)


RICH = document(
    [
        Case(
            "benches/test_f.py::test_f[a-b]",
            rounds=(
                Round(
                    Window(
                        2.0,
                        {"gpu:0": 50.0, "package:0": None},
                        {"gpu:0": 0.5},
                        laps=(Window(1.0, {"gpu:0": 20.0}, label="epoch", warnings=("w",), marks=(Mark.LOST,)),),
                        warnings=("w",),
                        marks=(Mark.SHARED,),
                    ),
                    {"accuracy": 0.9, "epochs": None},
                    seed=1,
                    started="2026-01-01T00:00:00+00:00",
                    conditions={"gpu:0_temperature_c": 40.0},
                    conditions_end={"gpu:0_temperature_c": 50.0},
                    iterations=3,
                    trace=Span("s.trace.csv", 0.0, 1.0),
                    session="s",
                ),
            ),
            warmups=(Round(Window(1.0)),),
            search=(Window(1.0, {"gpu:0": 1.0}),),
            pretraining=(Window(1.0),),
            domains=(
                Domain("gpu:0", "nvml", Provenance.MEASURED, True, 0.05, "card", "note", "box", 0.1),
                Domain("package:0", "rapl", Provenance.MEASURED),
            ),
            params={"model": "a"},
            facts={"parameters": 5, "compression": {"kind": "stego", "bits": 19}},
            workload="w",
            comparability={"precision": "fp32"},
            warnings=("w",),
            pue=1.2,
            idle_w={"gpu:0": 20.0},
            margins={"energy": 0.1},
        )
    ],
    machine={"node": "box"},
    commit={"id": "a" * 40, "branch": "main"},
    session={
        "session": "s",
        "status": "ok",
        "pue": 1.2,
        "carbon_g_per_kwh": 400.0,
        "rank": {"rank": 0},
        "notes": ["n"],
        "diagnoses": [{"meter": "rapl", "state": "absent"}],
        "canary": [{"when": "first", "joules": {"gpu:0": 5.0}, "seconds": 0.5, "calls": 9, "gpu": {"seconds": 0.1}}],
        "unmeasured": [{"fullname": "f", "status": "failed"}],
    },
)


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((*way, key), *places(item, (*way, key)))]


INFINITE = "1e999"  # strict JSON, and infinite as a float
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, -1, 2, 10**400, -(10**400), 1.5, -0.5, 1e308, INFINITE, "", "ok", "\ud800", "1", "J"])
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.sampled_from(places(RICH)), ANYTHING, st.booleans()), min_size=1, max_size=2))
def test_whatever_is_changed_in_a_file_gives_a_run_or_a_sentence(edits: list[Any], tmp_path: Path) -> None:
    whole = json.loads(json.dumps(RICH))
    for way, value, is_removed in edits:
        inside = whole
        try:
            for key in way[:-1]:
                inside = inside[key]
            if is_removed:
                del inside[way[-1]]
            else:
                inside[way[-1]] = value
        except (LookupError, TypeError):  # an earlier edit has taken the place away
            continue
    path = tmp_path / "0001_edited.json"
    path.write_text(json.dumps(whole).replace(f'"{INFINITE}"', INFINITE))
    read, said = None, ""
    try:
        read = read_run(path)
    except StoreError as error:
        said = str(error)
    if read is None:
        assert str(path) in said
    else:
        assert isinstance(read, Run)
        assert all(isinstance(case, Case) for case in read.cases)


def test_the_list_holds_every_machine_and_says_what_is_wrong_with_a_file(save: Any, tmp_path: Path) -> None:
    save("run1")
    save("far", machine="Other-CPython-3.12-64bit")
    (tmp_path / machine_id() / "0002_torn.json").write_text("{")
    (tmp_path / machine_id() / "0003_folder.json").mkdir()
    (tmp_path / ".journal").mkdir()
    (tmp_path / ".journal" / "x.json").write_text("{}")
    (tmp_path / "baselines.json").write_text("{}")
    listed = {entry.name: entry for entry in list_runs(tmp_path)}
    assert {name: entry.status for name, entry in listed.items()} == {
        "0001_run1": "ok",
        "0002_far": "ok",
        "0002_torn": "unreadable",
    }
    assert "not a whole JSON file" in listed["0002_torn"].error
    assert (listed["0001_run1"].number, listed["0001_run1"].save) == (1, "run1")
    assert list_runs(tmp_path / "nowhere") == ()


def test_a_folder_that_cannot_be_listed_is_said(save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save("run1")

    def refused(path: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(StoreError, match=r"The folder .* cannot be listed: Permission denied\."):
        list_runs(tmp_path)


def test_of_10001_files_only_the_one_that_is_meant_is_opened(
    save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = save("x", commit="a" * 40, branch="main")
    for number in range(2, 10_000):
        os.link(original, original.with_name(f"{number:04d}_x.json"))
    (tmp_path / "Other-CPython-3.12-64bit").mkdir()
    for number in (1, 2):
        os.link(original, tmp_path / "Other-CPython-3.12-64bit" / f"{number:04d}_x.json")
    opened: list[Path] = []
    opening = Path.open

    def counted(path: Any, *args: Any, **kwargs: Any) -> Any:
        opened.append(path)
        return opening(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", counted)
    assert find_run("4321", tmp_path).path.name == "4321_x.json"
    assert find_run("0077_x", tmp_path).path.name == "0077_x.json"
    assert opened == []
    newest = original.with_name("9999_x.json")
    assert find_run("latest", tmp_path).path == newest
    assert opened == [newest]
    assert find_run("latest@main", tmp_path).path == newest
    assert opened == [newest] * 3  # its first kilobytes, and then the whole
    monkeypatch.setattr(Path, "open", opening)
    listed = list_runs(tmp_path)
    assert len(listed) == 10_001
    assert {entry.status for entry in listed} == {"ok"}
