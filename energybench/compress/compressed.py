"""A compressor, what it is called with, what it gives back; and the compressor that does nothing."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from energybench.compress.report import CompressionReport, Effect, Evidence, Size, size_of
from energybench.compress.search import Evaluate, Evaluation, Tolerance
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

    A derived class says its `kind` and implements `_compress`; where a parameter that is None is found by a search, it
    says so in `sought` and gives in `settled` the compressor with what was found.
    """

    kind: ClassVar[str]

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
        size = evaluation_size
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise UsageError(f"evaluation_size must be the number of examples that evaluate looks at, not {size!r}")
        if evaluate is None and self.sought:
            raise UsageError(
                f"{type(self).__name__} without {self.sought} searches for it and needs evaluate, a function model -> "
                f"accuracy in [0, 1]: pass one, or give {self.sought}"
            )
        evaluation = None if evaluate is None else Evaluation(evaluate, size)
        return self._compress(Request(model, evaluation, inplace, example_input))

    @property
    def sought(self) -> str:
        """The parameter that a call has to find, in words; empty where all are given."""
        return ""

    def settled(self, report: CompressionReport) -> Compressor:
        """This compressor with what the search of `report` found in place of None: it needs no `evaluate` any more."""
        return self

    @abstractmethod
    def _compress(self, request: Request) -> Compressed: ...

    def given(self) -> dict[str, Any]:
        """The parameters by name, as JSON types."""
        assert is_dataclass(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


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
