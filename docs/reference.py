"""Writes docs/commands.md, docs/options.md and docs/api.md from the parsers and docstrings that they document.

    python docs/reference.py

tests/test_reference.py holds the three files to what this writes.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import enum
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
MODULES = (
    "energybench",
    "energybench.harness.fixture",
    "energybench.harness.result",
    "energybench.integrations",
    "energybench.metering",
    "energybench.metering.meter",
    "energybench.store",
    "energybench.analysis.compare",
    "energybench.estimators.step",
    "energybench.estimators.pre",
    "energybench.compress",
)
"""what a user imports, in the order in which it is told; what needs a framework is left out"""
MADE = "<!-- made by docs/reference.py: edit the docstrings and parsers, then run it -->"


def commands() -> str:
    """Every command of `energybench` with its arguments."""
    from energybench.cli import parser

    lines = [MADE, "", "# Commands", "", "`energybench COMMAND --help` says the same.", ""]
    for name, one in sorted(_commands(parser())):
        about = one.description or _summary(one, name, parser()) or ""
        lines += [f"## `{name}`", "", *([_sentence(about), ""] if about else [])]
        rows = [row for action in one._actions if (row := _argument(action, one.prog))]
        if rows:
            lines += ["| argument | meaning |", "|---|---|", *rows, ""]
        if one.epilog:
            lines += [_flowed(one.epilog), ""]
    return "\n".join(lines).rstrip() + "\n"


def _commands(one: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    inner = [a for a in one._actions if isinstance(a, argparse._SubParsersAction)]
    for action in inner:
        for word, child in action.choices.items():
            yield from _commands(child, f"{name} {word}".strip())
    if not inner:
        yield f"energybench {name}", one


def _summary(one: argparse.ArgumentParser, name: str, top: argparse.ArgumentParser) -> str:
    """The line that `energybench --help` has of it."""
    parsers = [top]
    said = ""
    for word in name.split()[1:]:
        (action,) = [a for a in parsers[-1]._actions if isinstance(a, argparse._SubParsersAction)]
        said = next((c.help or "" for c in action._choices_actions if c.dest == word), "")
        parsers.append(action.choices[word])
    return said


def _argument(action: argparse.Action, prog: str) -> str:
    if action.help is argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
        return ""
    values = {**vars(action), "prog": prog}
    choices = "|".join(map(str, action.choices)) if action.choices is not None else ""
    values["choices"] = ", ".join(map(str, action.choices)) if action.choices is not None else None
    said = (action.help or "") % values
    metavar = action.metavar if isinstance(action.metavar, str) else None
    name = action.dest.upper() if action.option_strings else action.dest
    value = metavar or (f"{{{choices}}}" if choices else name)
    if not action.option_strings:
        head = value
    else:
        takes = action.nargs != 0
        head = ", ".join(action.option_strings) + (f" {value}" if takes else "")
    return f"| `{_cell(head)}` | {_cell(said)} |"


def options() -> str:
    """Every option of `pytest` that the plugin adds, with its ini twin."""
    from energybench.harness.declared import FLAGS, VALUES

    rows = [
        (f"--energy-{one.name} {one.metavar}", one.dest, one.help + ("; may be given several times" * one.repeat))
        for one in VALUES
    ]
    rows += [(f"--energy-{name}", "energy_" + name.replace("-", "_"), said) for name, said in FLAGS]
    lines = [
        MADE,
        "",
        "# Options of pytest",
        "",
        "Each has a twin in the ini file: `energy_rounds = 3` under `[pytest]` of `pytest.ini`, or under "
        "`[tool.pytest.ini_options]` of `pyproject.toml`. The command line beats the marker, the marker the ini file.",
        "",
        "| option | ini | meaning |",
        "|---|---|---|",
        *(f"| `{_cell(option)}` | `{ini}` | {_cell(said)} |" for option, ini, said in sorted(rows)),
    ]
    return "\n".join(lines) + "\n"


def api() -> str:
    """The public names of MODULES with their signatures and docstrings."""
    lines = [MADE, "", "# API", ""]
    for name in MODULES:
        module = importlib.import_module(name)
        lines += [f"## `{name}`", "", _text(module), ""]
        for word in _public(module):
            lines += _documented(word, getattr(module, word))
    return "\n".join(lines).rstrip() + "\n"


def _public(module: ModuleType) -> list[str]:
    said = getattr(module, "__all__", None)
    if said is None:
        said = [
            word
            for word, thing in vars(module).items()
            if not word.startswith("_") and getattr(thing, "__module__", None) == module.__name__
        ]
    return [word for word in said if not word.startswith("__") and not inspect.ismodule(getattr(module, word))]


def _documented(name: str, thing: Any) -> list[str]:
    if inspect.isclass(thing):
        lines = [f"### class `{name}`", "", _text(thing), ""]
        if dataclasses.is_dataclass(thing):
            said = _attributes(thing)
            for field in dataclasses.fields(thing):
                if not field.name.startswith("_"):
                    text = said.get(field.name, "")
                    lines.append(f"- `{field.name}: {_plain(field.type)}`{': ' if text else ''}{text}")
            lines.append("")
        elif issubclass(thing, enum.Enum):
            said = _attributes(thing)
            lines += [*(f"- `{member.value}`: {said.get(member.name, '')}" for member in thing), ""]
        for word, member in sorted(vars(thing).items()):
            if word.startswith("_"):
                continue
            if isinstance(member, property) and member.__doc__:
                lines += [f"- **`{word}`**: {_flowed(_text(member))}"]
            elif inspect.isfunction(member) and member.__doc__:
                lines += [f"- **`{word}{_signature(member)}`**: {_flowed(_text(member))}"]
        return [*lines, ""] if lines[-1] else lines
    if callable(thing):
        return [f"### `{name}{_signature(thing)}`", "", _text(thing), ""]
    return []


def _attributes(thing: type) -> dict[str, str]:
    """What stands as a string below each field of a class, on one line."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in pairwise(tree.body):
        target = field.target if isinstance(field, ast.AnnAssign) else None
        if isinstance(field, ast.Assign):
            target = field.targets[0]
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[target.id] = " ".join(str(below.value.value).split())
    return found


def _signature(thing: Any) -> str:
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return "(...)"
    shown = []
    for parameter in signature.parameters.values():
        plain = parameter.default in (True, False, None) or isinstance(parameter.default, int | float | str)
        default = parameter.default if parameter.default is parameter.empty or plain else _Dots()
        if parameter.name != "self":
            shown.append(parameter.replace(default=default))
    return re.sub(r"'([^']*)'", r"\1", str(signature.replace(parameters=shown)))  # annotations are kept as text


class _Dots:
    """Stands for a default that has no short name."""

    def __repr__(self) -> str:
        return "..."


def _plain(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _text(thing: Any) -> str:
    return inspect.getdoc(thing) or ""


def _flowed(text: str) -> str:
    """Paragraphs on one line each."""
    return "<br>".join(" ".join(part.split()) for part in text.split("\n\n"))


def _sentence(text: str) -> str:
    said = _flowed(text)
    return said[0].upper() + said[1:] + ("" if said.endswith((".", ":")) else ".")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


PAGES = {"commands.md": commands, "options.md": options, "api.md": api}


if __name__ == "__main__":
    for file, made in PAGES.items():
        (HERE / file).write_text(made(), encoding="utf-8")
