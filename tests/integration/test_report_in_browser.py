"""A report in a real browser: drawn, silent, without a request, sortable, light and dark, narrow and on paper."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from energybench.cli import main
from energybench.model import Window
from energybench.store import document, write

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FOUND = next((path for name in BROWSERS if (path := shutil.which(name))), None)
PATIENCE_MS = 300_000
"""a busy machine is no bug"""

if FOUND is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="no Chromium on this machine: playwright is not installed")

pytestmark = pytest.mark.timeout(900)
MODELS, COMPRESSORS = ("alpha", "beta", "gamma"), {"none": 1.0, "stego": 0.8, "prune": 0.9}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stored runs of nine cases; the report of the last against the first, with its history."""
    from dataclasses import replace

    from energybench.model import Case, Domain, Provenance, Round

    folder = tmp_path_factory.mktemp("report")
    domains = (Domain("gpu:0", "nvml", Provenance.MEASURED), Domain("package:0", "rapl", Provenance.MEASURED))

    def case(model: str, compressor: str, factor: float) -> Case:
        rounds = []
        for seed in range(2):
            epoch = Window(1.0, {"gpu:0": 30.0 * factor, "package:0": 12.5 * factor}, label="epoch")
            laps = tuple(replace(epoch, joules={**epoch.joules, "gpu:0": (30.0 + n % 3) * factor}) for n in range(6))
            whole = {name: sum(lap.joules[name] or 0.0 for lap in laps) for name in epoch.joules}
            rounds.append(Round(Window(6.0, whole, laps=laps), {"accuracy": 0.9 + seed / 500}, seed=seed))
        id = f"benches/test_f.py::test_finetune[{model}-{compressor}]"
        return Case(id, tuple(rounds), domains=domains, params={"model": model, "compressor": compressor}, pue=1.58)

    for name, change in (("base", 1.0), ("middle", 1.01), ("head", 1.2)):
        cases = [
            case(model, compressor, scale * (n + 1) * (change if model == "beta" else 1.0))
            for n, model in enumerate(MODELS)
            for compressor, scale in COMPRESSORS.items()
        ]
        session = {"session": name, "status": "ok", "pue": 1.58}
        write(document(cases, machine={"node": "box"}, commit={}, session=session), folder / ".benchmarks", name)
    target = folder / "report.html"
    assert main(["report", "base", "head", "-o", str(target), "--storage", str(folder / ".benchmarks")]) == 0
    return target


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=FOUND, args=flags, timeout=PATIENCE_MS)
        yield started
        started.close()


class Opened:
    """A page of the browser with what it complained of and asked for."""

    def __init__(self, browser: Any, report: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(report.as_uri())


@pytest.fixture
def open_in(browser: Any, report: Path) -> Iterator[Any]:
    opened: list[Opened] = []

    def open(width: int = 1280, **options: Any) -> Opened:
        opened.append(Opened(browser, report, viewport={"width": width, "height": 900}, **options))
        return opened[-1]

    yield open
    for one in opened:
        one.context.close()


def test_every_chart_is_drawn_and_the_page_neither_complains_nor_asks_for_anything(open_in: Any, report: Path) -> None:
    opened = open_in()
    boxes = opened.page.eval_on_selector_all(
        "section.chart svg",
        "all => all.map(svg => [svg.getBoundingClientRect(), svg.getBBox()].map(box => [box.width, box.height]))",
    )
    assert len(boxes) >= 6
    assert all(min(*outer, *inner) > 50 for outer, inner in boxes)
    assert opened.complaints == []
    assert opened.requests == [report.as_uri()]


def test_it_is_usable_within_a_second(open_in: Any) -> None:
    """By the browser's own clock, as far as a busy machine lets it: the bound here is ten times the aim."""
    timing = open_in().page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert 0 < timing < 10_000


def test_a_column_is_sorted_by_a_click_and_by_the_keyboard(open_in: Any) -> None:
    page = open_in().page
    head = page.locator("#t-cases thead th", has_text="IT energy")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    place = head.evaluate("head => head.cellIndex")
    read = "(rows, place) => rows.map(row => Number(row.cells[place].dataset.v ?? row.cells[place].textContent))"
    values = page.eval_on_selector_all("#t-cases tbody tr", read, place)
    assert len(values) == 18
    assert values == sorted(values)
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert page.eval_on_selector_all("#t-cases tbody tr", read, place) == sorted(values, reverse=True)
    assert page.locator("#t-cases [aria-sort]").count() == 1


def test_the_filter_leaves_the_rows_that_hold_every_word(open_in: Any) -> None:
    page = open_in().page
    page.get_by_role("searchbox", name="Filter").fill("BETA head")
    assert page.locator("#t-cases tbody tr:visible").count() == 3
    assert page.locator("#cases output").inner_text() == "3 of 18"


def test_the_csv_file_has_every_number_in_full(open_in: Any, tmp_path: Path) -> None:
    page = open_in().page
    with page.expect_download() as info:
        page.locator('button.csv[data-of="t-cases"]').click()
    assert info.value.suggested_filename == "cases.csv"
    info.value.save_as(tmp_path / "cases.csv")
    with (tmp_path / "cases.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18
    assert {row["case"] for row in rows} == {f"{model}-{compressor}" for model in MODELS for compressor in COMPRESSORS}
    row = next(row for row in rows if (row["case"], row["run"]) == ("beta-stego", "0003_head"))
    joules = (6 * 12.5 + 2 * (30 + 31 + 32)) * 0.8 * 2 * 1.2
    assert float(row["energy_it_j"]) == pytest.approx(joules, rel=1e-12)
    assert float(row["energy_kwh"]) == pytest.approx(joules * 1.58 / 3.6e6, rel=1e-12)


def test_dark_is_followed_switched_and_remembered(open_in: Any) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = open_in(color_scheme="light").page
    opened = open_in(color_scheme="dark")
    dark = opened.page
    first, second = light.evaluate(ground), dark.evaluate(ground)
    assert first != second
    ink = "getComputedStyle(document.querySelector('section.chart svg text')).fill"
    assert light.evaluate(ink) != dark.evaluate(ink)
    dark.locator("#theme").click()
    assert dark.evaluate(ground) == first
    dark.reload()
    assert dark.evaluate(ground) == first
    assert opened.complaints == []


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_the_page_never_scrolls_sideways(open_in: Any, width: int) -> None:
    page = open_in(width).page
    page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
    inside = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert inside[0] <= inside[1] == width


def test_without_scripts_everything_can_be_read(open_in: Any) -> None:
    page = open_in(java_script_enabled=False).page
    assert page.locator("#t-cases tbody tr:visible").count() == 18
    assert page.locator("button:visible").count() == 0
    page.locator("#heatmap summary").click()
    assert page.locator("#t-heatmap").is_visible()


def test_on_paper_it_is_light_with_every_table_open_and_no_controls(open_in: Any) -> None:
    page = open_in(color_scheme="dark").page
    light = open_in(color_scheme="light").page
    page.emulate_media(media="print", color_scheme="dark")
    ink = "getComputedStyle(document.body).color"
    assert page.evaluate(ink) == light.evaluate(ink)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("button:visible, nav:visible, input:visible").count() == page.locator(".sort:visible").count()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_the_keyboard_reaches_the_report_first_and_sees_where_it_is(open_in: Any) -> None:
    page = open_in().page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") > 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "theme"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
