"""`energybench site`: a store as pages that open from a disk."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from energybench.cli import main
from energybench.model import Case
from energybench.store import document, machine_id, write

pytest.importorskip("jinja2", reason="jinja2 is not installed (extra report)")
pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra report)")

HOSTILE = '<script>alert("1")</script>-ünï'


def run(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["site", *map(str, argv)], out, err)
    return code, out.getvalue(), err.getvalue()


def store(storage: Path, name: str, cases: list[Case], status: str = "ok") -> Path:
    commit = {"id": f"{name}{'0' * 40}"[:40], "branch": "main"}
    made = document(cases, machine={}, commit=commit, session={"session": name, "status": status})
    return write(made, storage, name)


class Links(HTMLParser):
    """Every link and source of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def links(page: Path) -> list[str]:
    parser = Links()
    parser.feed(page.read_text(encoding="utf-8"))
    return [link for link in parser.found if not link.startswith(("#", "data:"))]


@pytest.fixture
def storage(tmp_path: Path, make_case: Any) -> Path:
    """Six runs: a-none takes 20 % more from the fourth on; the case with the hostile name is in the last alone."""
    folder = tmp_path / "store"
    for n in range(6):
        cases = [make_case("a-none", [(100.0 if n < 3 else 120.0) + n % 2], accuracy=[0.9])]
        cases += [make_case(HOSTILE, [5.0])] if n == 5 else []
        store(folder, f"r{n + 1}", cases)
    return folder


def test_the_index_has_every_run_newest_first_and_every_case_with_its_change(storage: Path, tmp_path: Path) -> None:
    code, out, err = run(storage, "-o", tmp_path / "site")
    assert (code, err) == (0, "")
    assert out == f"{tmp_path / 'site' / 'index.html'}: 8 pages, 8 made, 0 unchanged\n"
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert machine_id() in index
    assert re.findall(r">(000\d_r\d)</a></th>", index) == [f"000{n}_r{n}" for n in range(6, 0, -1)]
    row = index[index.index(">a-none</a>") :].partition("</tr>")[0]
    assert "+20.3 %" in row
    assert "0004_r4" in row
    assert "<script>" not in index
    assert "&lt;script&gt;" in index


def test_every_link_is_relative_and_leads_to_a_page(storage: Path, tmp_path: Path) -> None:
    top = tmp_path / "site"
    run(storage, "-o", top)
    pages = list(top.rglob("*.html"))
    assert len(pages) == 9
    followed = 0
    for page in pages:
        for link in links(page):
            assert "://" not in link
            assert not link.startswith("/")
            assert (page.parent / unquote(link)).is_file(), (page, link)
            followed += 1
        assert page == top / "index.html" or "../../index.html" in links(page), page
    assert followed > 20


def test_a_case_page_has_its_trend_as_picture_and_table(storage: Path, tmp_path: Path) -> None:
    run(storage, "-o", tmp_path / "site")
    (page,) = tmp_path.glob(f"site/cases/{machine_id()}/a-none-*.html")
    text = page.read_text(encoding="utf-8")
    assert "<svg" in text
    levels = text[text.index("<h2>Levels") :].partition("</table>")[0]
    assert levels.count("IT energy") == 2
    assert "100" in levels
    assert 'href="../../runs/' in levels
    assert "90.00 %" in levels  # of accuracy


def test_a_case_of_one_run_says_that_there_is_nothing_to_draw(storage: Path, tmp_path: Path) -> None:
    run(storage, "-o", tmp_path / "site")
    (page,) = (p for p in tmp_path.glob("site/cases/*/*.html") if not p.name.startswith("a-none"))
    text = page.read_text(encoding="utf-8")
    assert "not two runs yet" in text
    assert "<svg" not in text
    assert "<script>" not in text


def test_what_has_not_changed_is_not_made_again(storage: Path, tmp_path: Path, make_case: Any) -> None:
    top = tmp_path / "site"
    run(storage, "-o", top)
    assert run(storage, "-o", top)[1].endswith(": 8 pages, 0 made, 8 unchanged\n")
    store(storage, "r7", [make_case("a-none", [121.0])])
    assert "9 pages, " in (said := run(storage, "-o", top)[1])
    assert "6 unchanged" in said  # the earlier runs; both cases' pages know the runs that are there
    (storage / machine_id() / "0001_r1.json").unlink()
    assert run(storage, "-o", top)[1].endswith(", 1 taken away\n")
    assert not list(top.glob("runs/*/0001_r1.html"))


def test_an_unreadable_run_is_named_with_the_reason(storage: Path, tmp_path: Path) -> None:
    (storage / machine_id() / "0009_torn.json").write_text("{")
    code, _, _ = run(storage, "-o", tmp_path / "site")
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert code == 0
    assert "0009_torn" in index
    assert "is not a whole JSON file" in index


def test_only_the_newest_runs_are_there_where_that_is_asked(storage: Path, tmp_path: Path) -> None:
    run(storage, "-o", tmp_path / "site", "--last", 2)
    assert {page.stem for page in tmp_path.glob("site/runs/*/*.html")} == {"0005_r5", "0006_r6"}


def test_a_folder_of_others_is_left_alone(storage: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "index.html").write_text("mine")
    code, _, err = run(storage, "-o", mine)
    assert code == 2
    assert "holds files that are no site of energybench's" in err
    assert (mine / "index.html").read_text() == "mine"
    code, _, err = run(storage, "-o", mine / "index.html")
    assert code == 2
    assert "is a file" in err


def test_a_site_that_was_stopped_half_way_is_finished_the_next_time(
    storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from energybench.commands import site

    with monkeypatch.context() as patch:
        patch.setattr(site, "_cases", lambda *_: pytest.fail("stopped"))
        with pytest.raises(pytest.fail.Exception):
            run(storage, "-o", tmp_path / "site")
    assert len(list(tmp_path.glob("site/runs/*/*.html"))) == 6
    code, out, _ = run(storage, "-o", tmp_path / "site")
    assert (code, "8 pages" in out) == (0, True)


def test_a_manifest_that_points_out_of_the_site_takes_nothing_away(storage: Path, tmp_path: Path) -> None:
    top = tmp_path / "site"
    top.mkdir()
    (tmp_path / "precious").write_text("mine")
    pages = {"../precious": "x", str(tmp_path / "precious"): "x"}
    (top / ".energybench-site.json").write_text(json.dumps({"schema": 1, "pages": pages}))
    assert run(storage, "-o", top)[0] == 0
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize(("make", "says"), [(False, "There is no folder"), (True, "holds no runs")])
def test_a_store_without_runs_is_refused(tmp_path: Path, make: bool, says: str) -> None:
    if make:
        (tmp_path / "store").mkdir()
    code, _, err = run(tmp_path / "store", "-o", tmp_path / "site")
    assert code == 2
    assert says in err
    assert not (tmp_path / "site").exists()
