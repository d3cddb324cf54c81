"""matplotlib's SVG made fit for a page: colours from the page, ids of its own, words for whoever cannot see it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from energybench.reports.charts.names import printable
from energybench.reports.charts.palette import BY_LIGHT

FONTS = "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_HEX = re.compile(r"#[0-9a-f]{6}\b")
_FAMILY = re.compile(r"font-family:[^;]*;?\s*")
"""the root's is inherited"""
_FONT = re.compile(r"font:\s*([^;']*?)\s*'[^;]*")
"""as matplotlib before 3.10 writes it"""
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ROOT_STYLE = "width:100%;height:auto;stroke-linejoin:round;stroke-linecap:butt"


def inlined(text: str, *, title: str, description: str, prefix: str, themed: bool) -> str:
    """The <svg> of `text`, matplotlib's, as one element.

    No prolog, metadata or style sheet, whose rule for `*` would reach the page around it; only ids that are referred
    to, beginning with `prefix`; a title and a description; the size of its place. Where `themed`, every colour of the
    palette is `var(--NAME)`.
    """
    root = ET.fromstring(_NOT_XML.sub("\ufffd", text))
    view = root.get("viewBox", "0 0 504 288")
    _strip(root)
    referred = set(_referred(root))
    for element in root.iter():
        _rewrite(element, prefix, referred, themed)
    root.attrib = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": view,
        "role": "img",
        "aria-labelledby": f"{prefix}-title {prefix}-desc",
        "style": f"{_ROOT_STYLE};font-family:{FONTS}",
    }
    for position, (tag, words) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(tag, {"id": f"{prefix}-{tag}"})
        element.text = printable(words)
        root.insert(position, element)
    return ET.tostring(root, encoding="unicode")


def _strip(root: ET.Element) -> None:
    """Without namespaces in names, without metadata, style sheets and the white space between elements."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        if element.tag != "text":
            element.text = None
        element.tail = None
        element.attrib = {_plain(key): value for key, value in element.attrib.items()}
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("metadata", "style") or (child.tag in ("defs", "g") and not len(child)):
                parent.remove(child)
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in ("defs", "g") and not len(child)]:
            parent.remove(child)


def _plain(key: str) -> str:
    return "xml:space" if key.endswith("}space") else key.rpartition("}")[2]


def _referred(root: ET.Element) -> Iterator[str]:
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "href" and value.startswith("#"):
                yield value[1:]
            else:
                yield from _REFERENCE.findall(value)


def _rewrite(element: ET.Element, prefix: str, referred: set[str], themed: bool) -> None:
    attributes = element.attrib
    identity = attributes.pop("id", None)
    if identity in referred:
        attributes["id"] = f"{prefix}-{identity}"
    for key, value in attributes.items():
        if key == "href" and value.startswith("#"):
            attributes[key] = f"#{prefix}-{value[1:]}"
        elif key != "id" and "url(#" in value:
            attributes[key] = _REFERENCE.sub(lambda found: f"url(#{prefix}-{found[1]})", value)
    style = attributes.get("style", "")
    # A custom property has no meaning in an attribute: the ground of a hatch moves its colour into the style.
    for key in ("fill", "stroke"):
        if attributes.get(key) in BY_LIGHT:
            style = f"{key}: {attributes.pop(key)}; {style}"
    if style:
        style = _FONT.sub(rf"font: \1 {FONTS}", style)
        style = _FAMILY.sub("", style)
        if themed:
            style = _HEX.sub(lambda found: _variable(found[0]), style)
        attributes["style"] = style.replace(": ", ":").replace("; ", ";")


def _variable(value: str) -> str:
    colour = BY_LIGHT.get(value)
    return value if colour is None else f"var(--{colour.name})"
