"""A compressor, what it is called with, what it gives back; and the compressor that does nothing."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from energybench.compress.report import CompressionReport, Effect, Evidence, Size, size_of
from energybench.compress.search import Candidates, Evaluate, Evaluation, Found, Tolerance, fixed, search
from energybench.compress.upkeep import KeepMasks, TrainingHooks, Upkeep
from energybench.errors import CompressionError, UsageError


@dataclass(frozen=True)
class Request:
    """One call of a compressor."""

    model: nn.Module
    evaluation: Evaluation | None = None
    """the caller's `evaluate`, checked and counted; None where there is none"""
    inplace: bool = False
    example_input: Tensor | None = None
    reference: float | None = None
    """accuracy from which a loss is counted; None: the given model's own. A chain counts from the first model's"""

    @property
    def evaluation_size(self) -> int | None:
        """Examples in one evaluation, where the caller said so."""
        return None if self.evaluation is None else self.evaluation.size

    def tolerance(self, points: float, *, relative: bool = False) -> Tolerance:
        """What a search may lose."""
        return Tolerance(points, self.evaluation_size, relative=relative)

    def size(self, model: nn.Module | None = None) -> Size:
        """How large the given model (or `model`) is, FLOPs included where there is an example input."""
        return size_of(self.model if model is None else model, self.example_input)

    def work(self) -> nn.Module:
        """The model to change: the given one where `inplace`, else a copy."""
        return self.model if self.inplace else copy.deepcopy(self.model)

    def bring(
        self,
        work: nn.Module,
        candidates: Candidates,
        value: float | None,
        tolerance: Tolerance,
        *,
        verify: bool = False,
    ) -> Found:
        """Bring `work` to the given value, or, where it is None, to the strongest one within the tolerance."""
        if value is not None:
            return Found(value, fixed(work, value, candidates, self.evaluation))
        assert self.evaluation is not None
        return search(work, candidates, self.evaluation, tolerance, verify=verify, reference=self.reference)


@dataclass(frozen=True)
class Compressed:
    """A compressed model and the report on it."""

    model: nn.Module
    report: CompressionReport
    upkeep: tuple[Upkeep, ...] = ()
    """what keeps it compressed in training, in the order in which it is done"""

    @property
    def masks(self) -> Mapping[str, Tensor]:
        """Parameter name -> bool tensor, True where the value stays; empty where nothing is kept at zero."""
        kept: dict[str, Tensor] = {}
        for upkeep in self.upkeep:
            if isinstance(upkeep, KeepMasks):
                kept.update(upkeep.masks)
        return kept

    def training(self, optimizer: torch.optim.Optimizer) -> TrainingHooks:
        """A context in which every step of `optimizer` is followed by what keeps the compression.

        CompressionError where there is such upkeep and the optimiser holds no parameter of `self.model`: it would train
        another copy, and the upkeep would have no effect.
        """
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if self.upkeep and not any(id(parameter) in held for parameter in self.model.parameters()):
            raise CompressionError(
                "the optimiser holds no parameter of the compressed model: build it from compressed.model.parameters()"
            )
        return TrainingHooks(self.model, optimizer, self.upkeep)


class Compressor(ABC):
    """What every compressor is: a frozen dataclass of its parameters, and a call that makes a compressed model.

    A derived class says its `kind`, names in `parameter` the field that a search finds where it is None, and implements
    `_compress`. Where that is not all, it says more in `sought`, `settled` and `at`.
    """

    kind: ClassVar[str]
    parameter: ClassVar[str] = ""

    def __call__(
        self,
        model: nn.Module,
        evaluate: Evaluate | None = None,
        *,
        evaluation_size: int | None = None,
        inplace: bool = False,
        example_input: Tensor | None = None,
    ) -> Compressed:
        """Compress `model`, which is never changed unless `inplace`.

        `evaluate` (model -> accuracy in [0, 1]) is needed where a parameter is left to be found; `evaluation_size` is
        the number of examples that it looks at. With `example_input` (batch first) the report counts FLOPs.
        Raises UsageError for a missing `evaluate` and CompressionError for a model that cannot be worked on or an
        `evaluate` that returns no accuracy; the model is then what it was.
        """
        check_evaluation_size(evaluation_size)
        if evaluate is None and self.sought:
            raise UsageError(
                f"{type(self).__name__} without {self.sought} searches for it and needs evaluate, a function model -> "
                f"accuracy in [0, 1]: pass one, or give {self.sought}"
            )
        evaluation = None if evaluate is None else Evaluation(evaluate, evaluation_size)
        return self._compress(Request(model, evaluation, inplace, example_input))

    @property
    def sought(self) -> str:
        """The parameter that a call has to find, in words; empty where all are given."""
        return self.parameter if self.parameter and getattr(self, self.parameter) is None else ""

    def settled(self, report: CompressionReport) -> Compressor:
        """This compressor with what the search of `report` found in place of None: it needs no `evaluate` any more.

        No compressor at all where nothing was within the tolerance.
        """
        if not self.sought:
            return self
        found = getattr(report, self.parameter, None)
        found = report.value if found is None else found
        return NoCompression() if found is None else self.at(found)

    def at(self, value: Any) -> Compressor:
        """This compressor with `value` for the parameter that it would search for; UsageError where it has none."""
        if not self.parameter:
            raise UsageError(f"{type(self).__name__} has no parameter that a search finds, so none can be given")
        changed: Compressor = replace(cast(Any, self), **{self.parameter: value})
        return changed

    @abstractmethod
    def _compress(self, request: Request) -> Compressed: ...

    def given(self) -> dict[str, Any]:
        """The parameters by name, as JSON types."""
        assert is_dataclass(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def check_evaluation_size(size: Any) -> None:
    """UsageError for what is no number of examples."""
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise UsageError(f"evaluation_size must be the number of examples that evaluate looks at, not {size!r}")


@dataclass(frozen=True)
class NoCompression(Compressor):
    """The baseline: the model as it is. `evaluate` is never called, so that a baseline pays for no search."""

    kind: ClassVar[str] = "none"

    def _compress(self, request: Request) -> Compressed:
        size = request.size()
        report = CompressionReport(
            kind=self.kind,
            given=self.given(),
            effect=Effect.UNCHANGED,
            rate=0.0,
            rate_definition="nothing compressed",
            before=size,
            after=size,
            evidence=Evidence(),
        )
        return Compressed(request.work(), report)
