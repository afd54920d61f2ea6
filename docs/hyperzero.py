"""Writes what docs/hyperzero.md says about results: `python docs/hyperzero.py [FOLDER]`.

With the folder of `zeroshot reproduce hyperzero`, its small files are copied to
docs/results/hyperzero first, and all its episodes are packed into docs/results/hyperzero/rows.
`python docs/released_finger.py` measures what the page says of the finger. Everything between the
page's two markers is from docs/results; what no file there has is called not measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zeroshot.comparisons import TRIVIAL
from zeroshot.published import PUBLISHED_EXPERT_MEANS, PUBLISHED_ZERO_SHOT
from zeroshot.reproduce.effects import EFFECTS, Effect
from zeroshot.reproduce.folders import film_path
from zeroshot.reproduce.hyperzero import FILMED, REACH, TRACK
from zeroshot.reproduce.in_short import hyperzero_in_short
from zeroshot.reproduce.other_parts import further_parts, search_part
from zeroshot.reproduce.pages import (
    IN_SHORT,
    NOT_MEASURED,
    copy_pictures,
    fill,
    film_strip,
    publish,
    publish_page,
    trivial_lines,
)
from zeroshot.reproduce.plan import PlannedFilm
from zeroshot.reproduce.ratios import against_table, copies_line, cost_line, ratio_table
from zeroshot.reproduce.records import read_results
from zeroshot.reproduce.split_returns import common_ratios
from zeroshot.suites import SUITES

ROOT = Path(__file__).parents[1]
RESULTS = Path("docs/results")
COPIES = RESULTS / "hyperzero"
PAGE = Path("docs/hyperzero.md")
IMAGES = Path("docs/images")
PICTURES = {f"main/{suite}/return-versus-context.png": f"hyperzero-{suite}.png" for suite in REACH}
"""A run's figure to its copy's name: the paper's figures 3 to 5, whose rewards are these."""
GRIDS = {f"surfaces/{s}/surfaces.png": f"hyperzero-{s}-surfaces.png" for s in REACH[6:]}
"""The paper's figure 5, as surfaces."""
SHOTS = {f"shots/{s}/return-versus-episodes.png": f"hyperzero-{s}-shots.png" for s in TRACK[:3]}
REPORTS = ("shots/walker-speed", "main/walker-speed-reach")
"""Runs whose whole reports are published."""
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"

MOST_LISTED = 3
"""Runs that are listed one by one; more are counted."""

SEARCH = RESULTS / "baseline-search.json"
SPEED = RESULTS / "released-speed.json"
SPEED_CHOICE = "generating networks for each sample, as released: what it costs"
FINGER = RESULTS / "released-finger.json"
FINGER_CHOICE = (
    "touch sensors and tip that follow the finger's length: our experts, trained here, in both"
)

OWN, FIFTH = "random:0.85", "random:0.2"
"""The suites' own splits, and those of HyPoGen's table 1."""

UNPUBLISHED = ("hyperdistil", "interpolation", "nearest")
"""What stands beside the methods of that table."""

LEARNED = ("conditioned", "conditioned-uvfa", "film", "maml", "pearl")
ABLATIONS = ("hyperzero-without-td", "hyperzero-without-value")
UNLEARNED = ("interpolation", "nearest", "best-of-direction")
MAIN = ("hyperzero", "hyperdistil", *LEARNED, *ABLATIONS, *UNLEARNED)
"""Whose ratios are shown of every suite."""
TABLES = (
    ("On all splits that both were played on:", ("hyperzero", "hyperdistil", *UNLEARNED[1:])),
    ("Beside the methods of the paper, and FiLM:", ("hyperzero", "hyperdistil", *LEARNED)),
    (
        "Without parts of HyperZero, and the experts' weights averaged:",
        ("hyperzero", *ABLATIONS, UNLEARNED[0]),
    ),
)
"""Tables of the main comparison."""
OURS = "hyperzero"
"""What the others' ratios are marked against."""
GOALS = {"hyperzero": (0.95, 0.9), "hyperdistil": (0.98, 0.95)}
"""Ratios that were set as goals: suites of one feature, and those of two."""

Record = dict[str, Any]


