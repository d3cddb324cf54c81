"""`energybench baseline`: which runs were promoted, to be compared with."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import add_run, add_storage, storage_folder, terminal_width

if TYPE_CHECKING:
    from energybench.store.baselines import Promoted


def add(commands: Any) -> None:
    """Declare the command and its four actions."""
    parser = commands.add_parser(
        "baseline",
        help="promote a run to a baseline: set, list, show, rm",
        epilog="Baselines stand in baselines.json in the folder of the runs. Commit that file and the runs that it "
        "names; `energybench compare NAME ...` and `pytest --energy-compare NAME` then mean this machine's run of it.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    setting = actions.add_parser("set", help="promote a run of this or another machine folder")
    setting.add_argument("name", metavar="NAME", help="a word such as main")
    add_run(setting, "run")
    setting.add_argument("--force", action="store_true", help="also a run that did not end ok")
    add_storage(setting)
    setting.set_defaults(command=set_)

    listing = actions.add_parser("list", help="all baselines, a line per machine folder")
    add_storage(listing)
    listing.set_defaults(command=list_)

    showing = actions.add_parser("show", help="one baseline in full")
    showing.add_argument("name", metavar="NAME", help="the baseline")
    add_storage(showing)
    showing.set_defaults(command=show)

    removing = actions.add_parser("rm", help="forget a baseline; the runs stay")
    removing.add_argument("name", metavar="NAME", help="the baseline")
    removing.add_argument("--machine", metavar="FOLDER", help="only its run of this machine folder")
    add_storage(removing)
    removing.set_defaults(command=remove)


def set_(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Promote a run and say what it replaces; StoreError where it cannot be found, or may not be promoted."""
    from energybench.store import find_run, read_run, set_baseline

    storage = storage_folder(options)
    found = find_run(options.run, storage)
    for note in found.notes:
        print(f"energybench: {note}", file=err)
    promoted, replaced = set_baseline(options.name, found.path, storage, force=options.force)
    folder = found.path.resolve().parent.name
    before = "" if replaced is None or replaced.run == promoted.run else f", replaces {replaced.name}"
    again = ", as it was" if replaced is not None and replaced.run == promoted.run else ""
    print(f"{options.name}: {promoted.name} of {folder}{before}{again}.", file=out)
    # -f: a store is usually ignored, and adding by force does no harm where it is not.
    files = (_from_here(storage / "baselines.json"), _from_here(storage / promoted.run))
    print(f"Commit it: {shlex.join(['git', 'add', '-f', *files])}", file=out)
    dirty = f"{promoted.name} was measured with uncommitted changes."
    if read_run(found.path).commit.get("dirty") is True and dirty not in found.notes:
        print(f"energybench: {dirty}", file=err)
    return 0


def list_(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print a line per baseline and machine folder, with what has become of the file."""
    from energybench.reports.table import Column, render
    from energybench.store import read_baselines

    storage = storage_folder(options)
    rows = [
        (name, folder, promoted)
        for name, machines in sorted(read_baselines(storage).items())
        for folder, promoted in sorted(machines.items())
    ]
    if not rows:
        print("No baseline is set.", file=out)
        return 0
    columns = [
        Column("baseline", tuple(name for name, _, _ in rows), left=True),
        Column("run", tuple(promoted.name for _, _, promoted in rows), left=True),
        Column("state", tuple(promoted.state(storage) for _, _, promoted in rows), left=True),
        Column("machine", tuple(folder for _, folder, _ in rows), drop=1, left=True),
        Column("commit", tuple(promoted.commit[:12] or "-" for _, _, promoted in rows), drop=3, left=True),
        Column("set", tuple(promoted.set[:16].replace("T", " ") for _, _, promoted in rows), drop=2, left=True),
    ]
    print(render(columns, terminal_width(out), [name for name, _, _ in rows]), file=out)
    return 0


def show(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print what stands in the file about one baseline; StoreError where there is none of that name."""
    from energybench.store import known_baseline, machine_id

    storage = storage_folder(options)
    machines = known_baseline(options.name, storage)
    print(options.name, file=out)
    for folder, promoted in sorted(machines.items()):
        print(f"  {folder}{' (this machine)' if folder == machine_id() else ''}", file=out)
        for line in _facts(promoted, storage):
            print(f"    {line}", file=out)
    return 0


def remove(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Forget a baseline and say which runs it was; StoreError where there is none of that name."""
    from energybench.store import remove_baseline

    removed = remove_baseline(options.name, storage_folder(options), options.machine)
    for folder, promoted in sorted(removed.items()):
        print(f"{options.name} is no longer {promoted.name} of {folder}; the run itself stays.", file=out)
    return 0


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _facts(promoted: Promoted, storage: Path) -> list[str]:
    state = {"ok": "", "gone": " (gone: the file is not there)", "changed": " (changed since it was promoted)"}
    facts = {
        "run": promoted.run + state[promoted.state(storage)],
        "commit": promoted.commit,
        "stored": promoted.created,
        "set": promoted.set,
        "sha256": promoted.sha256,
    }
    return [f"{key}: {value}" for key, value in facts.items() if value]
