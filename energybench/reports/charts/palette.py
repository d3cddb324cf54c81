"""The colours of charts: each by a name, with a value on light and one on dark ground.

A chart draws with the light values, which are all different, so that `svg` can put a CSS custom property in the place
of each: the page then switches between light and dark without another drawing. Text has a contrast of 4.5 : 1 at least
with the ground, marks have 3 : 1 (WCAG 2.2, 1.4.3 and 1.4.11). No meaning hangs on colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Colour:
    """One named colour."""

    name: str
    """the CSS custom property without its dashes: `eb-ink`"""
    light: str
    """#rrggbb; what charts draw with"""
    dark: str
    kind: str = "mark"
    """`text` (4.5 : 1), `mark` (3 : 1) or `ground` (surfaces and grid lines, which carry nothing)"""


_COLOURS = (
    Colour("eb-surface", "#ffffff", "#14171c", "ground"),
    Colour("eb-grid", "#dfe3e8", "#323841", "ground"),
    Colour("eb-ink", "#1b1f24", "#e9ecf0", "text"),
    Colour("eb-muted", "#586270", "#a5afbb", "text"),
    Colour("eb-series-1", "#0072b2", "#56b0e8"),
    Colour("eb-series-2", "#d05a00", "#ff9248"),
    Colour("eb-series-3", "#00875f", "#35c79a"),
    Colour("eb-series-4", "#b5508c", "#e79ac8"),
    Colour("eb-series-5", "#8c6d00", "#dfba4a"),
    Colour("eb-series-6", "#332288", "#a596ff"),
    Colour("eb-series-7", "#3a8dbd", "#9ad6f7"),
    Colour("eb-series-8", "#882255", "#e3739c"),
    Colour("eb-good", "#17794a", "#4fc48c"),
    Colour("eb-bad", "#bf2f1b", "#ff7d69"),
    Colour("eb-uncertain", "#8a6003", "#e2b54f"),
    Colour("eb-neutral", "#6a7381", "#98a2af"),
    Colour("eb-gpu", "#5a3fb3", "#ab9cff"),
    Colour("eb-cpu", "#1d6dac", "#62b2f0"),
    Colour("eb-dram", "#a65b02", "#f2a350"),
    Colour("eb-other", "#5f6a78", "#a0aab7"),
    Colour("eb-estimated", "#76707f", "#b3adbd"),
)

COLOURS = {colour.name: colour for colour in _COLOURS}
"""by name"""
BY_LIGHT = {colour.light: colour for colour in _COLOURS}
"""by the value that charts draw with"""

SURFACE = COLOURS["eb-surface"].light
GRID = COLOURS["eb-grid"].light
INK = COLOURS["eb-ink"].light
MUTED = COLOURS["eb-muted"].light
SERIES = tuple(COLOURS[f"eb-series-{number}"].light for number in range(1, 9))
GOOD = COLOURS["eb-good"].light
BAD = COLOURS["eb-bad"].light
UNCERTAIN = COLOURS["eb-uncertain"].light
NEUTRAL = COLOURS["eb-neutral"].light
GPU = COLOURS["eb-gpu"].light
CPU = COLOURS["eb-cpu"].light
DRAM = COLOURS["eb-dram"].light
OTHER = COLOURS["eb-other"].light
ESTIMATED = COLOURS["eb-estimated"].light

TINT = 0.3
"""opacity of a mark's colour behind text in ink: what still leaves 4.5 : 1"""


def properties(theme: str) -> str:
    """The declarations of the custom properties for `light` or `dark`: `--eb-ink:#1b1f24;...`."""
    return "".join(f"--{colour.name}:{getattr(colour, theme)};" for colour in _COLOURS)


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours #rrggbb, from 1 to 21 (WCAG 2.2)."""
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def blend(colour: str, ground: str, opacity: float) -> str:
    """What `colour` with `opacity` looks like on `ground`, all #rrggbb."""
    pairs = zip(_channels(colour), _channels(ground), strict=True)
    return "#" + "".join(f"{round(255 * (opacity * over + (1 - opacity) * under)):02x}" for over, under in pairs)


def _channels(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
