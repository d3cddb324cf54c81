"""Folders with the files of a commit, beside a tree that stays as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from energybench.ab.checkout import find_repository, resolve, temporary_folder, without_git, worktree
from energybench.errors import UsageError


def test_a_commit_a_tag_and_a_branch_are_resolved_and_only_a_branch_has_one(git_project: Any) -> None:
    first = git_project.commit("first")
    git_project.git("tag", "v1")
    repository = find_repository(git_project.path)
    assert [resolve(repository, ref).commit for ref in ("main", "v1", first[:8], "HEAD")] == [first] * 4
    assert [resolve(repository, ref).branch for ref in ("main", "v1", first[:8], "HEAD")] == ["main", "", "", "main"]
    assert resolve(repository, "main").name == first[:12]


@pytest.mark.parametrize("ref", ["nowhere", "--all", "-x", ""])
def test_what_is_no_commit_is_refused_with_what_to_do(git_project: Any, ref: str) -> None:
    git_project.commit("first")
    with pytest.raises(UsageError, match=r"git knows no commit .* Name a branch, a tag or a commit"):
        resolve(find_repository(git_project.path), ref)


def test_outside_of_a_repository_git_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a git repository"):
        find_repository(tmp_path)


def test_without_git_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="git is needed"):
        find_repository(tmp_path)


def test_a_worktree_has_the_files_of_its_commit_and_is_gone_afterwards(git_project: Any, tmp_path: Path) -> None:
    git_project.commit("first")
    git_project.change("EPOCHS = 4", "EPOCHS = 5")
    git_project.commit("second")
    repository = find_repository(git_project.path / "benches")
    assert (repository.top, repository.here) == (git_project.path, Path("benches"))
    with worktree(repository, resolve(repository, "HEAD~1"), tmp_path / "base") as base:
        assert "EPOCHS = 4" in (base / git_project.PACKAGE).read_text()
        assert "EPOCHS = 5" in (git_project.path / git_project.PACKAGE).read_text()
        assert len(git_project.git("worktree", "list").splitlines()) == 2
    assert not (tmp_path / "base").exists()
    assert len(git_project.git("worktree", "list").splitlines()) == 1


def test_the_working_tree_as_it_is_is_copied_without_ignored_files_and_stored_runs(
    git_project: Any, tmp_path: Path
) -> None:
    git_project.file("gone.py", "")
    git_project.file("folder/inside.py", "")
    git_project.file("becomes_folder", "")
    first = git_project.commit("first")
    git_project.change("EPOCHS = 4", "EPOCHS = 5")
    git_project.file(" new.py ", "new = 1\n")
    git_project.file("staged.py", "")
    git_project.git("add", "staged.py")
    git_project.file("replay.json", "ignored")
    git_project.file(".benchmarks/x/0001_run.json", "{}")
    (git_project.path / "gone.py").unlink()
    (git_project.path / "link").symlink_to("staged.py")
    (git_project.path / "folder/inside.py").unlink()
    (git_project.path / "folder").rmdir()
    git_project.file("folder", "now a file")
    (git_project.path / "becomes_folder").unlink()
    git_project.file("becomes_folder/inside.py", "")
    repository = find_repository(git_project.path)
    revision = resolve(repository, ".")
    assert (revision.commit, revision.dirty, revision.branch) == (first, True, "main")
    assert revision.name == f"{first[:12]}+changes"
    status = git_project.git("status", "--porcelain")
    with worktree(repository, revision, tmp_path / "head") as head:
        assert "EPOCHS = 5" in (head / git_project.PACKAGE).read_text()
        assert (head / " new.py ").read_text() == "new = 1\n"
        assert (head / "link").readlink() == Path("staged.py")
        assert (head / "staged.py").exists()
        assert (head / "folder").read_text() == "now a file"
        assert (head / "becomes_folder/inside.py").exists()
        assert not [name for name in ("gone.py", "replay.json", ".benchmarks") if (head / name).exists()]
    assert git_project.git("status", "--porcelain") == status


def test_a_clean_tree_as_it_is_is_its_commit(git_project: Any) -> None:
    first = git_project.commit("first")
    git_project.file(".benchmarks/x/0001_run.json", "{}")
    revision = resolve(find_repository(git_project.path), ".")
    assert (revision.commit, revision.dirty, revision.name) == (first, False, first[:12])


def test_a_worktree_is_removed_whatever_happened_in_it(git_project: Any, tmp_path: Path) -> None:
    git_project.commit("first")
    repository = find_repository(git_project.path)

    def stopped() -> None:
        with worktree(repository, resolve(repository, "main"), tmp_path / "w") as folder:
            (folder / "rubbish").write_text("x")
            (folder / ".git").unlink()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not (tmp_path / "w").exists()
    assert len(git_project.git("worktree", "list").splitlines()) == 1


def test_what_is_to_be_kept_is_kept(git_project: Any, tmp_path: Path) -> None:
    git_project.commit("first")
    repository = find_repository(git_project.path)
    with worktree(repository, resolve(repository, "main"), tmp_path / "w", keep=True):
        pass
    assert (tmp_path / "w" / git_project.SUITE).exists()
    with temporary_folder(keep=True) as kept, temporary_folder() as removed:
        assert kept.is_dir()
        assert removed.is_dir()
    assert not removed.exists()
    kept.rmdir()


def test_variables_of_another_tree_do_not_reach_git(git_project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = git_project.commit("first")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert resolve(find_repository(git_project.path), "main").commit == first
    assert "GIT_DIR" not in without_git(os.environ)
    monkeypatch.delenv("GIT_DIR")