def measured(effect: Effect, records: Sequence[Record]) -> str:
    """What the results say about an effect, in a few words.

    Args:
        effect: of which choice.
        records: as `read_results` gives them.
    """
    having = [record for record in records if _has(effect, record)]
    found = _a_suite(having, effect.ours, effect.other)
    if not found:
        return NOT_MEASURED
    said = [_difference(effect, record) for record in found]
    if len(found) <= MOST_LISTED:
        return "<br>".join(
            f"{record['suite']}, {record['split_rule']}, {_both(effect, record)}, "
            + (
                "no interval"
                if low is None
                else f"difference {value:+.3f}, 95 % interval [{low:+.3f}, {high:+.3f}]"
            )
            for record, (value, low, high) in zip(found, said, strict=True)
        )
    values = [value for value, _, _ in said]
    better = sum(low is not None and low > 0.0 for _, low, _ in said)
    worse = sum(high is not None and high < 0.0 for _, _, high in said)
    return (
        f"{len(found)} suites: difference of the ratios {np.mean(values):+.3f} on average, "
        f"{min(values):+.3f} to {max(values):+.3f}; surely better in {better}, surely worse in "
        f"{worse}"
    )


def effects_table(
    records: Sequence[Record], finger: Record | None, speed: Record | None = None
) -> str:
    """A line an effect, one for the released step's cost and one for the finger's bodies."""
    lines = ["| section | choice | result |", "|---|---|---|"]
    lines += [f"| {e.section} | {e.choice} | {measured(e, records)} |" for e in EFFECTS]
    lines.append(f"| 2 | {SPEED_CHOICE} | {speed_said(speed, records)} |")
    lines.append(f"| 8 | {FINGER_CHOICE} | {finger_said(finger)} |")
    return "\n".join(lines)


def speed_said(record: Record | None, records: Sequence[Record]) -> str:
    """What `docs/released_speed.py` found, beside the fits of the same suite."""
    if record is None:
        return NOT_MEASURED
    step, steps = record["seconds_a_step"], record["steps"]
    made = f"`{record['command']}` at commit {record['commit'][:12]}"
    said = [
        f"{step:.3f} s a step, {step * steps / 3600:.1f} hours for {steps:,} on one thread ({made})"
    ]
    pair = ("hyperzero", "hyperzero-paper")
    own = [r for r in records if (r["suite"], r["split_rule"]) == (record["timed_on"], OWN)]
    for one in _a_suite([r for r in own if "hyperzero" in r["methods"]])[:1]:
        seconds = one["methods"]["hyperzero"]["fit_seconds"]
        said.append(f"hyperzero's fits take {seconds:.0f} s, 1/{step * steps / seconds:.0f} of it")
    for one in _a_suite([r for r in own if set(pair) <= set(r["methods"])], *pair):
        ratios, splits = common_ratios(one, pair)
        said.append(
            f"ratios {ratios[pair[0]]:.3f} and {ratios[pair[1]]:.3f} (hyperzero-paper, as many "
            f"updates, grouped by task), {splits} splits"
        )
    return "<br>".join(said)


def finger_said(record: Record | None) -> str:
    """What `docs/released_finger.py` found, in a few words."""
    if record is None:
        return NOT_MEASURED
    said = [
        f"{row['suite']}, {row['contexts']} contexts: return {row['ours']['return']:.0f} here, "
        f"{row['released']['return']:.0f} in the released bodies; from {record['long_from']:g} m "
        f"on {row['ours']['return_long']:.0f} and {row['released']['return_long']:.0f}, with a "
        f"touch sensed in {row['ours']['touched_long']:.2%} and "
        f"{row['released']['touched_long']:.2%} of the steps"
        for row in record["bodies"]
    ]
    return "<br>".join([*said, f"`{record['command']}` at commit {record['commit'][:12]}"])


def main_table(records: Sequence[Record]) -> str:
    """Ratios on every suite's own splits, and how often the goals are reached."""
    found = _of_own_splits(records)
    if not found:
        return f"On the suites' own splits: {NOT_MEASURED}."
    parts = []
    for caption, names in TABLES:
        if any(name in record["methods"] for record in found for name in names if name != OURS):
            beside = {"copies": _copies} if not parts else {}
            parts += [caption, ratio_table(found, names, compared=OURS, beside=beside)]
    return "\n\n".join(filter(None, [*parts[:2], goals_said(found), *parts[2:]]))


