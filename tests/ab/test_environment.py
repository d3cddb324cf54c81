"""A checkout's own code is what is imported in it, wherever an install points."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from energybench.ab.environment import environment, roots, strangers
from energybench.ab.session import Place


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The user's own tree: a package in src, one in lib/python, a module at the top, and a virtual environment."""
    return _tree(tmp_path / "tree")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return _tree(tmp_path / "checkout")


def _tree(top: Path) -> Path:
    for file in ("src/alpha/__init__.py", "lib/python/beta/__init__.py", "gamma.py", "conftest.py", "setup.py"):
        path = top / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return top


def imported(module: str, folder: Path, variables: dict[str, str]) -> str:
    code = f"import {module}; print({module}.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=variables, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_modules_are_looked_for_at_the_top_in_src_and_where_the_search_path_leads_into_the_tree(tree: Path) -> None:
    path = [str(tree / "lib/python"), str(tree / ".venv/lib/python3.11/site-packages"), "/usr/lib", str(tree / "src")]
    assert roots(tree, path) == (Path(), Path("src"), Path("lib/python"))


def test_a_virtual_environment_inside_the_tree_is_none_of_its_modules(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tree / "env"))
    assert roots(tree, [str(tree / "env/bin")]) == (Path(), Path("src"))


def test_an_editable_install_of_the_own_tree_does_not_hide_the_checkout(
    tree: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for entry in (tree / "src", tree / "lib/python"):
        monkeypatch.syspath_prepend(str(entry))
    variables = environment(checkout, tree, {"PYTHONPATH": f"{tree / 'src'}:{tree / 'lib/python'}:/elsewhere"})
    assert variables["PYTHONPATH"].endswith(":/elsewhere")
    for module in ("alpha", "beta", "gamma"):
        assert Path(imported(module, checkout, variables)).is_relative_to(checkout)
    assert strangers(Place(checkout, Path(), variables), tree) == {}


def test_what_is_imported_from_elsewhere_is_named(tree: Path, checkout: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for module in ("alpha", "gamma"):
        (copy / module).mkdir(parents=True)
        (copy / module / "__init__.py").write_text("")
    variables = {"PYTHONPATH": f"{copy}:{checkout / 'src'}"}
    found = strangers(Place(checkout, Path("src"), variables), tree)
    assert found == {"gamma": str(copy / "gamma/__init__.py")}  # alpha lies in the current folder, which comes first


def test_a_tree_without_modules_has_no_strangers(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert strangers(Place(tmp_path / "empty", Path(), {}), tmp_path / "empty") == {}
