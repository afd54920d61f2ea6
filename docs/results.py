"""Writes the README's results from runs: `python docs/results.py results/cheetah-speed ...`.

Copies each run's figure to docs/images and its summary to docs/results, and puts a table a suite
between the README's two markers, with the command, commit and machine that made it.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def table(summary: dict[str, Any]) -> str:
    """A Markdown table of a complete run.

    Raises:
        ValueError: if the run is not complete.
    """
    if not summary["complete"]:
        raise ValueError(f"the run of {summary['suite']} is not complete")
    title = (
        f"`{summary['suite']}`: {summary['n_test']} held-out contexts × {summary['episodes']} "
        f"episodes × {len(summary['seeds'])} splits"
    )
    lines = [
        title,
        "",
        "| method | return | ratio | score | 95 % | fit |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, row in summary["methods"].items():
        method = row["kind"] == "method"
        label = f"**{name}**" if method else f"*{name.replace('-', ' ')}*"
        interval = summary.get("score_ci", {}).get(name, (None, None))
        score, low, high = (
            "-" if value is None else f"{value:.2f}" for value in (row["score"], *interval)
        )
        fit = f"{row['fit_seconds']:.0f} s" if method else ""
        lines.append(
            f"| {label} | {row['return']:.0f} | {row['ratio']:.3f} | {score} "
            f"| [{low}, {high}] | {fit} |"
        )
    return "\n".join([*lines, "", provenance(summary)])


def provenance(summary: dict[str, Any]) -> str:
    """Which command, commit and machine made a run, in one sentence."""
    versions, machine = summary["versions"], summary["machine"]
    words = summary["command"].split()
    command = " ".join([Path(words[0]).name, *words[1:]])
    return (
        f"`{command}` at commit {summary['commit'][:12]} on {summary['date'][:10]}, "
        f"{machine['cores']} cores ({machine['processor']}), {summary['wall_seconds']:.0f} s; "
        f"MuJoCo {versions['mujoco']}, torch {versions['torch']}, Python {versions['python']}."
    )


def write(runs: list[Path], root: Path = ROOT) -> None:
    """Writes the README's results section and the pictures.

    Args:
        runs: folders of complete runs.
        root: the repository.

    Raises:
        ValueError: if a run is not complete, or the README lacks a marker.
    """
    readme = root / "README.md"
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme} must contain {BEGIN!r} and {END!r}")
    summaries = [json.loads((run / "summary.json").read_text()) for run in runs]
    tables = [table(summary) for summary in summaries]
    for run, summary in zip(runs, summaries, strict=True):
        picture = root / "docs" / "images" / f"{summary['suite']}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run / "return-versus-context.png", picture)
        copy = root / "docs" / "results" / f"{summary['suite']}.json"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run / "summary.json", copy)
    section = "\n\n".join([*tables, "Written by `make results`."])
    readme.write_text(f"{before}{begin}\n{section}\n{end}{after}")


if __name__ == "__main__":
    write([Path(argument) for argument in sys.argv[1:]])