def goals_said(records: Sequence[Record]) -> str:
    """On how many suites the goals are reached, and where not, on all splits of each method."""
    said = []
    for name, goals in GOALS.items():
        having = [record for record in records if name in record["methods"]]
        ratios = {r["suite"]: common_ratios(r, (name,))[0][name] for r in having}
        missed = {
            suite: ratio
            for suite, ratio in ratios.items()
            if ratio < goals[len(SUITES[suite].features) > 1]
        }
        if ratios:
            said.append(
                f"{name} reaches its goal ({goals[0]:.2f} with one feature, {goals[1]:.2f} with "
                f"two) on {len(ratios) - len(missed)} of {len(ratios)} suites"
                + (", not on " if missed else "")
                + ", ".join(f"{suite} ({_below(ratio)})" for suite, ratio in missed.items())
            )
    return f"On all splits that each was played on: {'; '.join(said)}." if said else ""


def baselines_part(records: Sequence[Record]) -> list[str]:
    """Whether our methods are ahead of what they are compared with, suite by suite, in words."""
    found, said = _of_own_splits(records), []
    for name in GOALS:
        having = [record for record in found if record["vs"].get(name)]
        if having:
            said += [
                f"Differences of {name}'s ratios to others', in the same contexts; sure where the "
                "95 % interval of a suite, which redraws its splits and contexts, leaves out zero. "
                "Two splits hardly tell how much splits differ, so such intervals are too narrow; "
                "the mean's redraws bodies, a suite and its `-reach` twin together:",
                against_table(having, name, [one for one in MAIN if one != name]),
            ]
    return said or [f"Against the baselines: {NOT_MEASURED}."]


def published_table(records: Sequence[Record]) -> str:
    """Our ratios with 20 % of the contexts for training beside the published ones."""
    known = list(next(iter(PUBLISHED_ZERO_SHOT.values())))
    lines = [
        f"| suite | {' | '.join([*known, *UNPUBLISHED])} | splits |",
        f"|---|{'--:|' * (len(known) + len(UNPUBLISHED) + 1)}",
    ]
    ahead = {name: [] for name in (*GOALS, *TRIVIAL)}
    told: list[bool] = []
    for suite, published in PUBLISHED_ZERO_SHOT.items():
        found = _a_suite([r for r in records if (r["suite"], r["split_rule"]) == (suite, FIFTH)])
        names = (*known, *UNPUBLISHED)
        ours, splits = common_ratios(found[0], names) if found else ({}, "-")
        theirs = {name: value / PUBLISHED_EXPERT_MEANS[suite] for name, value in published.items()}
        cells = [
            (f"{ours[name]:.2f}" if name in ours else "-")
            + (f" ({theirs[name]:.2f})" if name in theirs else "")
            for name in names
        ]
        lines.append(f"| {suite} | {' | '.join([*cells, str(splits)])} |")
        if {OURS, "conditioned"} <= ours.keys():
            told.append(ours[OURS] > ours["conditioned"])
        for name in ahead.keys() & ours.keys():
            ahead[name].append(ours[name] > max(theirs.values()))
    said = [
        f"{name} on {sum(each)} of the {len(each)} suites that are measured"
        for name, each in ahead.items()
        if each
    ]
    if said:
        lines += ["", f"Ahead of all published methods: {', '.join(said)}."]
        lines[-1] += " What `nearest` reaches, experts and rewards bring, not a method."
    if told:
        lines[-1] += f" Here {OURS} is ahead of conditioned on {sum(told)} of {len(told)} suites."
    return "\n".join(lines)


def write(root: Path = ROOT) -> Path:
    """Writes the generated part of the page; returns its path.

    Raises:
        ValueError: if the page lacks a marker, or a file of results is damaged.
    """
    suites = (*TRACK, *REACH)
    records = [one for one in read_results(root / RESULTS) if one["suite"] in suites]
    ours = [one for one in records if one["file"].startswith(f"{COPIES.name}/")]
    finger, speed = (_read(root / file) for file in (FINGER, SPEED))
    parts = [
        effects_table(records, finger, speed),
        "With 85 % of the contexts for training: ratio to the experts' return; < is surely below "
        f"{OURS}'s, > surely above, by the 95 % interval of the difference; *copies* is the "
        "share of held-out contexts for which HyperDistil hands out a training expert, not a mix.",
        main_table(records),
        *baselines_part(records),
        trivial_lines(records),
        copies_line(records),
        "With a fifth of the contexts for training: ratio to the experts' return, in brackets that "
        f"of the published returns to their own experts'. A hyphen: {NOT_MEASURED}; HyPoGen's own "
        "method is not implemented here.",
        published_table(records),
        *further_parts(ours),
        cost_line(ours),
    ]
    parts += [*search_part(_read(root / SEARCH)), *pictures_part(root)]
    ranges = [record for record in ours if record["part"] == "ranges"]
    fill(root / PAGE, *IN_SHORT, hyperzero_in_short(_of_own_splits(records), ranges))
    return fill(root / PAGE, BEGIN, END, "\n\n".join(parts))


