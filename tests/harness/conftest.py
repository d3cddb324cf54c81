"""A session of cases of which only what progress and forecast look at is there."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from energybench.harness.marker import Budget, CaseOptions
from energybench.model import Domain, Provenance, Round, Window

SESSION = "this one"


class Running(SimpleNamespace):
    """Stands for a case that is being measured."""

    def finish(self, seconds: float, joules: float | None = None, *, warmup: bool = False, iterations: int = 1) -> None:
        """One round more: each call of it took so much."""
        made = Round(Window(seconds, {"package:0": joules, "dram:0": 0.0}), session=SESSION, iterations=iterations)
        if warmup:
            self.warmups.append(made)
        else:
            self.rounds[len(self.rounds)] = made
        self.measured += 1

    def due(self) -> list[int]:
        missing = range(len(self.rounds), self.options.rounds)
        return [*[-1] * (self.options.warmup - len(self.warmups)), *missing]


@pytest.fixture
def running() -> Callable[..., Any]:
    """`running(1, "f.py::test_x[a]", rounds=2, warmup=1, max_kwh=0.5, model="resnet18")`"""

    def make(
        position: int = 1,
        id: str = "f.py::test_x[resnet18-none]",
        *,
        rounds: int = 1,
        warmup: int = 0,
        max_kwh: float | None = None,
        iterations: int = 1,
        **params: Any,
    ) -> Running:
        seeds = tuple(range(rounds))
        return Running(
            position=position,
            id=id,
            params=params,
            options=CaseOptions(rounds, warmup, seeds, iterations=iterations, budget=Budget(max_kwh)),
            planned=None,
            rounds={},
            warmups=[],
            apart={"search": [], "pretraining": []},
            measured=0,
            resting=False,
        )

    return make


@pytest.fixture
def session_of() -> Callable[..., Any]:
    """The sweep over these cases; psys:0 is not in the total."""

    def make(*cases: Any, pue: float = 1.0, **more: Any) -> Any:
        domains = [
            Domain(name, "replay", Provenance.REPLAYED, in_total=name != "psys:0")
            for name in ("package:0", "dram:0", "psys:0")
        ]
        return SimpleNamespace(
            id=SESSION,
            cases={case.id: case for case in cases},
            meters=SimpleNamespace(domains=domains),
            expected=lambda case: case.due(),
            options=SimpleNamespace(pue=pue),
            **more,
        )

    return make
