"""Has the code of a case changed since a round was journalled? A hash over the text that the case runs.

It covers the test function, the function that was metered, the rest of the test's file without its other tests, and
every module under rootdir that this file imports, directly or through others, wherever in the file the import stands.
Comments, blank lines and the decorators of tests and fixtures do not count: adding a model to `parametrize` must not
throw away finished rounds. Those of other functions do: `@torch.compile` is code.
The import statements are read from the text rather than from sys.modules, since what happens to be loaded depends on
which cases ran before.

The text is used, not `ast.dump`, whose form differs between Python versions.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import io
import sys
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_FOREIGN = {"site-packages", "dist-packages", ".venv", "venv", ".tox", ".nox"}


def code_hash(test: Callable[..., Any], target: Callable[..., Any], rootdir: Path) -> str:
    """16 hex digits over the normalised text of `test`, `target` and the rootdir modules that they import."""
    digest = hashlib.sha256()
    rootdir = rootdir.resolve()
    sources = [_function_text(test), _function_text(target)]
    files: dict[Path, None] = {}
    for function in (test, target):
        file = _file_of(function)
        if file is not None and _is_ours(file, rootdir):
            _collect(file, rootdir, files)
    own = _file_of(test)
    if own is not None:
        # A new test beside this one changes nothing; a helper that both call does.
        sources.append(_without_tests(own, own.stat().st_mtime_ns, _unwrapped(test).__qualname__.partition(".")[0]))
    sources += [_file_text(file, file.stat().st_mtime_ns) for file in sorted(files) if file != own]
    sources += [_file_text(file, file.stat().st_mtime_ns) for file in _conftests(own, rootdir)]
    for source in sources:
        digest.update(source.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def normalise(source: str) -> str:
    """`source` without comments, blank lines and decorators of tests and fixtures; unparsable text is only stripped of
    its line ends.
    """
    try:
        tree = ast.parse(source)
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, tokenize.TokenError, IndentationError):
        return "\n".join(line.rstrip() for line in source.splitlines())
    lines = source.split("\n")
    for token in reversed(tokens):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    dropped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            is_test = node.name.startswith(("test", "Test"))
            for decorator in node.decorator_list:
                if is_test or _root(decorator) == "pytest":
                    dropped.update(_rows(decorator))
    kept = (line.rstrip() for number, line in enumerate(lines, 1) if number not in dropped)
    return "\n".join(line for line in kept if line)


def _root(decorator: ast.expr) -> str:
    """`pytest` of `@pytest.fixture(scope="module")`."""
    while isinstance(decorator, ast.Call | ast.Attribute):
        decorator = decorator.func if isinstance(decorator, ast.Call) else decorator.value
    return decorator.id if isinstance(decorator, ast.Name) else ""


def _rows(node: ast.stmt | ast.expr) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


@functools.lru_cache(maxsize=512)
def _without_tests(file: Path, _changed_ns: int, keep_class: str) -> str:
    """The normalised text of a test file without its test functions, and without test classes but `keep_class`."""
    text = _file_text(file, _changed_ns)
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return text
    dropped: set[int] = set()
    for node in ast.walk(tree):
        is_test = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
        is_class = isinstance(node, ast.ClassDef) and node.name.startswith("Test") and node.name != keep_class
        if isinstance(node, ast.stmt) and (is_test or is_class):
            dropped.update(_rows(node))
    return "\n".join(line for number, line in enumerate(text.split("\n"), 1) if number not in dropped)


def _function_text(function: Callable[..., Any]) -> str:
    function = _unwrapped(function)
    try:
        return normalise(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError):
        return getattr(function, "__qualname__", type(function).__qualname__)


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    while True:
        inner = function.func if isinstance(function, functools.partial) else inspect.unwrap(function)
        if inner is function:
            break
        function = inner
    if not inspect.isroutine(function) and not inspect.isclass(function):
        return type(function).__call__  # an object with __call__, such as a trainer
    return function


def _file_of(function: Callable[..., Any]) -> Path | None:
    try:
        name = inspect.getsourcefile(_unwrapped(function))
    except TypeError:
        return None
    return Path(name).resolve() if name else None


def _is_ours(file: Path, rootdir: Path) -> bool:
    return file.is_relative_to(rootdir) and not _FOREIGN.intersection(file.relative_to(rootdir).parts)


def _conftests(file: Path | None, rootdir: Path) -> list[Path]:
    if file is None or not _is_ours(file, rootdir):
        return []
    folders = [file.parent, *file.parent.parents]
    folders = folders[: folders.index(rootdir) + 1] if rootdir in folders else []
    return [folder / "conftest.py" for folder in folders if (folder / "conftest.py").is_file()]


def _collect(file: Path, rootdir: Path, files: dict[Path, None]) -> None:
    pending = [file]
    while pending:
        current = pending.pop()
        if current in files:
            continue
        files[current] = None
        pending += _imports(current, current.stat().st_mtime_ns, rootdir)


@functools.lru_cache(maxsize=512)
def _imports(file: Path, _changed_ns: int, rootdir: Path) -> tuple[Path, ...]:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, OSError, UnicodeDecodeError):
        return ()
    found = {path for name, parent in _imported_names(tree) for path in _resolve(name, parent, file, rootdir)}
    return tuple(sorted(path for path in found if _is_ours(path, rootdir)))


def _imported_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Dotted names with the number of leading dots; `from a import b` gives both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            yield base, node.level
            yield from ((f"{base}.{alias.name}".lstrip("."), node.level) for alias in node.names)


def _resolve(name: str, level: int, file: Path, rootdir: Path) -> Iterator[Path]:
    parts = name.split(".") if name else []
    if level:
        bases = [file.parents[level - 1]]
    else:
        bases = [rootdir, file.parent, *(Path(entry).resolve() for entry in sys.path if entry)]
    for base in bases:
        if not base.is_relative_to(rootdir):
            continue
        # Importing a.b runs a/__init__.py first.
        for depth in range(1, len(parts) + 1):
            stem = base.joinpath(*parts[:depth])
            for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
                if candidate.is_file():
                    yield candidate.resolve()


@functools.lru_cache(maxsize=512)
def _file_text(file: Path, _changed_ns: int) -> str:
    try:
        return normalise(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""
