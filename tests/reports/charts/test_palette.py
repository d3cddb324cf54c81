"""Contrast of the charts' colours, by the formulas of WCAG 2.2."""

from __future__ import annotations

import re

import pytest

from energybench.reports.charts.palette import (
    BY_LIGHT,
    COLOURS,
    SERIES,
    TINT,
    Colour,
    blend,
    contrast,
    properties,
)

THEMES = ("light", "dark")
MARKS = [colour for colour in COLOURS.values() if colour.kind == "mark"]


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", "#ffffff") == 1
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("colour", COLOURS.values(), ids=lambda colour: colour.name)
def test_a_colour_stands_out_from_the_ground(colour: Colour, theme: str) -> None:
    least = {"text": 4.5, "mark": 3.0, "ground": 1.0}[colour.kind]
    assert contrast(getattr(colour, theme), getattr(COLOURS["eb-surface"], theme)) >= least


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("colour", MARKS, ids=lambda colour: colour.name)
def test_text_in_ink_is_legible_on_a_tint_of_any_mark(colour: Colour, theme: str) -> None:
    ground = blend(getattr(colour, theme), getattr(COLOURS["eb-surface"], theme), TINT)
    assert contrast(getattr(COLOURS["eb-ink"], theme), ground) >= 4.5


def test_what_charts_draw_with_names_one_colour_each() -> None:
    assert len(BY_LIGHT) == len(COLOURS)
    assert len(set(SERIES)) == 8
    assert all(re.fullmatch(r"#[0-9a-f]{6}", value) for c in COLOURS.values() for value in (c.light, c.dark))


@pytest.mark.parametrize("theme", THEMES)
def test_the_custom_properties_hold_every_colour(theme: str) -> None:
    declared = dict(line.split(":") for line in properties(theme).rstrip(";").split(";"))
    assert declared == {f"--{name}": getattr(colour, theme) for name, colour in COLOURS.items()}
