"""Structured pruning: whole channels are taken out, so that shapes, bytes and operations really fall."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from energybench.compress.compressed import Compressed, Compressor, Request
from energybench.compress.layers import covered_weights
from energybench.compress.report import CompressionReport, Effect
from energybench.compress.search import Candidates, check_share
from energybench.compress.snapshot import Snapshot, kept_modes
from energybench.errors import CompressionError, UsageError

NORMS = {"l1": 1, "l2": 2}
STEPS = 16
"""a search tries amounts of 1/16, 2/16, ... 15/16"""
# Operations between activations, whose inputs are cut into heads.
_ATTENTION = ("ScaledDotProduct", "Bmm")
# The layers that lose outputs, and all others with them.
_CUT = (nn.modules.conv._ConvNd, nn.Linear)


@dataclass(frozen=True)
class ChannelPruning(Compressor):
    """Take the share `amount` of the least important channels out of every convolution and every hidden linear layer.

    Layers that are tied by a residual sum, a concatenation or a normalisation lose the same channels: torch-pruning
    finds these groups (Fang et al., arXiv 2301.12900), from one forward pass of `example_input`, which is needed. What
    a channel weighs is the norm `importance` (`l1` or `l2`) of all weights of its group that belong to it. The number
    of channels left is rounded down to a multiple of `round_to`; a layer that would keep none stays as it is.

    Never pruned: the model's outputs, and, where there is attention, its heads and the residual width around it, so
    that of a transformer the hidden layers of the perceptrons are pruned.

    Where `amount` is None the largest multiple of 1/16 is found whose accuracy is within `tolerance` (absolute, 0.01 =
    1 point) of the model's, by bisection: at most 5 evaluations, the reference included. It is realised: shapes,
    bytes and operations change, so a state dict of the old model no longer fits. In place, the modules stay the same
    objects and their parameters are new ones: build the optimiser afterwards.

    Raises UsageError without an `example_input` or without torch-pruning, and CompressionError where torch-pruning
    cannot work on the model or where the model no longer runs with fewer channels. On graphs that roll and slice
    activations (torchvision's Swin) torch-pruning 1.6 does not come to an end.
    """

    kind: ClassVar[str] = "channels"
    parameter: ClassVar[str] = "amount"
    amount: float | None = None
    round_to: int = 8
    importance: str = "l2"
    tolerance: float = 0.01
    relative: bool = False

    def __post_init__(self) -> None:
        if self.amount is not None:
            check_share("ChannelPruning", "amount", self.amount, one=False)
        if isinstance(self.round_to, bool) or not isinstance(self.round_to, int) or self.round_to < 1:
            raise UsageError(f"ChannelPruning: round_to must be a whole number from 1 on, not {self.round_to!r}")
        if self.importance not in NORMS:
            raise UsageError(f"ChannelPruning: importance must be one of {', '.join(NORMS)}, not {self.importance!r}")
        check_share("ChannelPruning", "tolerance", self.tolerance, one=False)

    def _compress(self, request: Request) -> Compressed:
        example = request.example_input
        if example is None:
            raise UsageError("ChannelPruning follows an input through the model: pass example_input, batch first")
        library = _library()
        covered = tuple(covered_weights(request.model))
        before = request.size()
        work = request.work()
        original = Snapshot(work)
        left_alone: dict[str, list[str]] = {}

        def apply(amount: float) -> None:
            original.restore()
            if amount == 0:
                return
            try:
                left_alone.update(take_channels(library, work, example, amount, self.round_to, NORMS[self.importance]))
            except BaseException:
                original.restore()
                raise

        grid = [step / STEPS for step in range(1, STEPS)]
        candidates = Candidates(grid, 0.0, apply, original.restore, untouched=0.0)
        tolerance = request.tolerance(self.tolerance, relative=self.relative)
        found = request.bring(work, candidates, self.amount, tolerance)
        amount, notes = found.value or 0.0, found.notes
        after = request.size(work) if amount else before
        if amount and after.parameters == before.parameters:
            notes += (f"no layer has channels to spare at {amount:g} and round_to={self.round_to}: model unchanged",)
        notes += tuple(f"left alone, {reason}: {', '.join(paths)}" for reason, paths in left_alone.items())
        report = CompressionReport(
            kind=self.kind,
            given=self.given(),
            effect=Effect.REALISED if after.parameters < before.parameters else Effect.UNCHANGED,
            rate=1 - after.parameters / before.parameters,
            rate_definition="1 - parameters after / parameters before",
            before=before,
            after=after,
            evidence=found.evidence,
            covered=covered,
            amount=amount,
            structure="channels",
            notes=notes,
        )
        return Compressed(work, report)


def take_channels(
    library: Any, model: nn.Module, example: Tensor, amount: float, round_to: int, norm: int
) -> dict[str, list[str]]:
    """Take channels out of `model` in place, and say which layers kept their outputs and why.

    Training modes and `requires_grad` stay what they were. Raises CompressionError; the model is then in no state to
    be used.
    """
    trains = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    names = {module: name for name, module in model.named_modules()}
    magnitude = library.importance.GroupMagnitudeImportance(p=norm, normalizer=None)
    left_alone: dict[str, list[str]] = {}

    def weigh(group: Any) -> Any:
        reason = bounds.reason(group)
        if reason is not None:
            left_alone.setdefault(reason, []).append(names[group[0].dep.target.module])
            return None
        scores = magnitude(group)
        if scores is not None and not torch.isfinite(scores).all():
            raise CompressionError("a weight is infinite or NaN, so channels cannot be compared")
        return scores

    try:
        with kept_modes(model):
            shapes = _shapes(model, example)
            # The groups are read off the autograd graph, which frozen parameters are no part of. Warnings are about
            # parameters outside of layers: what becomes of them is checked below by running the model.
            with torch.enable_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.requires_grad_(True)
                pruner = library.pruner.BasePruner(
                    model,
                    example,
                    weigh,
                    pruning_ratio=amount,
                    round_to=round_to,
                    root_module_types=list(_CUT),
                    forward_fn=lambda model, example: _run(model, example, training=True),
                    # The defaults are shared by all pruners of a process and keep every model alive.
                    in_channel_groups={},
                    out_channel_groups={},
                )
                bounds = _Bounds(pruner.DG)
                pruner.step()
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(trains[name])
            pruned_shapes = _shapes(model, example)
    except CompressionError:
        raise
    except Exception as error:
        raise CompressionError(
            f"torch-pruning cannot take channels out of this model: {type(error).__name__}: {error}"
        ) from error
    if pruned_shapes != shapes:
        raise CompressionError(f"without channels the model gives {pruned_shapes} where it gave {shapes}")
    return left_alone


class _Bounds:
    """Where pruning must stop in a graph of torch-pruning."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        nodes = list(graph.module2node.values())
        self._ends = {id(node) for node in nodes if not node.outputs}
        # The layers behind attention write to the residual stream: whoever shares its width is left alone with them.
        waiting = [node for node in nodes if _attends(node)]
        seen = {id(node) for node in waiting}
        self._behind: set[int] = set()
        while waiting:
            for node in waiting.pop().outputs:
                if isinstance(node.module, (*_CUT, nn.MultiheadAttention)):
                    self._behind.add(id(node))
                elif id(node) not in seen:
                    seen.add(id(node))
                    waiting.append(node)

    def reason(self, group: Any) -> str | None:
        """Why the layers of a group must keep their channels; None where they may lose some."""
        nodes = [item.dep.target for item in group]
        written = {id(item.dep.target) for item in group if self._graph.is_out_channel_pruning_fn(item.dep.handler)}
        if written & self._ends:
            return "outputs of the model"
        if written & self._behind or any(isinstance(node.module, nn.MultiheadAttention) for node in nodes):
            return "width around attention"
        if any(_attends(node) for node in nodes):
            return "heads of attention"
        return None


def _attends(node: Any) -> bool:
    """Whether the node is a product of two activations."""
    name = getattr(node.grad_fn, "name", None)
    return not isinstance(node.module, _CUT) and name is not None and name().startswith(_ATTENTION)


def _run(model: nn.Module, example: Tensor, *, training: bool) -> Any:
    """The model's output without a change of its state.

    With `training`, branches that only training takes (auxiliary heads) are taken too: they belong to modules that
    contain others, while BatchNorm and dropout contain none and stay in evaluation mode.
    """
    model.eval()
    for module in model.modules() if training else ():
        module.training = next(module.children(), None) is not None
    return model(example)


def _shapes(model: nn.Module, example: Tensor) -> list[tuple[int, ...]]:
    """Shapes of all that the model gives for an input, in evaluation and in training."""
    with torch.no_grad():
        outputs = [_run(model, example, training=training) for training in (False, True)]
    return [tuple(tensor.shape) for tensor in _tensors(outputs)]


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (tuple, list, Mapping)):
        for part in output.values() if isinstance(output, Mapping) else output:
            yield from _tensors(part)


def _library() -> Any:
    """torch-pruning, imported where it is needed."""
    load: Callable[[str], Any] = importlib.import_module
    try:
        return load("torch_pruning")
    except ImportError:
        raise UsageError(
            "ChannelPruning needs the package torch-pruning: pip install 'energybench[prune]', or torch-pruning itself"
        ) from None
