"""A chart as inline SVG, which takes its colours from the page, and as a file."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.errors import UsageError
from energybench.reports.charts.chart import Chart
from energybench.reports.charts.names import brief
from energybench.reports.charts.palette import GRID, INK, MUTED, SURFACE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
DPI = 160
_TITLE_INCHES = 0.34
_FALLBACKS = ("Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Noto Sans Arabic")
"""families that hold what DejaVu Sans, which comes with matplotlib, lacks; those that are installed are used"""
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 8,
    "text.color": INK,
    "figure.facecolor": SURFACE,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": [-15, 15],
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.2,
    "hatch.linewidth": 1.0,
    "pdf.fonttype": 42,
}


def svg(chart: Chart, *, themed: bool = True, prefix: str = "") -> str:
    """The chart as an <svg> element without prolog, as wide as its place.

    Where `themed`, its colours are the custom properties of `palette.properties` and its ground is transparent. Its
    ids begin with `prefix` (default: the chart's name), which must differ between two of one page. Raises UsageError
    without matplotlib.
    """
    from energybench.reports.charts.svg import inlined

    prefix = prefix or f"eb-{chart.name}"
    with _style(prefix):
        figure = _drawn(chart)
        if themed:
            figure.patch.set_visible(False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return inlined(text.getvalue(), title=chart.title, description=chart.alt, prefix=prefix, themed=themed)


def write(chart: Chart, path: Path) -> None:
    """The chart with its title into `path`, as .svg, .png or .pdf; the same chart gives the same bytes.

    Raises UsageError for another ending, without matplotlib, and where the file cannot be written.
    """
    check(path)
    ending = path.suffix.lower()
    with _style(f"eb-{chart.name}"):
        figure = _drawn(chart)
        _entitle(figure, brief(chart.title, int(figure.get_figwidth() * 13)))
        data = io.BytesIO()
        metadata: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(ending, {})
        figure.savefig(data, format=ending[1:], metadata=metadata, dpi=DPI)
    content = data.getvalue()
    if ending == ".svg":
        from energybench.reports.charts.svg import inlined

        inside = inlined(
            content.decode(), title=chart.title, description=chart.alt, prefix=f"eb-{chart.name}", themed=False
        )
        content = f'<?xml version="1.0" encoding="utf-8"?>\n{inside}\n'.encode()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"The plot cannot be written: {path}: {error.strerror or error}.") from None


def check(path: Path) -> None:
    """UsageError where `path` has an ending that no chart is written as, or lies in no folder."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: a plot is written as {', '.join(FORMATS)}; give the file one of these endings.")
    if not path.parent.is_dir():
        raise UsageError(f"The plot cannot be written: there is no folder {path.parent}.")
    if path.is_dir() or (path.exists() and not os.access(path, os.W_OK)):
        raise UsageError(f"The plot cannot be written: {path} is {'a folder' if path.is_dir() else 'read-only'}.")


def _drawn(chart: Chart) -> Figure:
    """A figure of its own and no pyplot: no window, whatever the user's backend is."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=chart.inches)
    chart.draw(figure)
    return figure


def _entitle(figure: Figure, title: str) -> None:
    """More room at the top, with the title in it; what was drawn keeps its place and size."""
    width, height = figure.get_size_inches()
    ratio = height / (height + _TITLE_INCHES)
    figure.set_size_inches(width, height + _TITLE_INCHES)
    for axis in figure.axes:
        x, y, w, h = axis.get_position().bounds
        axis.set_position((x, y * ratio, w, h * ratio))
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0.0, ratio), transform=figure.transFigure)
    for text in figure.texts:
        text.set_y(text.get_position()[1] * ratio)
    figure.text(0.012, 1 - 0.09 / (height + _TITLE_INCHES), title, fontsize=10, fontweight="bold", va="top")


@contextmanager
def _style(salt: str) -> Iterator[None]:
    """matplotlib's own defaults and ours, whatever the user's matplotlibrc says; all is as it was afterwards."""
    try:
        import matplotlib as mpl
        from matplotlib.font_manager import fontManager
    except ImportError:
        raise UsageError("A plot needs matplotlib: pip install 'energybench[report]'") from None
    installed = {font.name for font in fontManager.ttflist}
    families = ["DejaVu Sans", *(family for family in _FALLBACKS if family in installed)]
    quiet = logging.getLogger("matplotlib.font_manager")
    level = quiet.level
    with mpl.rc_context(), warnings.catch_warnings():
        # A sign that no installed font holds is drawn as a box in a PNG; the browser has other fonts.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support .* natively")
        quiet.setLevel(logging.ERROR)
        try:
            mpl.rcdefaults()
            settings: Any = {**_STYLE, "font.family": families, "svg.hashsalt": salt}
            mpl.rcParams.update(settings)
            yield
        finally:
            quiet.setLevel(level)
