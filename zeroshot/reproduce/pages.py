"""What documents take from a reproduction: its small files, and text between two markers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experts.store import write_atomically
from zeroshot.reproduce.folders import RUNS
from zeroshot.reproduce.packed import pack
from zeroshot.reproduce.page import HTML
from zeroshot.reproduce.plan import HYPERZERO
from zeroshot.reproduce.records import RESULTS
from zeroshot.results import REPORT

NOT_MEASURED = "not measured"
IN_SHORT = "<!-- in short -->", "<!-- end of in short -->"
"""Markers of a page's first lines, which are made from the results, too."""
ROWS = "rows"
"""Folder of the packed episodes beside the copied results."""


def publish(folder: Path, target: Path) -> str:
    """Copies the small files of a reproduction and packs its episodes; says how many.

    In the commands that they quote an absolute folder is called results/NAME, as `target` is.

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
        _copy_text(file, target / file.relative_to(folder / RESULTS), folder, target)
    return f"{len(files)} files copied, {len(pack(folder, target / ROWS))} runs packed"


def copy_pictures(folder: Path, pictures: Mapping[str, str], target: Path) -> None:
    """Copies pictures of runs, as far as these have them.

    Args:
        folder: of everything that `zeroshot reproduce` made.
        pictures: path below the folder of runs to the copy's name.
        target: folder of the copies.
    """
    for drawn, name in pictures.items():
        file = folder / RUNS / drawn
        if file.exists():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / name)


def film_strip(
    films: Sequence[Path],
    picture: Path,
    *,
    names: Sequence[str] | None = None,
    n_frames: int = 6,
    side: int = 160,
) -> Path:
    """Writes a row of frames a film, at even distances from its first on; returns the path.

    Args:
        films: that `zeroshot film` wrote, of one size; the first is at the top.
        picture: of any format that imageio writes.
        names: written above the rows; by default the method of each film, as its file's name
            tells it.
        n_frames: how many.
        side: height of each, pixels; larger frames are made smaller.

    Raises:
        ValueError: if a film has fewer frames, films differ in size, or names are not one a film.
    """
    import imageio.v2 as iio

    from zeroshot.grid_figures import film_rows

    rows = [_chosen_frames(film, n_frames) for film in films]
    strip = film_rows(names or [_filmed(film) for film in films], rows, side=side)
    picture.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(picture, strip)
    return picture


def _filmed(film: Path) -> str:
    """The method of a film that a plan made: its file's name ends in the method or the context."""
    last = film.stem.rpartition("_")[2]
    return HYPERZERO if "=" in last else last


def _chosen_frames(film: Path, n_frames: int) -> list[NDArray[np.uint8]]:
    import imageio.v2 as iio

    reader: Any
    with iio.get_reader(film) as reader:
        frames = [np.asarray(frame) for frame in reader.iter_data()]
    if len(frames) < n_frames:
        raise ValueError(f"{film}: must have {n_frames} frames, it has {len(frames)}")
    return [frames[i * len(frames) // n_frames] for i in range(n_frames)]


def publish_page(
    folder: Path, target: Path, *, reports: Sequence[str] = (), pictures: Mapping[str, str]
) -> Path | None:
    """Copies the page of all tables, with some runs' reports; returns the copy's path.

    None where the folder has no page.

    What it links to leads to the copies of these reports, to published pictures, and else to the
    runs' small files. An absolute folder is called as in `publish`.

    Args:
        folder: of everything that `zeroshot reproduce` made.
        target: folder of the copies, as of `publish`; reports go to its folder `reports`.
        reports: runs, PART/NAME, whose reports are copied, too, if they are there.
        pictures: path below the folder of runs, or of a film, to the path of its copy, relative to
            `target`.
    """
    if not (folder / HTML).exists():
        return None
    copied = {}
    for name in reports:
        report = folder / RUNS / name / REPORT
        if report.exists():
            copied[f"{name}/{REPORT}"] = copy = f"reports/{name.replace('/', '-')}.html"
            _copy_text(report, target / copy, folder, target)

    def link(found: re.Match[str]) -> str:
        path = found[1].removeprefix(f"{RUNS}/")
        known = copied.get(path) or pictures.get(path)
        if known is None:
            known = found[1] if path == found[1] else f"{Path(path).parent}.json"
        return f'href="{known}"'

    page = target / "index.html"
    _copy_text(folder / HTML, page, folder, target)
    text = re.sub(r'href="([^"]+)"', link, page.read_text())
    write_atomically(page, text.encode())
    return page


def _copy_text(file: Path, copy: Path, folder: Path, target: Path) -> None:
    text = file.read_text()
    if folder.is_absolute():
        text = text.replace(str(folder), f"results/{target.name}")
    copy.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(copy, text.encode())


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


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """A table of Markdown.

    Args:
        header: names of the columns.
        rows: a cell a column each.
        left: how many columns are text; the others are numbers, aligned right.
    """
    rule = f"|{'---|' * left}{'--:|' * (len(header) - left)}"
    lines = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    return "\n".join([lines[0], rule, *lines[1:]])


def trivial_lines(records: Sequence[Mapping[str, Any]]) -> str:
    """In which results a row that learns nothing is as good as the best learned method."""
    known = [record for record in records if record["as_good_as_learned"] is not None]
    said = "Rows that learn nothing, by paired intervals: "
    if not known:
        return f"{said}{NOT_MEASURED}."
    equal = [record for record in known if record["as_good_as_learned"]]
    lead = (
        f"{said}in {len(equal)} of {len(known)} runs one of them is as good as the best learned "
        "method, or better"
    )
    lines = "\n".join(
        f"- {record['suite']}, {record['split_rule']}"
        + ("" if record["part"] is None else f" ({record['part']})")
        + f": {', '.join(row['row'] for row in record['as_good_as_learned'])}, against "
        f"{record['as_good_as_learned'][0]['learned']}"
        for record in equal
    )
    return f"{lead}:\n\n{folded('which', lines)}" if lines else f"{lead}."


def folded(summary: str, text: str) -> str:
    """Text of a page that opens when its summary is clicked."""
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"
