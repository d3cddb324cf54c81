"""The HTML of a report: whole, escaped, self-contained, accessible."""

from __future__ import annotations

import base64
import builtins
import csv
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from energybench.analysis.compare import compare_runs
from energybench.errors import UsageError
from energybench.model import Mark, Provenance, Run, Status
from energybench.reports.charts.chart import Field, Numbers
from energybench.reports.charts.palette import contrast, properties
from energybench.reports.charts.subject import Subject
from energybench.reports.page import Page, html, page, require
from energybench.reports.page.contents import Table
from energybench.reports.page.markup import LONG

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></script></svg><b>",
    "x" * 5000,
    "مرحبا\u202eabc",
    "能耗-测试 🔥",
    "$\\frac{1}{0$",
    "{{ 7 * 7 }}",
    "a\x00b\ud800c",
    "&amp;<!--",
)


@pytest.fixture
def rich(make_case: Any, make_run: Any) -> Run:
    """Two models x two compressors, with accuracy and epochs."""
    cases = [
        make_case(
            f"{model}-{compressor}",
            [100.0 * scale, 102.0 * scale],
            accuracy=[0.9, 0.91],
            epochs=4,
            params={"model": model, "compressor": compressor},
            pue=1.5,
        )
        for model, compressor, scale in (("a", "none", 1), ("a", "stego", 0.8), ("b", "none", 2), ("b", "stego", 2.2))
    ]
    run: Run = make_run(*cases, pue=1.5, created="2026-01-02T03:04:05+00:00")
    return run


def rendered(run: Run) -> str:
    return html(page(Subject((run,))))


@pytest.fixture(scope="module")
def rich_pages() -> dict[str, Any]:
    """Made once: drawing takes seconds."""
    return {}


@pytest.fixture
def tree(rich: Run, rich_pages: dict[str, Any], read: Any) -> Any:
    """The page of `rich`."""
    if not rich_pages:
        rich_pages["page"] = read(rendered(rich))
    return rich_pages["page"]


