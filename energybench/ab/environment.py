"""The variables under which a checkout's own code is imported, and what is imported from elsewhere all the same.

An editable install of the project under test leads to the user's own tree, on both sides. So every folder of that tree
that Python would search is searched in the checkout first, by PYTHONPATH, which comes before the paths that an install
adds. Where an install has a hook of its own, or is a copy, that may not help: `strangers` finds it out by asking.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from energybench.ab.checkout import without_git
from energybench.ab.session import Place

_INSTALLED = {"site-packages", "dist-packages"}
_NO_MODULES = {"conftest", "setup", "noxfile"}

_ASK = """
import importlib.util, json, sys
found = {}
for name in json.loads(sys.argv[1]):
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    places = [spec.origin, *(spec.submodule_search_locations or [])] if spec else []
    found[name] = next((place for place in places if place), None)
print(json.dumps(found))
"""


def roots(top: Path, path: Sequence[str] | None = None) -> tuple[Path, ...]:
    """The folders below `top`, relative to it, in which the project's modules are found: top, src, those of `path`.

    `path` is a search path as sys.path is (and stands for it by default); installed packages inside the tree, such as
    those of a `.venv`, are none of the project's.
    """
    found = dict.fromkeys((Path(), Path("src")))
    for entry in sys.path if path is None else path:
        place = Path(entry).resolve()
        if place.is_relative_to(top) and not _is_installed(place, top):
            found.setdefault(place.relative_to(top))
    return tuple(found)


def environment(folder: Path, top: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """`inherited` for a process that imports the code of the checkout in `folder` in place of that of the tree `top`.

    Entries of PYTHONPATH that lead into `top` are replaced, the others stay behind those of the checkout.
    """
    own = [str(folder / root) for root in roots(top) if (folder / root).is_dir()]
    others = [
        entry
        for entry in inherited.get("PYTHONPATH", "").split(os.pathsep)
        if entry and not (Path(entry).is_absolute() and Path(entry).resolve().is_relative_to(top))
    ]
    return {**without_git(inherited), "PYTHONPATH": os.pathsep.join([*own, *others])}


def strangers(place: Place, tree: Path) -> dict[str, str]:
    """Module -> where it is imported from, for each top-level module of the checkout that is not imported from it.

    Asked of a fresh interpreter, as the sessions run in `place`; `tree` is the top of the user's own tree. Nothing is
    imported.
    """
    names = sorted(_modules(place.top / root for root in roots(tree)))
    if not names:
        return {}
    done = subprocess.run(
        [sys.executable, "-c", _ASK, json.dumps(names)],
        cwd=place.top / place.here,
        env=dict(place.variables),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {}
    found: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return {name: file for name, file in found.items() if file and not Path(file).resolve().is_relative_to(place.top)}


def _modules(folders: Iterable[Path]) -> set[str]:
    found: set[str] = set()
    for folder in folders:
        if folder.is_dir():
            found |= {path.stem for path in folder.glob("*.py")}
            found |= {path.parent.name for path in folder.glob("*/__init__.py")}
    return {name for name in found - _NO_MODULES if name.isidentifier()}


def _is_installed(place: Path, top: Path) -> bool:
    """Whether a folder of the tree holds installed packages: those of a virtual environment inside it."""
    prefix = Path(sys.prefix).resolve()
    own = prefix.is_relative_to(top) and prefix != top and place.is_relative_to(prefix)
    return own or bool(_INSTALLED.intersection(place.relative_to(top).parts))
