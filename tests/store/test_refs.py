"""Finding the run that is meant, in each sense and in their order."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from energybench.errors import StoreError
from energybench.store import find_run, machine_id, set_baseline

OLD, NEW, OTHER = "1234567" + "a" * 33, "1234567" + "b" * 33, "c" * 40
FAR = "Other-CPython-3.12-64bit"


@pytest.mark.parametrize("ref", ["2", "0002", "0002_second", "second", "sec*", "0002*", "*/0002_second"])
def test_a_run_is_found_by_number_name_and_glob(ref: str, save: Any, tmp_path: Path) -> None:
    save("first")
    path = save("second")
    save("third")
    found = find_run(ref, tmp_path)
    assert found.path == path
    assert found.notes == ()


def test_a_run_is_found_by_path_inside_and_outside_the_store(save: Any, tmp_path: Path) -> None:
    path = save("first")
    assert find_run(str(path), tmp_path / "nowhere").path == path
    assert find_run(f"{machine_id()}/0001_first", tmp_path).path == path
    with pytest.raises(StoreError, match="is a folder"):
        find_run(str(path.parent), tmp_path)


def test_of_several_runs_of_one_name_the_newest_is_taken_and_said(save: Any, tmp_path: Path) -> None:
    save("main")
    newest = save("main")
    found = find_run("main", tmp_path)
    assert found.path == newest
    assert found.notes == ("'main' names 2 runs; the newest, 0002_main, is taken.",)


def test_this_machines_run_is_preferred_and_said(save: Any, tmp_path: Path) -> None:
    save("main", machine=FAR)
    mine = save("main")
    found = find_run("main", tmp_path)
    assert found.path == mine
    assert "this one" in found.notes[0]


def test_a_run_of_other_machines_only_is_taken_by_date_and_said(save: Any, tmp_path: Path) -> None:
    save("main", machine="A-CPython-3.12-64bit", created="2026-02-01T00:30:00+02:00")
    newer = save("main", machine="B-CPython-3.12-64bit", created="2026-01-31T23:00:00+00:00")
    for ref in ("main", "latest"):  # by the date itself, whatever the offset
        found = find_run(ref, tmp_path)
        assert found.path == newer
        assert any("another machine folder, B-" in note for note in found.notes)


# latest


def test_latest_passes_over_what_did_not_end_ok(save: Any, tmp_path: Path) -> None:
    good = save("good")
    save("slow", status="regressed")
    save("killed", status="partial")
    (tmp_path / machine_id() / "0004_torn.json").write_text("{")
    found = find_run("latest", tmp_path)
    assert found.path == good
    assert "0004_torn (unreadable), 0003_killed (partial), 0002_slow (regressed)" in found.notes[1]


def test_latest_is_never_the_run_of_a_further_rank(save: Any, tmp_path: Path) -> None:
    first = save("run")
    save("run_rank1", rank=1)
    found = find_run("latest", tmp_path)
    assert found.path == first
    assert "0002_run_rank1 (not the first rank)" in found.notes[-1]


def test_latest_goes_by_number_where_the_clock_was_set_back(save: Any, tmp_path: Path) -> None:
    save("before", created="2026-05-01T00:00:00+00:00", branch="main")
    after = save("after", created="2026-04-01T00:00:00+00:00", branch="main")
    assert find_run("latest", tmp_path).path == find_run("latest@main", tmp_path).path == after


def test_without_an_ok_run_there_is_no_latest(save: Any, tmp_path: Path) -> None:
    for _ in range(10):
        save("slow", status="failed", branch="main")
    with pytest.raises(StoreError, match=r"there is no `latest`\. There are: 0010_slow \(failed\), .* and 2 more\."):
        find_run("latest", tmp_path)
    with pytest.raises(StoreError, match=r"of the branch 'main' ended ok, so there is no `latest@main`\."):
        find_run("latest@main", tmp_path)


def test_latest_of_a_branch_is_its_newest_ok_run(save: Any, tmp_path: Path) -> None:
    save("a", branch="main")
    good = save("b", branch="main", dirty=True)
    save("c", branch="main", status="regressed")
    feature = save("d", branch="feature/x")
    found = find_run("latest@main", tmp_path)
    assert found.path == good
    assert found.notes == (
        "latest@main: 0002_b.",
        "Passed over, though newer: 0003_c (regressed).",
        "0002_b was measured with uncommitted changes.",
    )
    assert find_run("latest@feature/x", tmp_path).path == feature
    with pytest.raises(StoreError, match=r"on the branch 'dev'\. There are runs of: feature/x, main\.$"):
        find_run("latest@dev", tmp_path)


# branches and commits


def test_a_branch_is_its_newest_ok_run_and_the_notes_say_so(save: Any, tmp_path: Path) -> None:
    save("a", branch="main")
    good = save("b", branch="main")
    slow = save("c", branch="main", status="regressed")
    found = find_run("main", tmp_path)
    assert found.path == good
    assert found.notes == (
        "'main' is a branch; its newest run that ended ok, 0002_b, is taken.",
        "Passed over, though newer: 0003_c (regressed).",
    )
    candidate = find_run("main", tmp_path, any_status=True)
    assert candidate.path == slow
    assert candidate.notes == ("'main' is a branch; its newest run, 0003_c, is taken. It ended regressed.",)


def test_a_candidate_is_never_the_part_of_a_further_rank(save: Any, tmp_path: Path) -> None:
    first = save("a", branch="main", status="regressed")
    save("a_rank1", branch="main", rank=1)
    assert find_run("main", tmp_path, any_status=True).path == first


@pytest.mark.parametrize("ref", [NEW, NEW.upper(), NEW[:8]])
def test_a_commit_is_found_by_its_whole_id_and_by_a_unique_beginning(ref: str, save: Any, tmp_path: Path) -> None:
    save("a", commit=OLD)
    path = save("b", commit=NEW)
    save("c", commit=OTHER)
    found = find_run(ref, tmp_path)
    assert found.path == path
    assert found.notes == (f"{ref!r} is a commit; its newest run that ended ok, 0002_b, is taken.",)


def test_a_beginning_of_two_commits_is_refused(save: Any, tmp_path: Path) -> None:
    save("a", commit=OLD)
    save("b", commit=NEW)
    with pytest.raises(StoreError, match=rf"ids of 2 measured commits: {OLD[:16]}, {NEW[:16]}\. Give more digits"):
        find_run("1234567", tmp_path)
    with pytest.raises(StoreError, match="There is no run '123456'"):  # fewer than seven digits are no commit
        find_run("123456", tmp_path)


def test_a_commit_without_an_ok_run_is_found_only_as_a_candidate(save: Any, tmp_path: Path) -> None:
    slow = save("a", commit=NEW, status="regressed")
    with pytest.raises(StoreError, match=r"is a commit, of which no run ended ok\. There are: 0001_a \(regressed\)"):
        find_run(NEW[:9], tmp_path)
    assert find_run(NEW[:9], tmp_path, any_status=True).path == slow


def test_a_commit_is_found_where_another_program_has_sorted_the_keys(save: Any, tmp_path: Path) -> None:
    import json

    path = save("a", commit=NEW, branch="main")
    whole = json.loads(path.read_text())
    whole["benchmarks"] *= 40
    path.write_text(json.dumps(whole, sort_keys=True))
    assert path.read_text().index("commit_info") > 1 << 14
    assert find_run(NEW, tmp_path).path == path
    (tmp_path / machine_id() / "0002_torn.json").write_text('{"commit_info": {"branch": "main"')
    (tmp_path / machine_id() / "0003_odd.json").write_text('{"commit_info": ["main"]}')
    assert find_run("main", tmp_path).path == path


def test_an_unknown_commit_and_a_detached_head_are_no_names(save: Any, tmp_path: Path) -> None:
    save("a")
    save("b", commit="unversioned", branch="(detached head)")
    for ref in ("unknown", "unversioned", "(unknown)", "(detached head)", "latest@(unknown)", "latest@", ""):
        with pytest.raises(StoreError):
            find_run(ref, tmp_path)


# tags


@pytest.fixture
def git(save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """git in a repository at `tmp_path` with one commit; returns its output."""
    for key in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(key, "a@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")

    def git(*argv: str) -> str:
        return subprocess.run(["git", *argv], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet", "--initial-branch=trunk")
    git("commit", "--quiet", "--allow-empty", "--message=first")
    return git


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Afterwards no process can be started."""

    def forbid() -> None:
        def refused(*argv: Any, **_: Any) -> Any:
            raise AssertionError(f"a child process: {argv}")

        monkeypatch.setattr(subprocess, "Popen", refused)

    return forbid


