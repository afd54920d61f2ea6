"""Writes docs/leaderboard.md from the results in docs/results: `python docs/leaderboard.py`.

A section a suite, split, set of experts and of other policies; a line a method, from the file with
the most splits that has it, the latest of equals. A test fails while the page is not what this
writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zeroshot.comparisons import TRIVIAL
from zeroshot.reproduce.records import read_results
from zeroshot.suites import SUITES

ROOT = Path(__file__).parents[1]
RESULTS = Path("docs/results")
PAGE = Path("docs/leaderboard.md")

Record = dict[str, Any]

HEADER = """\
# Leaderboard

Zero-shot return on held-out contexts, of all results in [docs/results](results). *Ratio* is 1 plus
the difference to the experts' return in the same contexts over its size; *score* is an
interquartile mean, 0 for the best single training expert (more where one policy nearly solves a
context) and 1 for each context's own expert, with its 95 % interval, which redraws splits and
contexts ([evaluation.md](evaluation.md#numbers)). *Copies* is the share of a method's policies that
are a training expert's own, where the rows tell; instead of experts that are networks of another
kind than those it generates, the cheetah's and the finger's, HyperDistil hands out what it
generates for their contexts, which is not counted.
Rows in italics learn nothing ([evaluation.md](evaluation.md)). Only rows of one section compare:
others have other contexts, splits or experts. Where a heading names *policies*, by the checksum of
what [genhyper.md](genhyper.md#commands) tells how to make, methods in weight space learned from
many policies of each task and not from its expert alone.

To add results: copy a run's `summary.json` into docs/results as NAME.json, or with `python
docs/hyperzero.py FOLDER` those of `zeroshot reproduce hyperzero`, then `python
docs/leaderboard.py`, which writes this page."""

NOTHING = "There are no results yet."


def page(records: Sequence[Record]) -> str:
    """The page's text.

    Args:
        records: as `read_results` gives them.
    """
    groups = grouped(records)
    if not groups:
        return f"{HEADER}\n\n{NOTHING}\n"
    return (
        "\n\n".join([HEADER, overview(groups), *(section(*item) for item in groups.items())]) + "\n"
    )


def grouped(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Heading to the records that compare, the suites in their own order."""
    order = {name: i for i, name in enumerate(SUITES)}
    keyed: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        key = (record["suite"], record["suite_version"], record["split_rule"], record["experts"])
        keyed.setdefault((*key, record["collection"]), []).append(record)
    found: dict[str, list[Record]] = {}
    for key in sorted(
        keyed, key=lambda k: (order.get(k[0], len(order)), *(str(i or "") for i in k))
    ):
        suite, version, rule, experts, collection = key
        several = len({k[3] for k in keyed if k[:3] == key[:3]}) > 1
        which = f", experts {experts or 'unrecorded'}" if several else ""
        which += f", policies {collection}" if collection else ""
        found[f"{suite} v{version}, {rule}{which}"] = keyed[key]
    return found


def best_rows(records: Sequence[Record]) -> dict[str, tuple[dict[str, Any], Record]]:
    """Method to its row and where that is from, best score first."""
    rows = [(row, record, name) for record in records for name, row in record["methods"].items()]
    rows.sort(key=lambda found: (found[0]["splits"], found[1]["date"], found[1]["file"]))
    found = {name: (row, record) for row, record, name in rows}
    return dict(sorted(found.items(), key=lambda item: (-_score(item[1][0]), item[0])))


def overview(groups: dict[str, list[Record]]) -> str:
    """A line a section: the best learned method, the best row that learns nothing, and who wins."""
    lines = [
        "| suite and split | best learned | ratio | best that learns nothing | ratio | learning |",
        "|---|---|--:|---|--:|---|",
    ]
    for title, records in groups.items():
        rows = {name: row for name, (row, _) in best_rows(records).items()}
        learned = [n for n, row in rows.items() if row["kind"] == "method" and n not in TRIVIAL]
        trivial = [name for name in rows if name in TRIVIAL]
        best = learned[0] if learned else None
        rival = max(trivial, key=lambda name: rows[name]["ratio"], default=None)
        cells = [f"[{title}](#{anchor(title)})"]
        for name in (best, rival):
            cells += ["", ""] if name is None else [name, f"{rows[name]['ratio']:.3f}"]
        lines.append(f"| {' | '.join([*cells, verdict(records, best, rows)])} |")
    return "\n".join(lines)


def verdict(records: Sequence[Record], best: str | None, rows: dict[str, dict[str, Any]]) -> str:
    """Whether the best learned method beats every row that learns nothing, in a few words.

    By the paired intervals of a file that has the method; by ratios alone where there are none.
    """
    if best is None:
        return "no method"
    for record in sorted(records, key=lambda r: (-len(r["seeds"]), r["file"])):
        pairs = record["vs"].get(best, {})
        rivals = {name: pair for name, pair in pairs.items() if name in TRIVIAL}
        if rivals:
            equal = [name for name, pair in rivals.items() if pair[1] <= 0.0]
            return "pays" if not equal else f"does not surely beat {', '.join(equal)}"
    equal = [n for n in rows if n in TRIVIAL and rows[n]["ratio"] >= rows[best]["ratio"]]
    said = "pays" if not equal else f"does not beat {', '.join(equal)}"
    return f"{said} (no intervals recorded)"


def section(title: str, records: Sequence[Record]) -> str:
    """One leaderboard, and where its numbers are from."""
    n_test, episodes = records[0]["n_test"], records[0]["episodes"]
    lines = [
        "| method | return | ratio | score | 95 % | splits | fit | copies | file |",
        "|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    files: dict[str, Record] = {}
    for name, (row, record) in best_rows(records).items():
        files[record["file"]] = record
        learned = row["kind"] == "method" and name not in TRIVIAL
        label = f"**{name}**" if learned else f"*{name}*"
        interval = record["score_ci"].get(name, (None, None))
        low, high = (_number(value) for value in interval)
        cells = [label, f"{row['return']:.1f}", f"{row['ratio']:.3f}", _number(row["score"])]
        cells += [f"[{low}, {high}]", str(row["splits"])]
        cells.append(f"{row['fit_seconds']:.0f} s" if row["kind"] == "method" else "")
        cells.append("" if row["copies"] is None else f"{row['copies']:.0%}")
        cells.append(f"[{Path(record['file']).stem}](results/{record['file']})")
        lines.append(f"| {' | '.join(cells)} |")
    made = [
        f"{Path(file).stem}: {_commits(record)}, {record['date'][:10]}, "
        f"{record['machine']['cores']} cores, MuJoCo {record['versions']['mujoco']}."
        for file, record in sorted(files.items())
    ]
    return "\n\n".join(
        [
            f"## {title}",
            f"{n_test} held-out contexts × {episodes} episodes a split.",
            "\n".join(lines),
            " ".join(made),
        ]
    )


def anchor(title: str) -> str:
    """The id that Markdown renderers give a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def write(root: Path = ROOT) -> Path:
    """Writes the page; returns its path."""
    path = root / PAGE
    path.write_text(page(read_results(root / RESULTS)))
    return path


def _commits(record: Record) -> str:
    """The commits that made a record's rows; the run's own in files from before those were kept."""
    found = [str(one)[:12] for one in record.get("commits", [record["commit"]])]
    return f"commit{'s' if len(found) > 1 else ''} {', '.join(found)}"


def _score(row: dict[str, Any]) -> float:
    return float("-inf") if row["score"] is None else float(row["score"])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    print(write())
