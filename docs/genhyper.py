"""Writes what docs/genhyper.md says about results: `python docs/genhyper.py [FOLDER ...]`.

With folders of `zeroshot reproduce genhyper`, their small files are copied to the folder of the
same name in docs/results first (genhyper, genhyper-policies or genhyper-alone), and all episodes
are packed into its `rows`; the page's pictures are those of genhyper.
Everything between the page's two markers is from docs/results; what no file there has is called not
measured.
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zeroshot.finetune_starts import UNTRAINED
from zeroshot.published import GENHYPER_TABLE_1
from zeroshot.reproduce.genhyper import METHODS, OLDER, SIZES, UNIFORM
from zeroshot.reproduce.genhyper_verdicts import (
    UNLIKELY,
    ahead_of_published,
    chance_of,
    distances,
    easy_choice,
    near_experts,
    tuning_verdict,
)
from zeroshot.reproduce.in_short import genhyper_in_short
from zeroshot.reproduce.packed import SUFFIX
from zeroshot.reproduce.pages import (
    IN_SHORT,
    NOT_MEASURED,
    ROWS,
    copy_pictures,
    fill,
    publish,
    publish_page,
    trivial_lines,
)
from zeroshot.reproduce.records import read_results
from zeroshot.reproduce.tables import TUNING_HEADER, tuning_words

ROOT = Path(__file__).parents[1]
RESULTS = Path("docs/results")
COPIES = RESULTS / "genhyper"
POLICIES, ALONE = RESULTS / "genhyper-policies", RESULTS / "genhyper-alone"
"""Of experts that have many policies a task beside them, learnt from all and from them alone."""
IMAGES = Path("docs/images")
PAGE = Path("docs/genhyper.md")
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"

BESIDE = ("expert", "nearest", "best-single")
"""References that stand beside the methods."""
LEARNING = ("hyplatent", "hyplatent-sample", "hyplatent-without-adversary", "weight-regression")
"""Methods that learn from policies' weights, and so from many policies of a task."""
PICTURES = {
    drawn.format(suite=suite): name.format(suite=suite)
    for drawn, name in (
        ("table/{suite}-tasks-15/return-versus-context.png", "{suite}-tasks-15.png"),
        ("finetuning/{suite}-tasks-15-20000/return-versus-steps.png", "{suite}-finetuning.png"),
    )
    for suite in UNIFORM
}
"""Figures of runs to those of the page."""

REPORTS = ("table/cheetah-vel-tasks-15",)
"""Runs whose whole reports are published."""

Record = dict[str, Any]


class Choice(NamedTuple):
    """What a choice does: HypLatent against what does without it."""

    said: str
    other: str


CHOICES = (
    Choice("with the adversarial loss, against without", "hyplatent-without-adversary"),
    Choice("with noise and adversary, against plain regression", "weight-regression"),
    Choice("with the auxiliary head, against without", "hyplatent-without-auxiliary"),
    Choice("in the training policies' span, against every parameter", "hyplatent-without-span"),
    Choice(
        "in the training policies' span, against an autoencoder's codes, linear and in closed form "
        "(each chunk's principal directions, `autoencoder_updates = 0`)",
        "hyplatent-latents",
    ),
    Choice("told the context encoded, against raw", "hyplatent-raw-contexts"),
    Choice("with -log F, against log(1 - F)", "hyplatent-saturating"),
    Choice("scaled tensor by tensor, against entry by entry", "hyplatent-limits"),
    Choice("the mean policy, against one sample", "hyplatent-sample"),
    Choice("against HyperZero, which learns from what the same experts do", "hyperzero"),
    Choice("against HyperDistil, which plays episodes of its own", "hyperdistil"),
    Choice("against one policy that is told the context", "conditioned"),
    Choice("against the weights between the nearest experts", "interpolation"),
    Choice("against the nearest expert", "nearest"),
)
OURS = "hyplatent"
UNITS = {"cheetah-vel": "m/s", "ant-dir": "degrees"}
TUNED = "finetuning"
"""The part of the plan that fine-tunes."""


