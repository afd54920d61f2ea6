"""Writes docs/leaderboard.md from the results in docs/results: `python docs/leaderboard.py`.

A section a suite, split, set of experts and of other policies; its lines are those of one file, the
part `main` of a plan where it has one, and after them those of methods that only other files have.
Returns and ratios are of the splits that all lines of a section share. A test fails while the page
is not what this writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zeroshot.comparisons import ABLATED, TRIVIAL
from zeroshot.reproduce.records import read_results
from zeroshot.reproduce.split_returns import returns_on
from zeroshot.statistics import ratio
from zeroshot.suites import SUITES

ROOT = Path(__file__).parents[1]
RESULTS = Path("docs/results")
PAGE = Path("docs/leaderboard.md")

Record = dict[str, Any]

HEADER = """\
# Leaderboard

Zero-shot return on held-out contexts, of all results in [docs/results](results). *Ratio* is 1 plus
the difference to the experts' return in the same contexts over its size, on the splits that all
lines of a table share; *score* is an interquartile mean, 0 for the best single training expert
(more where one policy nearly solves a context) and 1 for each context's own expert, with its 95 %
interval, which redraws splits and contexts ([evaluation.md](evaluation.md#numbers)), on all
*splits* of its own line. The best learned method is the one with the highest ratio; one that lacks
a part of another (`-without-`) does not compete. *Copies* is the share of a method's policies that
are a training expert's own, where the rows tell; instead of experts that have other layers than
what it generates, as on `cheetah-vel` and `ant-dir`, HyperDistil hands out what it generates for
their contexts, which is not counted; nor is a mix of two experts' weights, which it may hand out
where a speed is all that varies.
Where most of a method's policies are copies, what may pay is to choose among experts.
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


class Line(NamedTuple):
    """A method's row, and the file that it is from."""

    row: dict[str, Any]
    record: Record


def lines_of(records: Sequence[Record]) -> dict[str, Line]:
    """Method to its line, best score first: those of the main file, then what only others have.

    The main file is the one of the part `main`, else the one with most methods, then with most
    splits, the latest of equals. Others are taken in the same order.
    """
    order = sorted(
        records,
        key=lambda r: (r["part"] == "main", len(r["methods"]), len(r["seeds"]), r["date"]),
        reverse=True,
    )
    found: dict[str, Line] = {}
    for record in order:
        for name, row in record["methods"].items():
            found.setdefault(name, Line(row, record))
    return dict(sorted(found.items(), key=lambda item: (-_score(item[1].row), item[0])))


def on_shared_splits(lines: Mapping[str, Line]) -> tuple[dict[str, tuple[float, float]], list[int]]:
    """Returns and ratios on the splits that all lines have, and which these are.

    A line whose file does not tell returns split by split has those of all its splits, if these are
    the shared ones; else it is left out. So is one without any shared split.
    """
    main = max((line.record for line in lines.values()), key=lambda r: len(r["methods"]))
    own = [set(line.row["own_seeds"]) for line in lines.values() if line.record is main]
    shared = sorted(set.intersection(*own))
    found = {}
    for name, (row, record) in lines.items():
        if not set(shared) <= set(row["own_seeds"]):
            continue
        if "returns" not in row or "returns" not in record["methods"].get("expert", {}):
            if set(row["own_seeds"]) == set(shared):
                found[name] = (row["return"], row["ratio"])
            continue
        returns = returns_on(row, shared)
        found[name] = (
            float(returns.mean()),
            ratio(returns, returns_on(record["methods"]["expert"], shared)),
        )
    return found, shared


def overview(groups: dict[str, list[Record]]) -> str:
    """A line a section: the best learned method, the best row that learns nothing, and who wins."""
    lines = [
        "| suite and split | best learned | ratio | copies | best that learns nothing | ratio | "
        "learning |",
        "|---|---|--:|--:|---|--:|---|",
    ]
    for title, records in groups.items():
        found = lines_of(records)
        ratios = {name: value for name, (_, value) in on_shared_splits(found)[0].items()}
        learned = [n for n in ratios if found[n].row["kind"] == "method" and n not in TRIVIAL]
        learned = [name for name in learned if ABLATED not in name] or learned
        best = max(learned, key=ratios.__getitem__, default=None)
        rival = max((n for n in ratios if n in TRIVIAL), key=ratios.__getitem__, default=None)
        cells = [f"[{title}](#{anchor(title)})"]
        for name in (best, rival):
            cells += ["", ""] if name is None else [name, f"{ratios[name]:.3f}"]
        cells.insert(3, "" if best is None else _copies(found[best]))
        lines.append(f"| {' | '.join([*cells, verdict(records, best, ratios)])} |")
    return "\n".join(lines)


def verdict(records: Sequence[Record], best: str | None, ratios: Mapping[str, float]) -> str:
    """Whether the best learned method beats every row that learns nothing, in a few words.

    By the paired intervals of a file that has the method; by ratios alone where there are none.
    """
    if best is None:
        return "no method"
    for record in sorted(records, key=lambda r: (r["part"] != "main", -len(r["seeds"]), r["file"])):
        pairs = record["vs"].get(best, {})
        rivals = {name: pair for name, pair in pairs.items() if name in TRIVIAL}
        if rivals:
            equal = [name for name, pair in rivals.items() if pair[1] <= 0.0]
            return "pays" if not equal else f"does not surely beat {', '.join(equal)}"
    equal = [name for name in ratios if name in TRIVIAL and ratios[name] >= ratios[best]]
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
    found = lines_of(records)
    shared, seeds = on_shared_splits(found)
    for name, line in found.items():
        row, record = line
        files[record["file"]] = record
        learned = row["kind"] == "method" and name not in TRIVIAL
        label = f"**{name}**" if learned else f"*{name}*"
        interval = record["score_ci"].get(name, (None, None))
        low, high = (_number(value) for value in interval)
        numbers = shared.get(name)
        cells = [label]
        cells += ["-", "-"] if numbers is None else [f"{numbers[0]:.1f}", f"{numbers[1]:.3f}"]
        cells += [_number(row["score"]), f"[{low}, {high}]", str(row["splits"])]
        cells.append(f"{row['fit_seconds']:.0f} s" if row["kind"] == "method" else "")
        cells.append(_copies(line))
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
            f"{n_test} held-out contexts × {episodes} episodes a split; returns and ratios of "
            f"{len(seeds)} split{'s' * (len(seeds) > 1)} that all lines have.",
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


def _copies(line: Line) -> str:
    return "" if line.row["copies"] is None else f"{line.row['copies']:.0%}"


def _score(row: dict[str, Any]) -> float:
    return float("-inf") if row["score"] is None else float(row["score"])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    print(write())
