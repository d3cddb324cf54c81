"""Axes, legends and marks: what the charts share of the drawing. Lengths are in inches, colours the palette's.

Places are computed from the lengths of texts, not by matplotlib's layout engines, which take longer than the drawing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energybench.reports.charts.names import brief, columns
from energybench.reports.charts.palette import INK, MUTED, SURFACE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.0
MOST_ROWS = 40
"""of a chart with a row per case"""
ROW = 0.19
_LETTER = 0.063
"""width of a letter at 7.5 points"""
_LEGEND_LINE = 0.17
_X_LABEL = 0.22
"""from the axis to its label"""
_Y_LABEL = 0.36
_ROUND_PERCENTS = (
    *(-10, 10, -50, 100, -20, 20, -30, 50, -75, 200, 400, -90, 900, -40, 30, -5, 5, -2, 2, -1, 1, -0.5, 0.5),
    *(-99, 9900, -99.9, 99900),
)
"""the rounder ones first: where there is no room for two, the first stays"""
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend."""

    label: str
    colour: str
    marker: str = ""
    """a mark; empty: a patch"""
    filled: bool = True
    line: str = ""
    """`-`, `--`, `:`; empty: no line"""
    hatch: str = ""
    opacity: float = 1.0
    """of a patch"""


def letters(texts: Sequence[str]) -> float:
    """Room that the longest of the texts takes."""
    return _LETTER * max(map(columns, texts), default=0)


def legend_inches(keys: Sequence[Key], width: float = WIDTH) -> float:
    """Height of a legend across the top of the figure; 0 of nothing."""
    return 0.06 + _LEGEND_LINE * math.ceil(len(keys) / _across(keys, width)) if keys else 0.0


def legend(figure: Figure, keys: Sequence[Key]) -> None:
    """The legend across the top."""
    if not keys:
        return
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    for key in keys:
        line: Any = key.line or "none"
        if key.marker or key.line:
            handles.append(
                Line2D(
                    [],
                    [],
                    color=key.colour,
                    marker=key.marker or "none",
                    linestyle=line,
                    markersize=4.5,
                    markerfacecolor=key.colour if key.filled else SURFACE,
                )
            )
        else:
            handles.append(
                Patch(
                    facecolor=key.colour, edgecolor=SURFACE, hatch=key.hatch or None, linewidth=0.5, alpha=key.opacity
                )
            )
    figure.legend(
        handles,
        [brief(key.label) for key in keys],
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=_across(keys, figure.get_figwidth()),
        borderaxespad=0.3,
        labelspacing=0.25,
        columnspacing=1.2,
        handletextpad=0.5,
        handlelength=1.4,
    )


def _across(keys: Sequence[Key], width: float) -> int:
    each = letters([brief(key.label) for key in keys]) + 0.42
    return max(1, min(len(keys), int((width - 0.1) / each)))


