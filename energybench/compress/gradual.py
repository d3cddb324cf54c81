"""Pruning that grows while the model trains, instead of all at once before."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from energybench.compress.magnitudes import Magnitudes, zero_below
from energybench.compress.search import check_share
from energybench.compress.upkeep import Attached, apply_mask, trained_parameter
from energybench.errors import UsageError


@dataclass(frozen=True)
class Gradual:
    """The amount grows over `epochs` epochs from `start` to the full one, fast at first and slowly in the end.

    After epoch e it is full + (start - full) * (1 - e / epochs) ** 3, and the full amount from `epochs` on: equation 1
    of Zhu and Gupta, arXiv 1710.01878, with one pruning step an epoch.
    """

    epochs: int
    start: float = 0.0
    """share that is pruned before the first epoch"""

    def __post_init__(self) -> None:
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            raise UsageError(f"Gradual: epochs must be a whole number from 1 on, not {self.epochs!r}")
        check_share("Gradual", "start", self.start, one=False)

    def amount(self, full: float, epoch: int) -> float:
        """Share that is pruned after `epoch` epochs on the way to `full`; never less than at `start`."""
        left = max(0.0, 1 - epoch / self.epochs)
        return full + (min(self.start, full) - full) * left**3


@dataclass(frozen=True)
class GrowMasks:
    """Prunes more at the end of every epoch, by the weights as they are then, and holds what is pruned at 0.

    At the end of training the full amount is pruned, whatever the number of epochs was.
    """

    names: tuple[str, ...]
    amount: float
    schedule: Gradual
    scope: str = "global"
    when: str = "keep"
    """`keep`: zeros are held after each step; `epoch`: at the end of each epoch only"""

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Attached:
        weights = [trained_parameter(model, name) for name in self.names]
        return _MasksGrowing(self, [weights] if self.scope == "global" else [[weight] for weight in weights])


class _MasksGrowing(Attached):
    def __init__(self, plan: GrowMasks, groups: list[list[nn.Parameter]]) -> None:
        self.each_step = plan.when == "keep"
        self._plan = plan
        self._groups = groups
        self._masks = [[torch.empty_like(weight, dtype=torch.bool) for weight in group] for group in groups]
        self._epoch = 0
        self._prune(plan.schedule.amount(plan.amount, 0))

    def step(self) -> None:
        for group, masks in zip(self._groups, self._masks, strict=True):
            for weight, mask in zip(group, masks, strict=True):
                apply_mask(weight, mask)

    def epoch(self) -> None:
        self._epoch += 1
        if self._epoch > self._plan.schedule.epochs:
            self.step()
        else:
            self._prune(self._plan.schedule.amount(self._plan.amount, self._epoch))

    def finish(self) -> None:
        # The weights to be kept may be those of an earlier epoch, pruned less or elsewhere.
        self._prune(self._plan.amount)

    def _prune(self, amount: float) -> None:
        for group, masks in zip(self._groups, self._masks, strict=True):
            weights: list[Tensor] = list(group)
            magnitudes = Magnitudes(weights)
            zero_below(magnitudes.threshold(round(amount * magnitudes.total)), weights, weights, masks)
