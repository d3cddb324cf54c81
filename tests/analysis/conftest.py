"""Cases as the benches of the study declare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import pytest

from energybench.model import Case, Window


class StudyCase(Protocol):
    """A case of the study of which only what a test is about need be said."""

    def __call__(
        self,
        compressor: str = "none",
        joules: Sequence[float | None] = (100.0,),
        *,
        model: str = "resnet18",
        protocol: str = "early stopping",
        function: str = "finetune",
        accuracy: float = 0.9,
        search_j: float | None = None,
        compression: Mapping[str, Any] | None = None,
        declared: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Case: ...


@pytest.fixture
def study_case(make_case: Any) -> StudyCase:
    """Four epochs of profile `quick` on data `d`, accuracy 0.9; without joules for the search there was none."""

    def make(
        compressor: str = "none",
        joules: Sequence[float | None] = (100.0,),
        *,
        model: str = "resnet18",
        protocol: str = "early stopping",
        function: str = "finetune",
        accuracy: float = 0.9,
        search_j: float | None = None,
        compression: Mapping[str, Any] | None = None,
        declared: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Case:
        workload = {"protocol": protocol, "model": model, "compressor": compressor, "profile": "quick", "data": "d"}
        case: Case = make_case(
            joules=joules,
            accuracy=[accuracy] * len(joules),
            search=() if search_j is None else (Window(1.0, {"package:0": search_j}),),
            facts={
                "workload": {**workload, **(declared or {})},
                "compression": {"kind": compressor, **(compression or {})},
                **(facts or {}),
            },
            **{"epochs": 4, **fields},
        )
        name = f"benches/test_{function}.py::test_{function}[{model}-{compressor}]"
        return replace(case, id=name)

    return make