def table(suite: str, records: Sequence[Record], methods: Sequence[str] = METHODS) -> str:
    """Table I on one suite: mean returns, a line a number of training tasks.

    Args:
        suite: its name.
        records: as `read_results` gives them.
        methods: its columns; where these are not all, sizes without a run are left out.
    """
    published = GENHYPER_TABLE_1.get(suite, {})
    columns = (*methods, *BESIDE)
    lines = [
        f"| {suite}: training tasks | nearest training task, {UNITS[suite]}: mean, largest | "
        f"published | {' | '.join(columns)} | fits |",
        f"|---|{'--:|' * (len(columns) + 3)}",
    ]
    tables = [record for record in records if record["part"] != "choices"]
    for size in SIZES[suite]:
        found = _best(suite, size, tables)
        if found is None and methods != METHODS:
            continue
        rows = {} if found is None else found["methods"]
        apart = distances(suite, size)
        cells = [f"{apart.mean():.2g}, {apart.max():.2g}"]
        cells.append(f"{published[size]:.2f}" if size in published else "")
        cells += [_spread(rows[name]) if name in rows else "-" for name in columns]
        cells.append(str(min(row["splits"] for row in rows.values())) if rows else "-")
        lines.append(f"| {size} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(row: Record) -> str:
    """Mean return, and its standard deviation over splits where there are several."""
    returns = row.get("returns", ())
    spread = f" ± {np.std(returns, ddof=1):.1f}" if len(returns) > 1 else ""
    return f"{row['return']:.1f}{spread}"


def verdict(records: Sequence[Record]) -> str:
    """Whether the adversarial loss adds something, in words."""
    said = []
    for choice in CHOICES[:2]:
        pairs = [pair for suite in UNIFORM for pair in _pairs(choice, suite, records)]
        if pairs:
            better, worse = sum(low > 0 for _, low, _ in pairs), sum(high < 0 for *_, high in pairs)
            adds = "adds nothing that these runs show"
            if better > worse and chance_of(better, len(pairs)) < UNLIKELY:
                adds = "adds something"
            said.append(
                f"HypLatent {choice.said}: surely better in {better} of {len(pairs)} runs, surely "
                f"worse in {worse}. What is left out there {adds}."
            )
    return " ".join(said) or f"Whether the adversarial loss adds something: {NOT_MEASURED}."


def choices_table(records: Sequence[Record]) -> str:
    """What each choice does to HypLatent's ratio, over the runs of the uniform grids."""
    lines = [
        "| HypLatent | suite | runs | mean difference | surely better in | surely worse in |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for choice in CHOICES:
        for suite in UNIFORM:
            pairs = _pairs(choice, suite, records)
            cells = [NOT_MEASURED, "", "", ""]
            if pairs:
                differences, lows, highs = np.array(pairs, dtype=float).T
                cells = [str(len(pairs)), f"{differences.mean():+.3f}"]
                cells += [str(int((lows > 0).sum())), str(int((highs < 0).sum()))]
            lines.append(f"| {choice.said} | {suite} | {' | '.join(cells)} |")
    return "\n".join(lines)


def tunings_table(tunings: Sequence[Record]) -> str:
    """Fine-tuning, a line a start.

    Args:
        tunings: the small files' content.
    """
    lines = [
        f"| suite, training tasks, steps | {' | '.join(TUNING_HEADER[1:])} |",
        f"|---|---|{'--:|' * (len(TUNING_HEADER) - 2)}",
    ]
    for record in tunings:
        n_tasks = record["split_rule"].removeprefix("tasks:")
        preset = "" if record["preset"] == "default" else f", preset {record['preset']}"
        said = f"{record['suite']}, {n_tasks}, {record['steps'][-1]:,}{preset}"
        for name, row in record["starts"].items():
            label = name if name in UNTRAINED else f"{name}, TD weight {record['td_weight']:g}"
            lines.append(f"| {said} | {label} | {' | '.join(tuning_words(row))} |")
    if len(lines) == 2:
        lines.append(f"| {NOT_MEASURED} |{' |' * (len(TUNING_HEADER) - 1)}")
    return "\n".join(lines)


def samples_table(folder: Path) -> str:
    """What `zeroshot samples` wrote, a line an answer, and by which commands.

    Args:
        folder: of its files.
    """
    lines, made = ["| suite, split | answer | return |", "|---|---|--:|"], []
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        said = f"{record['suite']}, {record['split_rule']}, {record['method']}"
        lines += [f"| {said} | {name} | {r:.1f} |" for name, r in record["returns"].items()]
        commit = _short(record["commit"])
        made.append(f"- {said}: `{record['command']}` at commit {commit}, {record['date'][:10]}")
    if not made:
        lines.append(f"| {NOT_MEASURED} | | |")
    return "\n".join([*lines, "", *made]).rstrip()


def _short(commit: str) -> str:
    """A commit's first letters, and whether there were changes that were not in it."""
    sha, *dirty = commit.split("-")
    return "-".join([sha[:12], *dirty])


def policies_part(many: Sequence[Record], alone: Sequence[Record]) -> list[str]:
    """What learning from many policies of each task does.

    Args:
        many: of such runs.
        alone: of runs that learned from the same zoo's experts alone.
    """
    if not many:
        return [f"From many policies of each task: {NOT_MEASURED}."]
    parts = [
        "Mean zero-shot return, learned from a zoo that has many policies of each task beside its "
        "experts:"
    ]
    for said, records in (("many policies", many), ("experts alone", alone)):
        for suite in UNIFORM:
            if any(record["suite"] == suite for record in records):
                parts += [f"{suite}, from {said} of that zoo:", table(suite, records, LEARNING)]
    parts += [
        "Many policies against experts alone, differences of these means and their standard errors "
        "over fits:",
        _differences(many, alone),
    ]
    return [*parts, f"From many policies: {verdict(many)}"]


def _differences(many: Sequence[Record], alone: Sequence[Record]) -> str:
    lines = [
        f"| suite, training tasks | {' | '.join(LEARNING)} |",
        f"|---|{'--:|' * len(LEARNING)}",
    ]
    for one in sorted(many, key=lambda record: (record["suite"], record["train_fraction"])):
        other = _best(one["suite"], int(one["split_rule"].removeprefix("tasks:")), alone)
        if other is None:
            continue
        cells = []
        for name in LEARNING:
            if not all(name in r["methods"] for r in (one, other)):
                cells.append("-")
                continue
            first, second = (np.array(r["methods"][name]["returns"]) for r in (one, other))
            error = np.sqrt(first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second))
            cells.append(f"{first.mean() - second.mean():+.1f} ± {error:.1f}")
        n_tasks = one["split_rule"].removeprefix("tasks:")
        lines.append(f"| {one['suite']}, {n_tasks} | {' | '.join(cells)} |")
    return "\n".join(lines)


def made_line(records: Sequence[Record], tunings: Sequence[Record] = ()) -> str:
    """Who made the numbers.

    Args:
        records: of runs.
        tunings: of fine-tunings.
    """
    found = [*(record for record in records if record["suite"] in (*UNIFORM, *OLDER)), *tunings]
    if not found:
        return f"Runs: {NOT_MEASURED}."
    commits = sorted({_short(one) for r in found for one in r.get("commits") or [r["commit"]]})
    cores = sorted({str(record["machine"]["cores"]) for record in found})
    return (
        f"`zeroshot reproduce genhyper` at commit{'s' * (len(commits) > 1)} {', '.join(commits)}, "
        f"{min(r['date'] for r in found)[:10]} to {max(r['date'] for r in found)[:10]}, "
        f"{' or '.join(cores)} cores, MuJoCo {found[-1]['versions']['mujoco']}."
    )


def write(root: Path = ROOT) -> Path:
    """Writes the generated part of the page; returns its path.

    Raises:
        ValueError: if the page lacks a marker, or a file of results is damaged.
    """
    known = read_results(root / RESULTS)
    many, alone = (
        [record for record in known if record["file"].startswith(f"{folder.name}/")]
        for folder in (POLICIES, ALONE)
    )
    records = [record for record in known if record not in [*many, *alone]]
    tunings = _tunings(root / COPIES)
    tables = [record for record in records if record["part"] != "choices"]
    found = {(suite, n): _best(suite, n, tables) for suite in UNIFORM for n in SIZES[suite]}
    table_1 = {place: record for place, record in found.items() if record is not None}
    parts = [
        "Mean zero-shot return over the five held-out tasks ± its standard deviation over fits, "
        "each of which plays other starts, and the paper's HypLatent; a hyphen: "
        f"{NOT_MEASURED}.",
        *(table(suite, records) for suite in UNIFORM),
        " ".join(map(easy_choice, UNIFORM)),
        ahead_of_published(table_1),
        near_experts(table_1),
        trivial_lines([one for one in records if one["suite"] in (*UNIFORM, *OLDER)]),
        "Differences of the ratios to the experts, in the same tasks; sure where the 95 % interval "
        "leaves out zero. On Cheetah-Vel a ratio is 1 plus the difference to the experts' return "
        "over its size, and that is small, so ratios there differ by much.",
        choices_table(records),
        verdict(records),
        *policies_part(many, alone),
        "Many policies of each held-out task (`zeroshot samples`): the oracle's are chosen by the "
        "returns that are reported, which no method could do.",
        samples_table(root / COPIES / "samples"),
        "Fine-tuning in a held-out task: mean returns over runs of the policy before "
        "the first step and after the last, how many runs come to 95 % of the expert's return, the "
        "median of the steps that it takes, how far the runs fall below their start at most, and "
        "how many of them by more than a tenth of it.",
        tunings_table(tunings),
        tuning_verdict(tunings),
        made_line(known, tunings),
    ]
    fill(root / PAGE, *IN_SHORT, genhyper_in_short(table_1, tunings, verdict(records)))
    return fill(root / PAGE, BEGIN, END, "\n\n".join(parts))


def take(folder: Path, root: Path = ROOT) -> str:
    """Copies what a reproduction made, its pictures too; says how much.

    Raises:
        ValueError: if the folder is called otherwise than one of those that the page is made from.
        FileNotFoundError: if it has no results.
    """
    targets = {target.name: target for target in (COPIES, POLICIES, ALONE)}
    if folder.name not in targets:
        raise ValueError(f"`folder` must be called one of {sorted(targets)}, got {folder}")
    said = publish(folder, root / targets[folder.name])
    if targets[folder.name] == COPIES:
        copy_pictures(folder, PICTURES, root / IMAGES)
        links = {run: f"../../images/{name}" for run, name in PICTURES.items()}
        publish_page(folder, root / COPIES, reports=REPORTS, pictures=links)
    return said


def _tunings(folder: Path) -> list[Record]:
    """Small files of fine-tunings, with what their packed runs tell beside.

    That is how many `episodes` a point is a mean of, and `errors`: start to standard error of such
    a mean, the median over runs and points.
    """
    found = []
    for file in sorted((folder / TUNED).glob("*.json")):
        record: Record = json.loads(file.read_text())
        packed = folder / ROWS / TUNED / f"{file.stem}{SUFFIX}"
        points: dict[str, list[float]] = {}
        if packed.exists():
            for line in lzma.decompress(packed.read_bytes()).splitlines()[1:]:
                run = json.loads(line)
                returns = np.array(run["returns"])  # (n_points, n_episodes)
                record["episodes"] = returns.shape[1]
                errors = returns.std(axis=1, ddof=1) / np.sqrt(returns.shape[1])
                points.setdefault(run["start"], []).extend(errors)
        record["errors"] = {start: float(np.median(own)) for start, own in points.items()}
        found.append(record)
    return found


def _pairs(choice: Choice, suite: str, records: Sequence[Record]) -> list[list[float]]:
    """HypLatent against what does without a choice, a pair a number of training tasks."""
    having = [record for record in records if choice.other in record["vs"].get(OURS, {})]
    found = [_best(suite, size, having) for size in SIZES[suite]]
    return [run["vs"][OURS][choice.other] for run in found if run is not None]


def _best(suite: str, size: int, records: Sequence[Record]) -> Record | None:
    """The run of that suite and size with the most splits, the latest of equals."""
    found = [r for r in records if (r["suite"], r["split_rule"]) == (suite, f"tasks:{size}")]
    return max(found, key=lambda r: (len(r["seeds"]), r["date"]), default=None)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(take(Path(argument)))
    print(write())