def grid(
    figure: Figure,
    count: int,
    *,
    across: int = 1,
    left: float = 0.62,
    right: float = 0.12,
    top: float = 0.1,
    bottom: float = 0.45,
    gap: tuple[float, float] = (0.5, 0.62),
) -> list[Axes]:
    """`count` axes in rows of `across`, with margins around them and `gap` (across, down) between them."""
    width, height = figure.get_size_inches()
    down = -(-count // across)
    each_w = (width - left - right - gap[0] * (across - 1)) / across
    each_h = (height - top - bottom - gap[1] * (down - 1)) / down
    made = []
    for index in range(count):
        row, column = divmod(index, across)
        x, y = left + column * (each_w + gap[0]), height - top - each_h - row * (each_h + gap[1])
        axis = figure.add_axes((x / width, y / height, each_w / width, each_h / height))
        # Labels at fixed places: to find them, matplotlib would lay out every tick's text once more.
        axis.xaxis.set_label_coords(0.5, -_X_LABEL / each_h)
        axis.yaxis.set_label_coords(-(_Y_LABEL if across > 1 else left - 0.12) / each_w, 0.5)
        made.append(axis)
    return made


def rows(axis: Axes, labels: Sequence[str], *, step: int = 1) -> None:
    """A row per label from the top; only vertical grid lines."""
    axis.set_ylim(len(labels) - 0.5, -0.5)
    axis.set_yticks(range(0, len(labels), step), labels=list(labels[::step]))
    axis.tick_params(axis="y", length=0, labelsize=7.5, labelcolor=INK)
    axis.grid(visible=False, axis="y")
    axis.spines["left"].set_visible(False)


def rows_inches(count: int, *, row: float = ROW, around: float = 0.6) -> float:
    """Height of a figure of that many rows."""
    return around + row * max(count, 2)


def bars(
    axis: Axes, boxes: Sequence[tuple[float, float, float, float]], colour: str, *, hatch: str = "", opacity: float = 1
) -> None:
    """Rectangles (x from, x to, y from, y to) as one collection; limits are the caller's."""
    if not boxes:
        return
    from matplotlib.collections import PolyCollection

    corners = [[(a, c), (b, c), (b, d), (a, d)] for a, b, c, d in boxes]
    made = PolyCollection(corners, facecolors=colour, edgecolors=SURFACE, linewidths=0.5, alpha=opacity)
    if hatch:
        made.set_hatch(hatch)
    axis.add_collection(made, autolim=False)


def lines(
    axis: Axes,
    segments: Sequence[Sequence[tuple[float, float]]],
    colour: str,
    *,
    width: float = 1.0,
    style: str = "solid",
    opacity: float = 1.0,
) -> None:
    """Polylines as one collection; limits are the caller's."""
    if not segments:
        return
    from matplotlib.collections import LineCollection

    axis.add_collection(
        LineCollection(list(segments), colors=colour, linewidths=width, linestyles=style, alpha=opacity), autolim=False
    )


def dots(
    axis: Axes,
    points: Sequence[tuple[float, float]],
    colour: str,
    *,
    marker: str = "o",
    filled: bool = True,
    size: float = 4.0,
) -> None:
    """Marks without a line."""
    if points:
        axis.plot(
            [x for x, _ in points],
            [y for _, y in points],
            linestyle="none",
            marker=marker,
            markersize=size,
            color=colour,
            markerfacecolor=colour if filled else SURFACE,
            markeredgewidth=1.0,
        )


def zero(axis: Axes, *, vertical: bool = True, at: float = 0.0) -> None:
    """The line of no change."""
    (axis.axvline if vertical else axis.axhline)(at, color=MUTED, linewidth=0.9, zorder=1.5)


def title(axis: Axes, text: str, most: int = 40) -> None:
    """The heading of a panel."""
    axis.set_title(brief(text, most), fontsize=8, color=INK, pad=4, y=1.0)


def span(values: Sequence[float], *, margin: float = 0.06, least: float = 0.0) -> tuple[float, float]:
    """Limits around the values with some room, at least `least` apart."""
    low, high = min(values), max(values)
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    room = margin * (high - low) or abs(high) * margin or 1.0
    return low - room, high + room


def log_axis(axis: Axes, limits: tuple[float, float], *, vertical: bool = False) -> None:
    """A logarithmic scale whose ticks are plain numbers, and powers of ten from 10 000 on."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    (axis.set_yscale if vertical else axis.set_xscale)("log")
    (axis.set_ylim if vertical else axis.set_xlim)(*limits)
    scale = axis.yaxis if vertical else axis.xaxis
    decades = math.log10(limits[1] / limits[0])
    subs = (1.0,) if decades > 2 else (1.0, 2.0, 5.0) if decades > 0.5 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    scale.set_major_locator(LogLocator(base=10, subs=subs, numticks=8))
    scale.set_minor_locator(NullLocator())
    scale.set_major_formatter(FuncFormatter(lambda value, _: decimal(value)))
    scale.set_minor_formatter(NullFormatter())


def decimal(value: float) -> str:
    """`0.01`, `20`, `5000`, `10⁶`, `2·10⁶`."""
    if value <= 0 or 1e-3 <= value < 99999:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    head = f"{float(mantissa):g}"
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return power if head == "1" else f"{head}·{power}"


def percents(axis: Axes, *, vertical: bool = False) -> None:
    """Ticks of shares as signed percent."""
    from matplotlib.ticker import FuncFormatter

    (axis.yaxis if vertical else axis.xaxis).set_major_formatter(FuncFormatter(lambda share, _: _percent(share)))


def log_percents(axis: Axes) -> None:
    """Ticks of natural logarithms of ratios, at round percents; for an axis whose limits are set."""
    low, high = axis.get_xlim()
    apart = (high - low) / 9
    ticks: list[float] = [0.0]
    for share in _ROUND_PERCENTS:
        at = math.log1p(share / 100)
        if low <= at <= high and all(abs(at - other) >= apart for other in ticks):
            ticks.append(at)
    axis.set_xticks(sorted(ticks), labels=[_percent(math.expm1(tick)) for tick in sorted(ticks)])


def _percent(share: float) -> str:
    return "0 %" if abs(share) < 1e-9 else f"{100 * share:+.3g} %"
