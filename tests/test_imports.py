"""Who may import whom: read from the import statements, wherever in a file they stand."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "energybench"

# part -> the parts that it may import beside itself
ALLOWED = {
    "__init__": {"errors", "model"},
    "errors": set(),
    "units": set(),
    "model": {"units"},
    "metering": {"errors", "units", "model"},
    "store": {"errors", "units", "model"},
    "analysis": {"errors", "units", "model"},
    "estimators": {"errors", "units", "model", "analysis", "store"},
    "reports": {"errors", "units", "model", "analysis", "store"},
    "harness": {"__init__", "errors", "units", "model", "metering", "store", "analysis", "estimators", "reports"},
    "plugin": {"errors", "harness"},
    "ab": {"errors", "model", "store"},
    "cli": {"__init__", "errors", "commands"},
    "commands": {"__init__", "errors", "units", "model", "store", "analysis", "estimators", "reports", "metering"}
    | {"ab", "lab"},
    "__main__": {"cli"},
    "integrations": {"__init__", "errors", "units", "model", "harness", "metering"},
    "compress": {"errors", "units", "model"},
    "lab": {"errors", "units", "model", "compress"},
}

# library -> the only parts that may import it
LIBRARIES = {
    "torch": {"compress", "lab", "integrations"},
    "torchvision": {"compress", "lab", "integrations"},
    "pytest": {"plugin", "harness"},
    "pynvml": {"metering"},
    "pyRAPL": {"metering"},
    "psutil": {"metering"},
    "tabulate": {"reports", "metering"},
    "sklearn": {"estimators", "lab"},
    "mlxtend": {"lab"},
    "numpy": {"compress", "lab", "estimators", "integrations"},
    "torch_pruning": {"compress"},
    "torchao": {"compress", "lab"},
    "transformers": {"lab", "integrations"},
    "lightning": {"integrations"},
    "pytorch_lightning": {"integrations"},
    "mlflow": {"integrations"},
    "zstandard": {"compress"},
    "scipy": set(),
    "matplotlib": {"reports"},
    "jinja2": {"reports"},
}

FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, *, at_start: bool = False) -> Iterator[str]:
    """Dotted names that the file imports; with `at_start` those of the module's own body, outside TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes: list[ast.AST] = list(tree.body) if at_start else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            yield node.module
            if node.module == "energybench":
                yield from (f"energybench.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_part_may(path: Path) -> None:
    part = part_of(path)
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "energybench":
            of = rest.partition(".")[0]
            if (of and (PACKAGE / of).exists()) or (PACKAGE / f"{of}.py").exists():
                assert of == part or of in ALLOWED[part], f"{part} imports {name}"
        elif top in LIBRARIES:
            assert part in LIBRARIES[top], f"{part} imports {name}"


def test_every_part_of_the_package_has_its_rule() -> None:
    assert {part_of(path) for path in FILES} - ALLOWED.keys() == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_private_of_pytest_or_pytest_benchmark_is_imported(path: Path) -> None:
    for name in imports(path):
        assert not name.startswith("_pytest")
        assert not name.startswith("pytest_benchmark")


def test_libraries_of_counters_and_devices_are_imported_when_they_are_opened() -> None:
    for path in FILES:
        if part_of(path) in ("metering", "harness", "plugin", "cli", "commands", "store", "analysis"):
            heavy = {"pynvml", "pyRAPL", "torch", "numpy", "scipy"}
            assert heavy.isdisjoint(name.partition(".")[0] for name in imports(path, at_start=True)), path


def test_commands_reach_the_lab_only_where_a_function_needs_it() -> None:
    for path in FILES:
        if part_of(path) == "commands":
            assert not [name for name in imports(path, at_start=True) if name.startswith("energybench.lab")], path


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("energybench", {"torch", "numpy", "pytest", "psutil", "tabulate"}),
        ("energybench.plugin", {"torch", "numpy", "scipy", "pynvml", "matplotlib", "pyRAPL", "psutil", "tabulate"}),
        (
            "energybench.cli",
            {"torch", "pytest", "_pytest", "numpy", "scipy", "pynvml", "pyRAPL", "matplotlib", "jinja2"},
        ),
    ],
)
def test_importing_it_in_a_fresh_interpreter_loads_nothing_heavy(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert absent.isdisjoint(done.stdout.split())
