"""Small multiples: equal panels in rows, a title above each, the axes' names at the edges, a legend across the top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energybench.reports.charts import frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 3
_TITLE = 0.25
_LETTERS = 90
"""that titles have together in a row"""


@dataclass(frozen=True, slots=True)
class Multiples:
    """A layout, from which a chart has its size before anything is drawn. Lengths in inches."""

    titles: Sequence[str]
    legend: Sequence[frame.Key] = ()
    heights: tuple[float, float] = (1.35, 2.4)
    """of a panel: where there are several rows, where there is one"""
    left: float = 0.62
    bottom: float = 0.45
    gap: tuple[float, float] = (0.5, 0.62)

    @property
    def across(self) -> int:
        """Panels in a row."""
        return min(ACROSS, len(self.titles))

    @property
    def inches(self) -> tuple[float, float]:
        """Width and height of the figure."""
        down = -(-len(self.titles) // self.across)
        several, single = self.heights
        panels = (several if down > 1 else single) * down + self.gap[1] * (down - 1)
        return frame.WIDTH, self._top + panels + self.bottom

    def is_lowest(self, index: int) -> bool:
        """Whether no panel stands below this one."""
        return index + self.across >= len(self.titles)

    def is_leftmost(self, index: int) -> bool:
        """Whether it begins a row."""
        return index % self.across == 0

    def draw(self, figure: Figure, panel: Callable[[Axes, int], None], *, x: str = "", y: str = "") -> None:
        """`panel` draws one after the other into its axes; `x` and `y` name the axes, once a column and once a row."""
        frame.legend(figure, self.legend)
        axes = frame.grid(
            figure,
            len(self.titles),
            across=self.across,
            left=self.left,
            top=self._top,
            bottom=self.bottom,
            gap=self.gap,
        )
        for index, (axis, title) in enumerate(zip(axes, self.titles, strict=True)):
            panel(axis, index)
            frame.title(axis, title, _LETTERS // self.across)
            if y and self.is_leftmost(index):
                axis.set_ylabel(y)
            if x and self.is_lowest(index):
                axis.set_xlabel(x)

    @property
    def _top(self) -> float:
        return frame.legend_inches(self.legend) + _TITLE
