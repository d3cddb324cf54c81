"""Git's tags and branches, read from its files: a child process is asked only for what the files do not say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NO_REF = re.compile(r"\.\.|@\{|^[-/.]|[/.]$|//|/\.|[\x00-\x20~^:?*\[\\\x7f]")
"""what git refuses in a name (git-check-ref-format), and with it every way out of the folder of the refs"""


def find_repository(*starts: Path) -> Path | None:
    """The folder with the refs, of the first of `starts` that lies in a repository; for a worktree, its main one's."""
    for start in starts:
        here = start.absolute()
        for folder in (here, *here.parents):
            git = folder / ".git"
            if git.is_dir():
                return git
            if git.is_file():  # a worktree or a submodule: `gitdir: PATH`
                found = folder / _text(git).removeprefix("gitdir:").strip()
                common = _text(found / "commondir").strip()
                return found / common if common else found
    return None


def tagged(tag: str, repository: Path) -> tuple[str, bool]:
    """Id of the commit that `tag` names, and whether it is sure to be a commit's; empty where there is no such tag.

    It is not sure where the tag lies loose and its object is packed: the id may be an annotated tag's own. `peeled`
    asks git.
    """
    if _NO_REF.search(tag):
        return "", True
    if (repository / "reftable").is_dir():  # another format, which git alone reads
        return peeled(f"refs/tags/{tag}", repository), True
    loose = _loose(repository / "refs" / "tags" / tag)
    if loose:
        return _through_tags(repository, loose)
    return dict(_packed(repository)).get(f"refs/tags/{tag}", ""), True


def peeled(what: str, repository: Path) -> str:
    """The commit that an object or a ref leads to, by asking git; empty where it cannot say."""
    import subprocess

    command = ["git", f"--git-dir={repository}", "rev-parse", "--verify", "--quiet", f"{what}^{{commit}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    id = done.stdout.strip()
    return id if done.returncode == 0 and _ID.fullmatch(id) else ""


def is_branch(name: str, repository: Path) -> bool:
    """Whether there is a branch of that name now."""
    if _NO_REF.search(name):
        return False
    if _loose(repository / "refs" / "heads" / name):
        return True
    return any(ref == f"refs/heads/{name}" for ref, _ in _packed(repository))


def _loose(path: Path) -> str:
    text = _text(path).strip()
    return text if _ID.fullmatch(text) else ""


def _packed(repository: Path) -> Iterator[tuple[str, str]]:
    """Each ref of packed-refs with its id. The line below an annotated tag, `^<id>`, has its commit and comes later."""
    ref = ""
    for line in _text(repository / "packed-refs").splitlines():
        if line.startswith("^"):
            yield ref, line[1:].strip()
        elif not line.startswith("#"):
            id, _, ref = line.strip().partition(" ")
            yield ref, id


def _through_tags(repository: Path, id: str) -> tuple[str, bool]:
    """Follow annotated tags for as long as their objects lie loose; whether the end is a commit."""
    import zlib

    for _ in range(8):  # a tag of a tag of a tag
        content = b""
        with suppress(OSError, zlib.error):
            content = zlib.decompressobj().decompress((repository / "objects" / id[:2] / id[2:]).read_bytes(), 256)
        found = re.match(rb"tag \d+\0object ([0-9a-f]{40,64})\n", content)
        if found is None:
            return id, content.startswith(b"commit ")
        id = found[1].decode()
    return id, False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
