"""Macro F1, counted on the device while a part is evaluated."""

from __future__ import annotations

import torch
from torch import Tensor


class Tally:
    """Hits, answers and truths of every class, summed without waiting for the device.

    `evaluate(model, part, tally=tally)` fills it. Read it once, at the end: only that waits.
    """

    def __init__(self, classes: int, device: torch.device) -> None:
        self._hits, self._answers, self._truths = torch.zeros((3, classes), dtype=torch.int64, device=device)

    def add(self, answers: Tensor, truths: Tensor) -> None:
        """Count a batch: int64 classes of any one shape, on the tally's device."""
        answers, truths = answers.flatten(), truths.flatten()
        # index_add_ and not bincount, which on a GPU waits to learn how many bins it needs.
        ones = torch.ones_like(truths)
        self._answers.index_add_(0, answers, ones)
        self._truths.index_add_(0, truths, ones)
        self._hits.index_add_(0, truths, (answers == truths).to(torch.int64))

    def macro_f1(self) -> float | None:
        """Mean over the classes of 2 hits / (answers + truths); None before anything was counted.

        As scikit-learn's `f1_score(average="macro")`: a class that is neither an answer nor a truth is left out, one
        that is only one of them counts as 0.
        """
        seen = self._answers + self._truths
        shares = (2 * self._hits[seen > 0] / seen[seen > 0]).tolist()
        return sum(shares) / len(shares) if shares else None
