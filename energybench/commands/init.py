"""`energybench init`: a first benchmark in an existing project, and its run.

Writes benches/test_energy.py, which trains something tiny until you put your own model there, and a CI file. A file
that exists is named and left as it is. A conftest.py is written only where the plugin is not installed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from energybench.errors import UsageError

BENCH = "benches/test_energy.py"
_CI = {"github": ".github/workflows/energy.yml", "gitlab": ".gitlab/energy.yml"}


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "init",
        help="write a first benchmark and a CI file into a project, and run it",
        epilog=__doc__,
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="the project (default: this folder)")
    parser.add_argument(
        "--ci",
        choices=("github", "gitlab", "none"),
        help="which CI file to write (default: gitlab where there is a .gitlab-ci.yml, else github)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be written; write and run nothing")
    parser.add_argument("--no-run", action="store_true", help="write the files and run nothing")
    parser.set_defaults(command=run)


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    """relative to the project"""
    text: str
    exists: bool


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Write what is not there yet, run the benchmark, name the next commands; 1 where the benchmark failed.

    UsageError for what is no folder, cannot be written, or is energybench's own checkout: before anything is written.
    """
    folder: Path = options.folder
    _check(folder)
    ci = options.ci or ("gitlab" if (folder / ".gitlab-ci.yml").exists() else "github")
    files = _planned(folder, ci)
    _check_places(folder, files)
    if not options.dry_run:
        _write(folder, files)
    for file in files:
        done = "would write" if options.dry_run else "wrote"
        print(f"{file.name} exists, left as it is" if file.exists else f"{done} {file.name}", file=out)
    bench = next(file for file in files if file.name == BENCH)
    code = 0
    if not options.dry_run and not options.no_run and not bench.exists:
        print(f"\n$ python -m pytest {BENCH}", file=out)
        code = _pytest(folder, out)
        if code:
            err.write(f"energybench: pytest ended with {code}; its output says why.\n")
    print("\n".join(["", *_advice(folder, files, ci), *_next(folder)]), file=out)
    return 1 if code else 0


def _check(folder: Path) -> None:
    if not folder.exists():
        raise UsageError(f"There is no folder {folder}. Make it, or give the folder of your project.")
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file. Give the folder of your project.")
    top = folder.resolve()
    for place in (top, *top.parents):
        if (place / "energybench" / "plugin.py").is_file() and (place / "pyproject.toml").is_file():
            raise UsageError(f"{place} is energybench's own checkout: it has its benches. Give your project's folder.")


def _check_places(folder: Path, files: Sequence[_File]) -> None:
    """Raises UsageError where a file that is to be written cannot be: before the first one is."""
    for file in files:
        if file.exists:
            continue
        place = (folder / file.name).parent
        while not _is_there(place):
            place = place.parent
        if not place.is_dir():
            raise UsageError(f"{file.name} cannot be written: {place} is no folder.")
        if not os.access(place, os.W_OK):
            raise UsageError(f"{file.name} cannot be written: you may not write to {place}.")


def _planned(folder: Path, ci: str) -> list[_File]:
    """The files of the project, each with whether something of its name is there."""
    texts = {BENCH: _template("torch.py" if _has("torch") else "plain.py")}
    if not _is_installed():
        texts["conftest.py"] = _template("conftest.py")
    if ci != "none":
        texts[_CI[ci]] = _template(f"{ci}.yml").replace("@INSTALL@", _requirements(folder))
    return [_File(name, text, _is_there(folder / name)) for name, text in texts.items()]


def _requirements(folder: Path) -> str:
    """What pip installs in CI: the project, as far as its files tell, and energybench."""
    if any((folder / name).is_file() for name in ("pyproject.toml", "setup.py")):
        return "-e . energybench"
    if (folder / "requirements.txt").is_file():
        return "-r requirements.txt energybench"
    return "energybench torch" if _has("torch") else "energybench"


def _write(folder: Path, files: Sequence[_File]) -> None:
    """Write those that do not exist. UsageError where one cannot be written; nothing is ever replaced."""
    for file in files:
        if file.exists:
            continue
        path = folder / file.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as opened:
                opened.write(file.text)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error


def _pytest(folder: Path, out: TextIO) -> int:
    """Run the benchmark in the project's folder, its output passed on as it comes; pytest's exit code."""
    command = [sys.executable, "-m", "pytest", BENCH]
    out.flush()
    try:
        out.fileno()
    except (OSError, ValueError):
        with subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process:
            assert process.stdout is not None
            out.writelines(process.stdout)
        return process.returncode
    return subprocess.run(command, cwd=folder, stdout=out, check=False).returncode


def _advice(folder: Path, files: Sequence[_File], ci: str) -> list[str]:
    lines = []
    if any(file.name == "conftest.py" and file.exists for file in files):
        lines.append(
            'The plugin is not installed, and conftest.py is yours: add pytest_plugins = ["energybench.plugin"] to it, '
            "or install energybench."
        )
    if ci == "gitlab":
        lines.append(f'Name the CI file in .gitlab-ci.yml: include: [{{local: "{_CI[ci]}"}}]')
    if (folder / ".git").exists():
        lines.append(
            "Runs are stored in .benchmarks/. They belong to this machine: put .benchmarks/ into .gitignore, or commit "
            "only what `energybench baseline set` names."
        )
    return [*lines, ""] if lines else []


def _next(folder: Path) -> list[str]:
    """The commands that come next, as they are typed here."""
    there = "" if folder.resolve() == Path.cwd() else f" (in {folder})"
    steps = (
        ("energybench doctor", "which joules are measured here, and which are estimated"),
        (f"pytest {BENCH} --energy-rounds 3", "three rounds, with your own model in it by then"),
        ("energybench report latest -o report.html", "the run as a page: pip install 'energybench[report]'"),
    )
    widest = max(len(command) for command, _ in steps)
    return [f"Next{there}:", *(f"  {command.ljust(widest)}  # {what}" for command, what in steps)]


def _template(name: str) -> str:
    from importlib.resources import files

    return files("energybench").joinpath("templates", f"{name}.txt").read_text(encoding="utf-8")


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _is_installed() -> bool:
    """Whether pytest finds the plugin by its entry point."""
    from importlib.metadata import entry_points

    return any(point.value == "energybench.plugin" for point in entry_points(group="pytest11"))


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()
