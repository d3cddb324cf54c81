"""Folders with the files of a commit: git worktrees beside the user's own tree, which is never touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from energybench.errors import UsageError

AS_IT_IS = "."
"""the reference that means the working tree with its uncommitted changes"""
STORE = ".benchmarks"
"""the folder of stored runs, which is no part of what is measured"""

# What a git hook or `git rebase --exec` hands down: with them, git in a worktree would look at the user's own index.
_OF_ANOTHER_TREE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
)


@dataclass(frozen=True, slots=True)
class Repository:
    """The user's own working tree."""

    top: Path
    """its topmost folder"""
    here: Path
    """the current folder below it: `.` at the top"""

    def git(self, *args: str) -> str:
        """What `git ARGS` prints, run at the top. Raises UsageError with git's own words where it fails."""
        return _git(self.top, *args)


@dataclass(frozen=True, slots=True)
class Revision:
    """What one side is."""

    ref: str
    """as the user named it"""
    commit: str
    """full id; of the working tree as it is, the commit that it rests on"""
    branch: str = ""
    """where the reference is a branch, or the working tree is on one"""
    dirty: bool = False
    """whether the files differ from the commit's"""

    @property
    def name(self) -> str:
        """`1a2b3c4d5e6f`, with `+changes` where the files are not the commit's."""
        return self.commit[:12] + ("+changes" if self.dirty else "")


def find_repository(folder: Path) -> Repository:
    """The git repository around `folder`. Raises UsageError where there is none, or no git."""
    top = Path(_git(folder, "rev-parse", "--show-toplevel")).resolve()
    return Repository(top, folder.resolve().relative_to(top))


def resolve(repository: Repository, ref: str) -> Revision:
    """The commit that `ref` names, or with `.` the working tree as it is. Raises UsageError where there is none."""
    named = "HEAD" if ref == AS_IT_IS else ref
    try:
        if ref.startswith("-"):
            raise UsageError("git would take it for an option")
        commit = repository.git("rev-parse", "--verify", "--quiet", f"{named}^{{commit}}")
    except UsageError:
        raise UsageError(
            f"git knows no commit {named!r} in {repository.top}. Name a branch, a tag or a commit (in CI it may first "
            "have to be fetched), or `.` for the working tree as it is."
        ) from None
    dirty = ref == AS_IT_IS and bool(_changed(repository))
    return Revision(ref, commit, _branch(repository, named), dirty)


@contextmanager
def worktree(repository: Repository, revision: Revision, path: Path, *, keep: bool = False) -> Iterator[Path]:
    """A folder at `path` with the files of `revision`, removed at the end unless told to `keep` it.

    The working tree as it is becomes a copy of its tracked and untracked files, without those that git ignores, so that
    both sides start alike and the user may go on working. Raises UsageError where git refuses.
    """
    try:
        repository.git("worktree", "add", "--quiet", "--detach", str(path), revision.commit)
        if revision.ref == AS_IT_IS:
            _overlay(repository, path)
        yield path
    finally:
        if not keep:
            remove(repository, path)


def remove(repository: Repository, path: Path) -> None:
    """Remove a worktree from the disk and from git's list, whatever state it is in."""
    try:
        repository.git("worktree", "remove", "--force", str(path))
    except UsageError:
        shutil.rmtree(path, ignore_errors=True)
        repository.git("worktree", "prune")


@contextmanager
def temporary_folder(*, keep: bool = False) -> Iterator[Path]:
    """A folder for worktrees and sessions outside of the user's tree."""
    folder = Path(tempfile.mkdtemp(prefix="energybench-")).resolve()
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def without_git(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without what makes git look at another tree than that of the current folder."""
    return {name: value for name, value in environment.items() if name not in _OF_ANOTHER_TREE}


def _git(folder: Path, *args: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *args], capture_output=True, check=False, env=without_git(os.environ)
        )
    except FileNotFoundError:
        raise UsageError("git is needed for two checkouts, and no program of that name was found.") from None
    if done.returncode:
        said = os.fsdecode(done.stderr).strip() or f"exit code {done.returncode}"
        raise UsageError(f"git {args[0]} failed in {folder}: {said}")
    return os.fsdecode(done.stdout).removesuffix("\n")


def _branch(repository: Repository, ref: str) -> str:
    try:
        full = repository.git("rev-parse", "--symbolic-full-name", ref)
    except UsageError:
        return ""
    return full.removeprefix("refs/heads/") if full.startswith("refs/heads/") else ""


def _changed(repository: Repository) -> list[Path]:
    """Files, relative to the top, that differ from HEAD's or are not tracked; no ignored ones, no stored runs."""
    tracked = repository.git("diff", "--name-only", "--no-renames", "--ignore-submodules", "-z", "HEAD")
    untracked = repository.git("ls-files", "--others", "--exclude-standard", "-z")
    names = [name for name in (tracked + untracked).split("\0") if name]
    # A name with a slash at its end is a repository of its own inside this one.
    return [Path(name) for name in names if not name.endswith("/") and STORE not in Path(name).parts]


def _overlay(repository: Repository, folder: Path) -> None:
    """Make the checkout of HEAD in `folder` equal to the working tree."""
    for path in _changed(repository):
        source, target = repository.top / path, folder / path
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        with suppress(FileNotFoundError, NotADirectoryError):
            target.unlink()
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