def test_every_element_is_closed_in_order_and_every_id_is_unique(tree: Any) -> None:
    ids = [element.attributes["id"] for element in tree.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    assert {"summary", "cases", "environment", "warnings", "absent", "pareto"} <= set(ids)


def test_links_of_the_page_lead_somewhere(tree: Any) -> None:
    ids = {element.attributes.get("id") for element in tree.all()}
    targets = [link.attributes["href"] for link in tree.all("a")]
    assert len(targets) > 5
    assert all(target.startswith("#") and target[1:] in ids for target in targets)


def test_ids_that_are_referred_to_exist(tree: Any) -> None:
    ids = {element.attributes.get("id") for element in tree.all()}
    named = [
        name
        for element in tree.all()
        for key in ("aria-labelledby", "data-of", "for")
        for name in element.attributes.get(key, "").split()
    ]
    assert named
    assert set(named) <= ids


def test_nothing_is_loaded_from_anywhere(tree: Any) -> None:
    for element in tree.all():
        for key in ("src", "href", "xlink:href", "data", "action", "srcset", "poster"):
            value = element.attributes.get(key, "")
            assert value == "" or value.startswith(("#", "data:")), (element.tag, key, value)
    styles = " ".join(["".join(map(str, style.children)) for style in tree.all("style")])
    assert "@import" not in styles
    assert "url(" not in styles


def test_the_policy_allows_the_one_script_by_its_hash_and_nothing_else(tree: Any) -> None:
    (policy,) = [
        meta.attributes["content"]
        for meta in tree.all("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    (script,) = tree.all("script")
    digest = base64.b64encode(hashlib.sha256("".join(map(str, script.children)).encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in policy
    assert not [element for element in tree.all() if any(key.startswith("on") for key in element.attributes)]


@pytest.fixture(scope="module")
def hostile_pages() -> dict[str, str]:
    """Made once: drawing takes seconds."""
    return {}


@pytest.fixture
def hostile(make_case: Any, make_run: Any, hostile_pages: dict[str, str]) -> str:
    """A page whose every text is one that a careless page would take for markup."""
    if hostile_pages:
        return hostile_pages["page"]
    cases = [
        make_case(
            name,
            [100.0 + n, 101.0 + n],
            accuracy=[0.9, 0.9],
            epochs=3,
            params={"model": name, "compressor": "none" if n % 2 else name},
            warnings=(name,),
            facts={"compression": {"kind": name}},
        )
        for n, name in enumerate(HOSTILE)
    ]
    everything = " ".join(HOSTILE)
    run = make_run(
        *cases,
        source='store/"><script>alert(1)<.json',
        machine={"node": everything, "cpu": {"brand_raw": everything}},
        commit={"id": everything, "branch": everything},
        session={
            "notes": list(HOSTILE),
            "currency": everything,
            "price_per_kwh": 0.3,
            "diagnoses": [{"meter": name, "state": name, "reason": name} for name in HOSTILE],
            everything: everything,
        },
    )
    report = compare_runs(run, run)
    hostile_pages["page"] = html(page(Subject((run,), report), [report], run, title=everything, notes=HOSTILE))
    return hostile_pages["page"]


def test_hostile_texts_make_no_element_and_no_handler(hostile: str, read: Any) -> None:
    tree = read(hostile)
    assert len(tree.all("script")) == 1
    assert not tree.all("img", "b", "iframe", "object", "embed")
    assert not [element for element in tree.all() if any(key.startswith("on") for key in element.attributes)]
    ids = [element.attributes["id"] for element in tree.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[\w.-]+", id) for id in ids)


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:20])
def test_a_hostile_name_stands_as_it_is_in_title_cases_and_warnings(name: str, hostile: str, read: Any) -> None:
    """But for half a surrogate pair, which no file in UTF-8 can hold: it is an escape."""
    shown = name.encode("utf-8", "backslashreplace").decode()
    hostile.encode("utf-8")
    tree = read(hostile)
    assert shown in tree.all("h1")[0].text
    assert shown in [head.text for head in tree.id("t-cases").all("tbody")[0].all("th")]
    assert shown in tree.id("warnings").text


def test_charts_have_words_and_numbers_beside_them(tree: Any) -> None:
    sections = [e for e in tree.all("section") if e.attributes.get("class") == "chart"]
    assert len(sections) >= 4
    for section in sections:
        (drawing,) = section.all("svg")
        assert drawing.attributes["role"] == "img"
        assert section.all("desc")[0].text
        (table,) = section.all("table")
        assert table.all("caption")[0].text
        assert all(head.attributes.get("scope") == "col" for head in table.all("thead")[0].all("th"))
        assert all(head.attributes.get("scope") == "row" for head in table.all("tbody")[0].all("th"))
        assert table.all("tbody")[0].all("tr")


def test_a_chart_without_numbers_is_named_with_its_reason(make_case: Any, make_run: Any, read: Any) -> None:
    tree = read(rendered(make_run(make_case("a", [100.0]))))
    assert "No case has both an energy reading and an accuracy." in tree.id("absent").text
    assert not [element for element in tree.all() if element.attributes.get("id") == "pareto"]


def test_the_table_of_cases_has_numbers_in_full_and_what_is_absent_as_such(
    make_case: Any, make_run: Any, read: Any
) -> None:
    run = make_run(make_case("a", [1000.0 / 3], accuracy=[0.9]), make_case("b", [None]), pue=1.5)
    table = read(rendered(run)).id("t-cases")
    names = [head.attributes["data-name"] for head in table.all("thead")[0].all("th")]
    first, second = ([*row.all("th", "td")] for row in table.all("tbody")[0].all("tr"))
    energy = names.index("energy_it_j")
    assert first[energy].attributes["data-v"] == repr(1000.0 / 3)
    assert first[energy].text == "333"
    assert (second[energy].text, second[energy].attributes["data-v"]) == ("–", "")


def test_estimated_joules_are_labelled_at_the_figures_the_charts_and_the_cases(
    make_case: Any, make_run: Any, read: Any
) -> None:
    cases = [
        make_case(id, [joules], accuracy=[0.9], provenance=Provenance.ESTIMATED)
        for id, joules in (("a", 100.0), ("b", 90.0))
    ]
    tree = read(rendered(make_run(*cases)))
    assert "no counter was read" in tree.id("summary").text
    places = [tree.id("cases"), *(e for e in tree.all("section") if e.attributes.get("class") == "chart")]
    assert len(places) > 2
    for place in places:
        assert "energy estimated" in place.all("h2")[0].text


def test_measured_joules_carry_no_such_label(tree: Any) -> None:
    assert "estimated" not in " ".join(head.text for head in tree.all("h2", "h3"))


def test_a_run_without_energy_says_so_and_shows_what_there_is(make_case: Any, make_run: Any, read: Any) -> None:
    tree = read(rendered(make_run(make_case("a", [None], accuracy=[0.93]))))
    assert "No energy was read" in tree.id("summary").text
    assert "93.0" in tree.id("cases").text
    assert "0 kWh" not in tree.text


def test_a_run_without_a_case_is_a_page_too(make_run: Any, read: Any) -> None:
    tree = read(rendered(make_run(session={"status": "interrupted"})))
    assert "No case was measured." in tree.id("cases").text
    assert "ended as interrupted" in tree.id("summary").text


def test_carbon_and_price_stand_where_they_are_stated(make_case: Any, make_run: Any, read: Any) -> None:
    session = {"carbon_g_per_kwh": 344.0, "carbon_source": "DE 2024", "price_per_kwh": 0.3, "currency": "EUR"}
    stated = read(rendered(make_run(make_case("a", [3.6e6]), session=session))).id("summary").text
    assert "344 g" in stated
    assert "0.300 EUR" in stated
    assert "DE 2024" in stated
    assert "CO2e" not in read(rendered(make_run(make_case("a", [3.6e6])))).id("summary").text


def test_verdicts_are_counted_and_what_regressed_is_said_in_words(rich: Run, read: Any) -> None:
    def half_more(case: Any) -> Any:
        more = [replace(r.window, joules={"package:0": 1.5 * r.window.joules["package:0"]}) for r in case.rounds]
        return replace(case, rounds=tuple(replace(r, window=w) for r, w in zip(case.rounds, more, strict=True)))

    cases = tuple(half_more(case) if case.short_id == "b-stego" else case for case in rich.cases)
    worse = replace(rich, source="store/box/0004_run2.json", cases=cases)
    report = compare_runs(rich, worse)
    tree = read(html(page(Subject((worse,), comparison=report), [report], rich)))
    verdicts = tree.id("verdicts").text
    assert "1 regressed" in verdicts
    assert re.search(r"b-stego: energy regressed \+50\.0 %", verdicts)
    assert "0003_run1 -> 0004_run2" in verdicts
    assert "baseline" in tree.id("summary").text
    order = [section.attributes["id"] for section in tree.all("section")]
    assert order[:2] == ["summary", "verdicts"]


def test_runs_of_different_pue_are_shown_at_pue_1_with_a_note(rich: Run, read: Any) -> None:
    other = replace(rich, source="x/0009_o.json", cases=tuple(replace(case, pue=1.1) for case in rich.cases))
    text = read(html(page(Subject((other,)), [compare_runs(rich, other)], rich))).id("summary").text
    assert "shown at PUE 1" in text
    assert "PUE 1.5" not in text


def test_warnings_are_grouped_with_their_cases(make_case: Any, make_run: Any, read: Any) -> None:
    cases = [make_case(f"c{n}", [1.0], warnings=("a counter was lost",)) for n in range(6)]
    marked = make_case("m", [1.0], status=Status.PARTIAL)
    marked = replace(
        marked, rounds=tuple(replace(r, window=replace(r.window, marks=(Mark.TOO_SHORT,))) for r in marked.rounds)
    )
    warnings = read(rendered(make_run(*cases, marked))).id("warnings").text
    assert warnings.count("a counter was lost") == 1
    assert "6 cases" in warnings
    assert "marked too-short (m)" in " ".join(warnings.split())


def test_a_thousand_cases_stay_under_six_megabytes(make_case: Any, make_run: Any) -> None:
    cases = [
        make_case(
            f"model{n // 4}-c{n % 4}",
            [100.0 + n / 7, 101.0 + n / 7],
            accuracy=[0.9 + n % 9 / 100] * 2,
            epochs=4,
            params={"model": f"model{n // 4}", "compressor": ("none", "stego", "prune", "lowrank")[n % 4]},
        )
        for n in range(1000)
    ]
    assert len(rendered(make_run(*cases)).encode()) < 6e6


def test_a_table_too_long_for_a_browser_is_csv_text_that_can_be_downloaded(read: Any) -> None:
    rows = tuple((f"<{n}>", n / 7) for n in range(LONG + 1))
    fields = (Field("case", "case"), Field("energy_j", "energy, J"))
    cases = (Table("cases", "All cases", Numbers(fields, rows[:LONG])), Table("laps", "Laps", Numbers(fields, rows)))
    tree = read(html(Page("t", (), cases=cases)))
    (text,) = tree.all("pre")
    assert list(csv.reader(text.text.splitlines())) == [["case", "energy_j"], *([a, repr(b)] for a, b in rows)]
    assert text.attributes["id"] in [button.attributes.get("data-of") for button in tree.all("button")]
    assert len(tree.id("t-cases").all("tbody")[0].all("tr")) == LONG


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_every_ground_it_stands_on(theme: str) -> None:
    """4.5 : 1 at least (WCAG 2.2, 1.4.3)."""
    style = (Path(require.__code__.co_filename).parent / "templates/page.css").read_text()
    block = style.split(f"/* {theme} */", 1)[1].split("}", 1)[0]
    colours = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", f"{properties(theme)}{block}"))
    grounds = ("page", "eb-surface", "raised")
    pairs = [(text, ground) for text in ("eb-ink", "eb-muted", "accent") for ground in grounds]
    pairs += [(tone, ground) for tone in ("good", "bad", "warn") for ground in (f"{tone}-back", "eb-surface")]
    for text, ground in pairs:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_a_missing_library_is_named_with_the_pip_line(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == library:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=rf"needs {library}: pip install 'energybench\[report\]'"):
        require()
