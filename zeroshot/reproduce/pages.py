"""What documents take from a reproduction: its small files, and text between two markers."""

from __future__ import annotations

import shutil
from pathlib import Path

from zeroshot.reproduce.packed import pack
from zeroshot.reproduce.records import RESULTS

ROWS = "rows"
"""Folder of the packed episodes beside the copied results."""


def publish(folder: Path, target: Path) -> str:
    """Copies the small files of a reproduction and packs its episodes; says how many.

    Args:
        folder: of everything that `zeroshot reproduce` made.
        target: folder of the copies; the packed episodes go to its folder `rows`.

    Raises:
        FileNotFoundError: if the folder has no results.
    """
    files = sorted((folder / RESULTS).rglob("*.json"))
    if not files:
        raise FileNotFoundError(f"no results in {folder / RESULTS}")
    for file in files:
        copy = target / file.relative_to(folder / RESULTS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return f"{len(files)} files copied, {len(pack(folder, target / ROWS))} runs packed"


def fill(page: Path, begin: str, end: str, text: str) -> Path:
    """Replaces what a page has between two markers; returns its path.

    Raises:
        ValueError: if the page lacks a marker.
    """
    before, first, rest = page.read_text().partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise ValueError(f"{page} must contain {begin!r} and {end!r}")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
    return page
