"""What stands in the kernel's folders, where a file or folder that cannot be read says nothing."""

from __future__ import annotations

from pathlib import Path


def text_of(path: Path) -> str:
    """The file's text without the white space around it; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def entries_of(folder: Path) -> list[Path]:
    """What is in the folder, sorted; nothing where it cannot be listed."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
