"""The last section of each run: what made every number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zeroshot.report.markup import Html, element, joined
from zeroshot.report.runs import RunFolder
from zeroshot.report.sections import Section, config_id, table
from zeroshot.results import ROWS, SETTINGS, SUMMARY

FILES = (ROWS, SUMMARY, SETTINGS, "transfer.npy")


def origin(run: RunFolder, prefix: str) -> Section:
    """Command, commit, versions, settings, checksums, and every method's config."""
    summary = run.summary
    machine = summary.get("machine") or {}
    commits = sorted({str(row["commit"]) for row in run.rows if row.get("commit")})
    known = {
        "command": _command(summary.get("command")),
        "commit": summary.get("commit"),
        "commits of the rows": ", ".join(commits),
        "date": summary.get("date"),
        "machine": ", ".join(f"{key}: {value}" for key, value in machine.items()),
        "seconds of the last command": summary.get("wall_seconds"),
        **{f"version of {name}": v for name, v in (summary.get("versions") or {}).items()},
        **{f"setting {name}": value for name, value in _telling(run.settings).items()},
        **{f"SHA-256 of {name}": checksum(run.path / name) for name in FILES},
    }
    configs: dict[str, Any] = {row["method"]: row.get("config") or {} for row in run.rows}
    body = joined(
        table(("what", "value"), _rows(known), f"What made the numbers of {run.name}"),
        [
            element(
                "details",
                element("summary", f"Config of {name}"),
                table(("parameter", "value"), _rows(configs.get(name, {})), f"Config of {name}")
                if configs.get(name)
                else element("p", "It states no config."),
                id=config_id(prefix, name),
            )
            for name in run.methods
        ],
    )
    return Section(
        id=f"{prefix}-origin",
        title="Where the numbers come from",
        lead="The command, commit, versions and settings of this run; run the command again at "
        "that commit to get the rows again. A commit that ends in -dirty had files changed.",
        body=body,
    )


def checksum(path: Path) -> str | None:
    """SHA-256 of a file, None if it does not exist."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def _telling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, without the suite's own training fraction where the split has another rule."""
    fraction = settings.get("train_fraction")
    own = settings.get("split_rule", f"random:{fraction!r}") == f"random:{fraction!r}"
    return {name: value for name, value in settings.items() if own or name != "train_fraction"}


def _command(command: Any) -> str | None:
    """A command without the folder that its program happens to be in."""
    if not command:
        return None
    program, *words = str(command).split(" ")
    return " ".join([program.rsplit("/", 1)[-1], *words])


def _rows(values: Mapping[str, Any]) -> list[Html]:
    return [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", element("code", value if isinstance(value, str) else json.dumps(value))),
        )
        for name, value in values.items()
        if value not in (None, "")
    ]
