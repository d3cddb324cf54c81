"""Warnings are errors for everything under tests/, and only there. The case builder that several folders share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import pytest
from hypothesis import settings

from energybench.model import Case, Domain, Provenance, Round, Window

HERE = Path(__file__).parent

settings.register_profile("energybench", deadline=None)  # a busy machine is no bug
settings.load_profile("energybench")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("error"), append=False)


class MakeCase(Protocol):
    """A case of which only what a test is about need be said."""

    def __call__(
        self,
        id: str = "resnet18-none",
        joules: Sequence[float | None] = (100.0,),
        *,
        accuracy: Sequence[float | None] = (),
        epochs: int = 0,
        seconds: float = 2.0,
        provenance: Provenance = Provenance.MEASURED,
        metrics: Mapping[str, float] = MappingProxyType({}),
        **fields: Any,
    ) -> Case: ...


@pytest.fixture
def make_case() -> MakeCase:
    """One domain `package:0`; a round per element of `joules` with that accuracy and `epochs` laps, seeds 0, 1, ..."""

    def make(
        id: str = "resnet18-none",
        joules: Sequence[float | None] = (100.0,),
        *,
        accuracy: Sequence[float | None] = (),
        epochs: int = 0,
        seconds: float = 2.0,
        provenance: Provenance = Provenance.MEASURED,
        metrics: Mapping[str, float] = MappingProxyType({}),
        **fields: Any,
    ) -> Case:
        laps = tuple(Window(seconds / epochs, label="epoch") for _ in range(epochs))
        rounds = tuple(
            Round(
                Window(seconds, {"package:0": j}, laps=laps),
                {**metrics, **({"accuracy": accuracy[seed]} if accuracy else {})},
                seed=seed,
            )
            for seed, j in enumerate(joules)
        )
        domains = (Domain("package:0", "rapl", provenance),)
        return Case(**{"id": f"benches/test_f.py::test_f[{id}]", "rounds": rounds, "domains": domains, **fields})

    return make