@pytest.mark.parametrize("kind", ["light", "annotated", "tag of a tag"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_tag_is_read_from_gits_files(
    kind: str, packed: bool, git: Any, save: Any, no_child: Any, tmp_path: Path
) -> None:
    if kind == "light":
        git("tag", "v1.0")
    else:
        git("tag", "--annotate", "--message=m", "v1.0")
    if kind == "tag of a tag":
        git("tag", "--annotate", "--message=m", "v1", "v1.0")
    id = git("rev-parse", "HEAD")
    git("commit", "--quiet", "--allow-empty", "--message=second")
    if packed:
        git("pack-refs", "--all")
    path = save("a", commit=id)
    save("b", commit=git("rev-parse", "HEAD"))
    no_child()
    tag = "v1" if kind == "tag of a tag" else "v1.0"
    found = find_run(tag, tmp_path)
    assert found.path == path
    assert found.notes == (f"{tag!r} is the tag of commit {id[:12]}; its newest run that ended ok, 0001_a, is taken.",)


def test_git_is_asked_only_for_an_annotated_tag_whose_object_is_packed(
    git: Any, save: Any, no_child: Any, tmp_path: Path
) -> None:
    git("tag", "--annotate", "--message=m", "v1.0")
    git("tag", "light")
    id, own = git("rev-parse", "HEAD"), git("rev-parse", "v1.0")
    git("gc", "--quiet")
    (tmp_path / ".git" / "packed-refs").unlink()
    for tag, value in (("v1.0", own), ("light", id)):
        file = tmp_path / ".git" / "refs" / "tags" / tag
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
    path = save("a", commit=id)
    assert find_run("v1.0", tmp_path).path == path
    no_child()
    assert find_run("light", tmp_path).path == path


def test_git_is_asked_where_it_keeps_its_refs_in_another_format(git: Any, save: Any, tmp_path: Path) -> None:
    git("tag", "--annotate", "--message=m", "v1.0")
    path = save("a", commit=git("rev-parse", "HEAD"))
    (tmp_path / ".git" / "reftable").mkdir()  # the mark of that format; this git goes on reading its files
    assert find_run("v1.0", tmp_path).path == path
    with pytest.raises(StoreError, match=r"There is no run 'v2\.0'"):
        find_run("v2.0", tmp_path)


def test_a_tag_is_found_without_a_git_to_ask(
    git: Any, save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("tag", "v1.0")
    path = save("a", commit=git("rev-parse", "HEAD"))
    git("tag", "v0.9", git("commit-tree", "-m", "x", "HEAD^{tree}"))
    monkeypatch.setenv("PATH", "")
    assert find_run("v1.0", tmp_path).path == path
    with pytest.raises(StoreError, match=r"it is a tag, of whose commit"):
        find_run("v0.9", tmp_path)


def test_a_tag_is_found_from_a_linked_worktree(git: Any, save: Any, no_child: Any, tmp_path: Path) -> None:
    git("tag", "v1.0")
    git("worktree", "add", "--quiet", "--detach", "elsewhere")
    path = save("a", commit=git("rev-parse", "HEAD"))
    (tmp_path / "elsewhere" / "store").mkdir()
    path.parent.rename(tmp_path / "elsewhere" / "store" / machine_id())
    no_child()
    assert find_run("v1.0", tmp_path / "elsewhere" / "store").path.name == path.name


def test_a_tag_of_a_commit_that_was_not_measured_is_said(git: Any, save: Any, tmp_path: Path) -> None:
    git("tag", "v1.0")
    save("a", commit=OTHER)
    id = git("rev-parse", "HEAD")
    with pytest.raises(StoreError, match=rf"no run 'v1\.0' in .* \(it is a tag, of whose commit {id[:12]} no run is"):
        find_run("v1.0", tmp_path)


@pytest.mark.parametrize("ref", ["../../HEAD", "..", "latest@..", "a..b", "-x", "x.lock/..", "x^", "@{1}"])
def test_what_git_would_not_call_a_tag_is_not_looked_up(ref: str, git: Any, save: Any, tmp_path: Path) -> None:
    save("a", commit=git("rev-parse", "HEAD"))
    (tmp_path / ".git" / "HEAD").write_text(git("rev-parse", "HEAD"))
    with pytest.raises(StoreError, match=r"There is no run|is a folder|on the branch '\.\.'"):
        find_run(ref, tmp_path)


# the order of the senses


def test_a_baseline_goes_before_save_names_and_both_go_before_tags_and_branches(
    git: Any, save: Any, tmp_path: Path
) -> None:
    git("tag", "trunk")
    tagged = save("a", commit=git("rev-parse", "HEAD"))
    save("b", branch="trunk")
    assert find_run("trunk", tmp_path).path == tagged
    saved = save("trunk")
    found = find_run("trunk", tmp_path)
    assert found.path == saved
    assert found.notes == ("'trunk' is taken as a save name; the newest run of the branch is `latest@trunk`.",)
    promoted = save("c")
    set_baseline("trunk", promoted, tmp_path)
    found = find_run("trunk", tmp_path)
    assert found.path == promoted
    assert found.notes == (
        "'trunk' is a baseline: 0004_c.",
        "What was saved under that name is not meant: 0003_trunk, the newest of 1.",
    )
    assert find_run("3", tmp_path).path == find_run("0003_trunk", tmp_path).path == saved


def test_a_number_goes_before_the_beginning_of_a_commit(save: Any, tmp_path: Path) -> None:
    numbered = save("a")
    other = save("b", commit="7654321" + "a" * 33)
    save("c", commit=NEW)
    numbered = numbered.rename(numbered.with_name("1234567_a.json"))
    assert find_run("1234567", tmp_path).path == numbered
    assert find_run("7654321", tmp_path).path == other


def test_an_unknown_run_is_answered_with_what_there_is(save: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds none"):
        find_run("run1", tmp_path)
    save("run1")
    save("other")
    with pytest.raises(StoreError, match="Nearest: 0001_run1"):
        find_run("rnu1", tmp_path)
    with pytest.raises(StoreError, match="There are: 0002_other, 0001_run1"):
        find_run("9", tmp_path)
    with pytest.raises(StoreError, match="There is no run"):
        find_run("missing/file.json", tmp_path)