def pictures_part(root: Path) -> list[str]:
    """The paper's figures 3 to 5 as far as they were made, surfaces, and few-shot curves."""
    found = []
    for pictures, said in (
        (
            PICTURES,
            "The counterparts of the paper's figures 3 to 5, with 85 % of the contexts for "
            "training; with two features each panel averages over the other one:",
        ),
        (GRIDS, "Figure 5 as surfaces; behind each name is the mean over the whole grid:"),
        (SHOTS, "Few-shot, with 95 % intervals:"),
        (
            {film.name: _strip(film) for film in FILMED if film.method == OURS},
            "Figure 6: six frames of the first ten seconds in contexts that were not learned from, "
            f"from the top {', '.join(dict.fromkeys(film.method for film in FILMED))}:",
        ),
    ):
        drawn = [
            f"![{run.split('/')[1]}, {run.split('/')[0]}](images/{name})"
            for run, name in pictures.items()
            if (root / IMAGES / name).exists()
        ]
        found += [said, "\n".join(drawn)] if drawn else []
    return found


def _strip(film: PlannedFilm) -> str:
    return f"hyperzero-film-{'_'.join((film.suite, *film.context))}.jpg"


def _read(path: Path) -> Record | None:
    found: Record | None = json.loads(path.read_text()) if path.is_file() else None
    return found


def _has(effect: Effect, record: Record) -> bool:
    reward = "reach" if record["suite"].endswith("-reach") else "track"
    there = {effect.ours, effect.other} <= set(record["methods"])
    return there and effect.reward in (None, reward) and record["split_rule"] == OWN


def _a_suite(records: Sequence[Record], *pair: str) -> list[Record]:
    """A record a suite: with a pair's intervals, the most splits, of a main part, the latest."""

    def worth(record: Record) -> tuple[bool, int, bool, str]:
        paired = bool(pair) and pair[1] in record["vs"].get(pair[0], {})
        rows = [record["methods"][name] for name in pair or record["methods"]]
        most = max(row["splits"] for row in rows)
        return paired, most, record["part"] in ("main", "fifth"), record["date"]

    found = {record["suite"]: record for record in sorted(records, key=worth)}
    return [found[name] for name in sorted(found)]


def _of_own_splits(records: Sequence[Record]) -> list[Record]:
    """A record a suite, of those with as many of the methods that have goals as any has."""
    own = [
        (len(GOALS.keys() & record["methods"].keys()), record)
        for record in records
        if record["split_rule"] == OWN
    ]
    most = max((number for number, _ in own), default=0)
    return _a_suite([record for number, record in own if number == most])


def _below(ratio: float) -> str:
    """In words where three digits would read as a goal, which have two."""
    near = round(ratio, 3) == round(ratio, 2) > ratio
    return f"{'just below ' * near}{ratio:.3f}"


def _copies(record: Record) -> str:
    copies = record["methods"].get("hyperdistil", {}).get("copies")
    return "-" if copies is None else f"{copies:.0%}"


def _both(effect: Effect, record: Record) -> str:
    ratios, splits = common_ratios(record, (effect.ours, effect.other))
    return f"{splits} splits: {ratios[effect.ours]:.3f} against {ratios[effect.other]:.3f}"


def _difference(effect: Effect, record: Record) -> tuple[float, float | None, float | None]:
    pair = record["vs"].get(effect.ours, {}).get(effect.other)
    if pair is not None:
        return pair[0], pair[1], pair[2]
    ratios, _ = common_ratios(record, (effect.ours, effect.other))
    return ratios[effect.ours] - ratios[effect.other], None, None


if __name__ == "__main__":
    for folder in map(Path, sys.argv[1:]):
        print(publish(folder, ROOT / COPIES))
        copy_pictures(folder, drawn := {**PICTURES, **GRIDS, **SHOTS}, ROOT / IMAGES)
        for strip in dict.fromkeys(map(_strip, FILMED)):
            made = [film_path(film, folder) for film in FILMED if _strip(film) == strip]
            if all(film.exists() for film in made):
                film_strip(made, ROOT / IMAGES / strip)
        drawn |= {f"{film.name}.mp4": _strip(film) for film in FILMED}
        links = {run: f"../../images/{name}" for run, name in drawn.items()}
        publish_page(folder, ROOT / COPIES, reports=REPORTS, pictures=links)
    print(write())
