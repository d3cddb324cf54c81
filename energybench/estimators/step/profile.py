"""Where a series changes its regime: matrix profile and FLUSS.

The matrix profile (Yeh et al., ICDM 2016) has for every subsequence of m samples the most similar other one, by the
Euclidean distance of the z-normalised samples. FLUSS (Gharghabi et al., ICDM 2017) draws an arc from each to that
neighbour and counts the arcs above every place: few cross the border of two regimes. The count is divided by that of
arcs between random places, 2 i (n - i) / n, so that the ends do not look like borders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_BLOCK = 512
"""subsequences whose distances to all others are held at a time"""


def matrix_profile(series: Sequence[float] | Floats, m: int) -> tuple[Floats, Indices]:
    """For each subsequence of `m` samples the distance to its nearest neighbour, and where that begins.

    Neighbours within m / 4 samples, rounded up, are trivial and left out. A constant subsequence is at distance 0 from
    another one and at sqrt(m) from all else. Where two are equally near the first counts. Raises ValueError for a
    series without any neighbour to compare with.
    """
    values = np.asarray(series, dtype=np.float64)
    if m < 2 or len(values) - m + 1 < 2 + math.ceil(m / 4):
        raise ValueError(f"{len(values)} samples are too few for subsequences of {m}")
    windows = np.lib.stride_tricks.sliding_window_view(values, m)
    count = len(windows)
    centred = windows - windows.mean(axis=1, keepdims=True)
    norms = np.sqrt((centred * centred).sum(axis=1))
    constant = norms <= 1e-9 * np.maximum(1.0, np.abs(windows).max(axis=1))
    unit = np.where(constant[:, None], 0.0, centred / np.where(constant, 1.0, norms)[:, None])
    places = np.arange(count)
    distances, nearest = np.empty(count), np.empty(count, dtype=np.int64)
    for start in range(0, count, _BLOCK):
        rows = places[start : start + _BLOCK]
        # |x - y|^2 of two z-normalised subsequences is 2 m (1 - correlation); a constant one counts as 0 or m.
        squares = 2 * m * (1 - unit[rows] @ unit.T)
        squares[constant[rows], :] = m
        squares[:, constant] = m
        squares[np.ix_(constant[rows], constant)] = 0
        squares[np.abs(rows[:, None] - places[None, :]) <= math.ceil(m / 4)] = np.inf
        nearest[rows] = squares.argmin(axis=1)
        distances[rows] = np.sqrt(np.maximum(squares[np.arange(len(rows)), nearest[rows]], 0.0))
    return distances, nearest


def arc_curve(nearest: Indices, edge: int) -> Floats:
    """The corrected arc curve: at each place the share of arcs above it, at most 1; 1 within `edge` of either end."""
    count = len(nearest)
    places = np.arange(count)
    first, last = np.minimum(places, nearest), np.maximum(places, nearest)
    arcs = (np.bincount(first, minlength=count) - np.bincount(last, minlength=count)).cumsum()
    corrected = np.minimum(arcs / np.maximum(ideal_arcs(count), 1e-10), 1.0)
    if edge > 0:
        corrected[:edge] = corrected[-edge:] = 1.0
    return corrected


def ideal_arcs(count: int) -> Floats:
    """Arcs above each of `count` places that join each place to a random other: the parabola 2 i (n - i) / n."""
    places = np.arange(count, dtype=np.float64)
    return 2 * places * (count - places) / count


def regime_change(series: Any, m: int, edge: int) -> tuple[int, float]:
    """Sample at which the second of two regimes begins, with the corrected arc curve there: 0 is plain, 1 is none."""
    _, nearest = matrix_profile(series, m)
    curve = arc_curve(nearest, edge)
    place = int(curve.argmin())
    return place, float(curve[place])
