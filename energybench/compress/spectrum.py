"""The singular value decomposition of one weight matrix, made once and cut at any rank without a copy."""

from __future__ import annotations

import torch
from torch import Tensor

from energybench.errors import CompressionError

FLOAT64_SIDE = 1024
"""matrices whose smaller side is at most this long are decomposed in float64, larger ones in their own precision"""
_BLOCK = 512


class Spectrum:
    """Singular values and vectors of `matrix` (rows, columns), float32 or float64, by way of its Gram matrix.

    G = M M^T on the smaller side has the squared singular values as eigenvalues and the left singular vectors u_i as
    eigenvectors; u_i^T M is s_i v_i^T. The Gram matrix squares the condition number: in float32, singular values below
    about 3e-4 of the largest are noise, far below any rank that an energy share chooses; the vectors are orthonormal
    all the same, so that a cut at rank r projects on r directions, as it should, and all ranks together give the
    matrix back.
    `most` is the highest rank that can be asked for; None: the full rank. Raises CompressionError, which names the
    layer `name`, where the matrix has values that are not finite.
    """

    # Measured in float32 on 4096 x 25088, rank 512, on two quiet cores: torch.linalg.svd 100 s (197 s of CPU), this
    # 6.8 s (13 s), of which eigh takes 4.5 s (8 s). The relative error ||M - M_r|| / ||M|| is above the optimum's by
    # less than 1e-12 where the singular values are alike, by 4e-7 where s_1 / s_r is 100, 1e-6 at 200 and 3e-5 at 500.
    # It comes from eigh alone, which in float64 brings 1e-9 for three times its seconds.
    # Left, in seconds of CPU for the vectors alone: lobpcg 11, 24 and 51 (5, 10 and 20 iterations) for 1.5, 1.0 and
    # 0.4e-6; numpy's eigh 13; eigvalsh and then Chebyshev-filtered subspace iteration 2 + 8 where the values fall, and
    # no convergence in 20 where they are alike; svd_lowrank of G with 768 columns 5 (4 iterations, 1.5e-6) or 8 (8
    # iterations, 1e-9), with only the eigenvalues, for 2 more, to tell whether it has converged. LAPACK's evr for 512
    # vectors takes 4 and would win, but only scipy offers it, and from 1024 vectors on they are orthogonal to 1e-3.

    def __init__(self, name: str, matrix: Tensor, most: int | None = None) -> None:
        rows, columns = matrix.shape
        self._tall = rows > columns
        self._matrix = matrix.T if self._tall else matrix
        self.side = min(rows, columns)
        """the full rank"""
        self.most = self.side if most is None else min(most, self.side)
        wide = self.side <= FLOAT64_SIDE or not _exact_products(matrix)
        self._dtype = torch.float64 if wide else matrix.dtype
        gram = self._gram()
        # The diagonal bounds the rest, and holds all that is not finite in the matrix.
        if not torch.isfinite(gram.diagonal()).all():
            raise CompressionError(f"{name}.weight has infinite or NaN values, or overflows: it has no factorisation")
        squares, vectors = torch.linalg.eigh(gram)
        del gram
        self._squares = squares.flip(0).double().clamp_(min=0).cpu()
        self._cumulative = self._squares.cumsum(0)
        # Rows, the largest singular value first; what lies beyond `most` is never asked for.
        self._left = vectors.T.flip(0)[: self.most].to(matrix.dtype).contiguous()
        self._right = self._matrix.new_empty(0, self._matrix.shape[1])

    @property
    def shares(self) -> Tensor:
        """Of the squared singular values, largest first, the share that each holds of their sum; empty where all are 0.

        Float64, on the CPU, up to rank `most`.
        """
        total = self._cumulative[-1]
        return self._squares[: self.most] / total if total > 0 else self._squares[:0]

    def rank_for(self, energy: float) -> int:
        """The smallest rank that keeps the share `energy` of the squared singular values; the side where all is 0."""
        total = float(self._cumulative[-1])
        if total <= 0:
            return self.side
        return min(self.side, int(torch.searchsorted(self._cumulative, energy * total)) + 1)

    def factors(self, rank: int) -> tuple[Tensor, Tensor]:
        """(rank, columns) and (rows, rank), whose product second @ first is the best approximation of that rank.

        They are views on what this object holds: clone them to keep them. Square roots of the singular values are
        on both sides, so that both parts train at one scale. `rank` is at most `most`.
        """
        assert 1 <= rank <= self.most
        self._extend(rank)
        left, right = self._left[:rank], self._right[:rank]
        return (left, right.T) if self._tall else (right, left.T)

    def _extend(self, rank: int) -> None:
        """Compute the right-hand rows up to `rank` where that was not done before, and scale both sides."""
        ready = len(self._right)
        if rank <= ready:
            return
        grown = self._matrix.new_empty(rank, self._matrix.shape[1])
        grown[:ready] = self._right
        left, right = self._left[ready:rank], grown[ready:]
        if self._dtype == self._matrix.dtype:
            torch.mm(left, self._matrix, out=right)
        else:
            wide = left.to(self._dtype)
            for columns, result in zip(self._matrix.split(_BLOCK, 1), right.split(_BLOCK, 1), strict=True):
                result.copy_(wide @ columns.to(self._dtype))
        scale = right.norm(dim=1, keepdim=True).sqrt()
        scale[scale == 0] = 1
        right.div_(scale)
        left.mul_(scale)
        self._right = grown

    def _gram(self) -> Tensor:
        """M M^T, on and below the diagonal: eigh reads no more."""
        matrix = self._matrix
        gram = torch.zeros(self.side, self.side, dtype=self._dtype, device=matrix.device)
        if self._dtype != matrix.dtype:
            for columns in matrix.split(_BLOCK, dim=1):
                wide = columns.to(self._dtype)
                gram.addmm_(wide, wide.T)
        else:
            for start in range(0, self.side, _BLOCK):
                block = matrix[start : start + _BLOCK]
                end = start + len(block)
                torch.mm(block, matrix[:end].T, out=gram[start:end, :end])
        return gram


def _exact_products(like: Tensor) -> bool:
    """Whether a product of matrices of this kind keeps every bit: not under TF32 or autocast."""
    probe = torch.full((64, 64), 1 + 2.0**-20, dtype=like.dtype, device=like.device)
    return torch.equal(probe @ torch.eye(64, dtype=like.dtype, device=like.device), probe)
