"""A chart as inline SVG and as a file."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from energybench.errors import UsageError
from energybench.reports.charts import Chart, Numbers, frame
from energybench.reports.charts.figure import svg, write
from energybench.reports.charts.names import printable
from energybench.reports.charts.palette import COLOURS, INK, MUTED, SERIES

SVG = "{http://www.w3.org/2000/svg}"


def chart(title: str = "A chart", text: str = "label") -> Chart:
    def draw(figure: frame.Figure) -> None:  # type: ignore[name-defined]
        frame.legend(figure, [frame.Key(text, SERIES[0], "o"), frame.Key("estimated", MUTED, hatch="///")])
        (axis,) = frame.grid(figure, 1, top=0.4)
        frame.bars(axis, [(0, 1, 0, 1)], SERIES[1], hatch="///")
        frame.dots(axis, [(0.5, 0.5), (0.7, 0.2)], SERIES[2])
        axis.text(0.1, 0.1, printable(text), color=INK)
        frame.title(axis, text)

    return Chart("sample", title, "", f"shows {title}", Numbers((), ()), draw)


def test_colours_of_a_themed_chart_are_custom_properties_and_none_is_fixed() -> None:
    text = svg(chart())
    assert "var(--eb-series-2)" in text
    assert "var(--eb-ink)" in text
    assert not re.search(r"#[0-9a-f]{6}", text)
    known = {f"--{name}" for name in COLOURS}
    assert set(re.findall(r"var\((--[a-z0-9-]+)\)", text)) <= known


def test_colours_of_a_chart_without_theme_are_real() -> None:
    text = svg(chart(), themed=False)
    assert "var(" not in text
    assert SERIES[1] in text
    assert SERIES[2] in text


def test_it_is_one_element_with_a_title_and_a_description_as_wide_as_its_place() -> None:
    root = ET.fromstring(svg(chart("Energy & <time>")))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.get("viewBox") == "0 0 504 288"
    assert "width:100%" in root.get("style", "")
    assert root.get("width") is None
    title, desc = root[0], root[1]
    assert (title.tag, title.text) == (f"{SVG}title", "Energy & <time>")
    assert (desc.tag, desc.text) == (f"{SVG}desc", "shows Energy & <time>")
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"


def test_it_holds_no_style_sheet_metadata_or_foreign_reference() -> None:
    text = svg(chart())
    assert not re.search(r"<style|<metadata|<\?xml|<!--|<!DOCTYPE|href=\"[^#]", text)
    assert "<text" in text


def test_ids_of_two_charts_of_one_page_differ_and_every_reference_is_met() -> None:
    texts = [svg(chart(), prefix=prefix) for prefix in ("one", "two")]
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in texts]
    assert not ids[0] & ids[1]
    for text, own in zip(texts, ids, strict=True):
        referred = set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))
        assert referred
        assert referred <= own
        assert len(re.findall(r'\bid="', text)) == len(own)


def test_the_same_chart_gives_the_same_text() -> None:
    assert svg(chart()) == svg(chart())


def test_hostile_texts_are_drawn_literally(hostile: tuple[str, ...]) -> None:
    for text in hostile:
        made = svg(chart(text, text))
        root = ET.fromstring(made)
        assert {element.tag for element in root.iter()} <= {
            f"{SVG}{tag}" for tag in ("svg", "title", "desc", "g", "defs", "path", "text", "use", "clipPath", "rect")
        } | {f"{SVG}pattern"}
        assert not re.search(r"&lt;script&gt;.*\n", made)
    shown = [element.text for element in ET.fromstring(svg(chart(text="$x^2$"))).iter(f"{SVG}text")]
    assert "$x^2$" in shown


def test_a_colour_in_a_text_is_text() -> None:
    assert "#0072b2 url(#x)" in svg(chart(text="#0072b2 url(#x)"))


def test_nothing_of_the_users_matplotlib_settings_is_read_or_left_changed() -> None:
    import matplotlib as mpl

    plain = svg(chart())
    with mpl.rc_context({"font.size": 30.0, "axes.facecolor": "red"}):
        before = dict(mpl.rcParams)
        assert svg(chart()) == plain
        assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.PDF", b"%PDF")])
def test_a_file_is_written_in_the_format_of_its_ending_and_the_same_each_time(
    name: str, magic: bytes, tmp_path: Path
) -> None:
    found = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write(chart("A title"), tmp_path / folder / name)
        found.append((tmp_path / folder / name).read_bytes())
    assert found[0].startswith(magic)
    assert found[0] == found[1]


def test_a_file_has_the_title_above_the_picture(tmp_path: Path) -> None:
    write(chart("A title of its own"), tmp_path / "a.svg")
    root = ET.fromstring((tmp_path / "a.svg").read_text(encoding="utf-8"))
    places = {element.text: element for element in root.iter(f"{SVG}text")}
    assert "A title of its own" in places
    assert float(root.get("viewBox", "").split()[3]) > 288


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a plot is written as \.png, \.svg, \.pdf"):
        write(chart(), tmp_path / "a.gif")
    with pytest.raises(UsageError, match="there is no folder"):
        write(chart(), tmp_path / "nowhere" / "a.svg")
    (tmp_path / "b.svg").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        write(chart(), tmp_path / "b.svg")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.svg").touch(mode=0o400)
    with pytest.raises(UsageError, match="read-only"):
        write(chart(), tmp_path / "a.svg")


def test_without_matplotlib_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (lambda: svg(chart()), lambda: write(chart(), tmp_path / "a.svg")):
        with pytest.raises(UsageError, match=r"pip install 'energybench\[report\]'"):
            draw()


def test_a_long_title_is_shortened_in_the_picture_only() -> None:
    long = "model " * 60
    text = svg(replace(chart(), title=long))
    assert long.strip() in text
