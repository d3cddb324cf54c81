"""The code hash changes with what a case runs, and with nothing else."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from energybench.harness.code import code_hash, normalise

COUNT = itertools.count()
CASE = """
    import pytest
    import helper

    LIMIT = 3

    def local():
        return helper.work()

    @pytest.mark.parametrize("model", ["a"])
    def test_it(model):
        from package import late
        return local()
    """


class Folder:
    """A project whose hash is taken afresh after each edit."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def hash(self, target: str = "local") -> str:
        name = f"loaded_{next(COUNT)}"
        spec = importlib.util.spec_from_file_location(name, self.root / "test_case.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        before = set(sys.modules)
        sys.path.insert(0, str(self.root))
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
            return code_hash(module.test_it, getattr(module, target), self.root)
        finally:
            sys.path.remove(str(self.root))
            for loaded in set(sys.modules) - before:
                del sys.modules[loaded]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Folder(tmp_path)
    made.write("test_case.py", CASE)
    made.write("helper.py", "import deeper\ndef work():\n    return deeper.VALUE\n")
    made.write("deeper.py", "VALUE = 1\n")
    made.write("package/__init__.py", "")
    made.write("package/late.py", "RATE = 0.1\n")
    made.write("conftest.py", "SETTING = 1\n")
    made.write("unrelated.py", "X = 1\n")
    return made


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("test_case.py", 'parametrize("model", ["a"])', 'parametrize("model", ["a", "b"])'),
        ("test_case.py", "LIMIT = 3", "LIMIT = 3  # a comment\n\n\n# another"),
        ("test_case.py", "    return local()", "    return local()\n\ndef test_new(energy):\n    assert energy(local)"),
        ("test_case.py", "    return local()", "    return local()\n\nclass TestNew:\n    def test_new(self): ..."),
        ("helper.py", "def work", "# explained\n\ndef work"),
        ("unrelated.py", "X = 1", "X = 2"),
    ],
    ids=["decorator", "comment", "new test", "new test class", "comment in a helper", "module nobody imports"],
)
def test_it_does_not_change_with(folder: Folder, name: str, old: str, new: str) -> None:
    before = folder.hash()
    edit(folder, name, old, new)
    assert folder.hash() == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("test_case.py", "return local()", "return local() + 1"),
        ("test_case.py", "return helper.work()", "return 2 * helper.work()"),
        ("test_case.py", "LIMIT = 3", "LIMIT = 4"),
        ("helper.py", "return deeper.VALUE", "return deeper.VALUE + 1"),
        ("deeper.py", "VALUE = 1", "VALUE = 2"),
        ("package/late.py", "RATE = 0.1", "RATE = 0.2"),
        ("package/__init__.py", "", "import os"),
        ("conftest.py", "SETTING = 1", "SETTING = 2"),
    ],
    ids=["test", "target", "constant", "helper", "helper's helper", "late import", "package", "conftest"],
)
def test_it_changes_with(folder: Folder, name: str, old: str, new: str) -> None:
    before = folder.hash()
    edit(folder, name, old, new)
    assert folder.hash() != before


def test_a_helper_in_the_tests_own_file_counts_although_it_is_not_the_target(folder: Folder) -> None:
    folder.write("test_case.py", CASE.replace("return helper.work()", "return inner()\n\n    def inner(): return 1"))
    before = folder.hash()
    edit(folder, "test_case.py", "def inner(): return 1", "def inner(): return 2")
    assert folder.hash() != before


def test_a_link_to_the_root_makes_no_difference(folder: Folder, tmp_path: Path) -> None:
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(tmp_path)
    assert Folder(link).hash() == folder.hash()
    edit(folder, "deeper.py", "VALUE = 1", "VALUE = 5")
    before = Folder(link).hash()
    edit(folder, "deeper.py", "VALUE = 5", "VALUE = 6")
    assert Folder(link).hash() != before


def edit(folder: Folder, name: str, old: str, new: str) -> None:
    path = folder.root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else new)


def test_a_partial_a_wrapper_and_a_callable_object_are_looked_through(tmp_path: Path) -> None:
    def target() -> int:
        return 1

    @functools.wraps(target)
    def wrapper() -> int:
        return target()

    class Trainer:
        def __call__(self) -> int:
            return 2

    def of(function: Callable[..., Any]) -> str:
        return code_hash(target, function, tmp_path)

    assert of(functools.partial(target)) == of(wrapper) == of(target)
    assert of(Trainer()) == of(Trainer()) != of(target)
    assert of(len) == of(len) != of(max)


def test_normalising_keeps_strings_that_look_like_comments_and_drops_the_rest() -> None:
    source = textwrap.dedent('''
        # gone
        @decorate(
            "over lines"
        )
        def test_f(x):  # gone too

            """# stays"""
            return "#" + x   \n
        ''')
    assert normalise(source) == 'def test_f(x):\n    """# stays"""\n    return "#" + x'
    assert normalise(normalise(source)) == normalise(source)


def test_a_decorator_is_code_but_of_tests_and_pytests_own() -> None:
    plain = "def f(x):\n    return x"
    assert normalise(f"@torch.compile\n{plain}") != normalise(plain)
    assert normalise("@slots(True)\nclass A:\n    x = 1") != normalise("class A:\n    x = 1")
    for own in ("@pytest.fixture", '@pytest.fixture(scope="module", params=[1, 2])', "@pytest.mark.skipif(True)"):
        assert normalise(f"{own}\n{plain}") == normalise(plain)
    assert normalise('@mark.parametrize("x", [1])\nclass TestF:\n    x = 1') == normalise("class TestF:\n    x = 1")


def test_text_that_is_no_python_is_compared_as_it_stands() -> None:
    assert normalise("def broken(:  # x\n") != normalise("def broken(:  # y\n")
