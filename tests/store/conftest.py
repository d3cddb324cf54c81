"""Stores to look into: runs that are saved with what a test is about."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from energybench.model import Case
from energybench.store import document, write


class Save(Protocol):
    """Store a run; returns its path."""

    def __call__(
        self,
        name: str,
        status: str = "ok",
        machine: str | None = None,
        created: str | None = None,
        rank: int = 0,
        *,
        commit: str = "unknown",
        branch: str = "(unknown)",
        dirty: bool = False,
        session: str | None = None,
        cases: Sequence[Case] | None = None,
    ) -> Path: ...


@pytest.fixture
def save(make_case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Save:
    """Runs of one case below `tmp_path`, which is the current folder, each of a session of its own."""
    monkeypatch.chdir(tmp_path)  # a repository that the tests are run in has tags and branches of its own
    sessions = itertools.count(1)

    def save(
        name: str,
        status: str = "ok",
        machine: str | None = None,
        created: str | None = None,
        rank: int = 0,
        *,
        commit: str = "unknown",
        branch: str = "(unknown)",
        dirty: bool = False,
        session: str | None = None,
        cases: Sequence[Case] | None = None,
    ) -> Path:
        ours: dict[str, Any] = {"session": session or f"s{next(sessions)}", "status": status, "pue": 1.5}
        ours["carbon_g_per_kwh"] = 400
        if rank:
            ours["rank"] = {"rank": rank, "world_size": 2, "local_rank": rank, "launcher": "torchrun"}
        whole = document(
            [make_case(pue=1.5)] if cases is None else cases,
            machine={},
            commit={"id": commit, "branch": branch, "dirty": dirty},
            session=ours,
            created=created,
        )
        path = write(whole, tmp_path, name)
        if machine is None:
            return path
        target = tmp_path / machine / path.name
        target.parent.mkdir(exist_ok=True)
        return path.rename(target)

    return save
