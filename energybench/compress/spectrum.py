"""The singular value decomposition of one weight matrix, made once and cut at any rank without a copy."""

from __future__ import annotations

import torch
from torch import Tensor

from energybench.errors import CompressionError

FLOAT64_SIDE = 1024
"""matrices whose smaller side is at most this long are decomposed in float64, larger ones in float32"""
_BLOCK = 1024


class Spectrum:
    """Singular values and vectors of `matrix` (rows, columns), float32, by way of its Gram matrix.

    G = M M^T on the smaller side has the squared singular values as eigenvalues and the left singular vectors u_i as
    eigenvectors; u_i^T M is s_i v_i^T. For a 4096 x 25088 layer that is ten times faster than `torch.linalg.svd`. The
    Gram matrix squares the condition number: in float32 singular values below about 3e-4 of the largest are noise,
    far below any rank that an energy share chooses; the vectors are orthonormal all the same, so that a cut at rank
    r projects on r directions, as it should.
    """

    def __init__(self, name: str, matrix: Tensor) -> None:
        rows, columns = matrix.shape
        self._tall = rows > columns
        self._matrix = matrix.T if self._tall else matrix
        self.side = min(rows, columns)
        self.break_even = rows * columns / (rows + columns)
        """a rank saves parameters exactly where it is below this"""
        squares, vectors = torch.linalg.eigh(self._gram(name))
        squares = squares.flip(0).double().clamp_(min=0).cpu()
        self._cumulative = squares.cumsum(0)
        self._limit = max(1, -(-rows * columns // (rows + columns)) - 1)
        # Rows, the largest singular value first; what lies beyond break-even is never asked for.
        self._left = vectors.T.flip(0)[: self._limit].to(torch.float32).contiguous()
        self._right = torch.empty(0)
        self._ready = 0

    def rank_for(self, energy: float) -> int:
        """The smallest rank that keeps the share `energy` of the squared singular values; the side where all is 0."""
        total = float(self._cumulative[-1])
        if total <= 0:
            return self.side
        return min(self.side, int(torch.searchsorted(self._cumulative, energy * total)) + 1)

    def factors(self, rank: int) -> tuple[Tensor, Tensor]:
        """(rank, columns) and (rows, rank), whose product second @ first is the best approximation of that rank.

        They are views on what this object holds: clone them to keep them. Square roots of the singular values are
        on both sides, so that both parts train at one scale. `rank` must be below `break_even`.
        """
        self._extend(rank)
        left, right = self._left[:rank], self._right[:rank]
        return (left, right.T) if self._tall else (right, left.T)

    def _extend(self, rank: int) -> None:
        """Compute the right-hand rows up to `rank`; the rest of the buffer is never written and so takes no memory."""
        if not self._ready:
            self._right = self._matrix.new_empty(self._limit, self._matrix.shape[1])
        if rank > self._ready:
            new = slice(self._ready, rank)
            right = torch.mm(self._left[new], self._matrix, out=self._right[new])
            scale = right.norm(dim=1, keepdim=True).sqrt()
            scale[scale == 0] = 1
            right.div_(scale)
            self._left[new].mul_(scale)
            self._ready = rank

    def _gram(self, name: str) -> Tensor:
        """M M^T; only blocks on and below the diagonal are multiplied."""
        matrix = self._matrix
        dtype = torch.float64 if self.side <= FLOAT64_SIDE else torch.float32
        gram = torch.empty(self.side, self.side, dtype=dtype, device=matrix.device)
        if dtype == torch.float64:
            gram.zero_()
            for columns in matrix.split(_BLOCK, dim=1):
                wide = columns.double()
                gram.addmm_(wide, wide.T)
        else:
            for start in range(0, self.side, _BLOCK):
                block = matrix[start : start + _BLOCK]
                gram[start : start + _BLOCK, : start + len(block)] = block @ matrix[: start + len(block)].T
            gram = gram.tril() + gram.tril(-1).T
        if not torch.isfinite(gram).all():
            raise CompressionError(f"{name}.weight has infinite or NaN values, or overflows: it has no factorisation")
        return gram
