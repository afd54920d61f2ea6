"""Writes what docs/zoo.md says about every shipped zoo: `python docs/zoo.py`.

Everything comes from the experts' manifests, from the audits in docs/results/audits
(`zeroshot experts audit SUITE --out docs/results/audits`), whose pictures are drawn again, and from
docs/builds/SUITE.sh, the commands that built and repaired a zoo, where there is one.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from experts import Experts, store
from experts.assessment import ENOUGH
from experts.audit import Audit
from zeroshot.audit import check_experts, summary_lines
from zeroshot.audit_figures import audit_figure
from zeroshot.audit_record import load_audit, policies_fingerprint
from zeroshot.figures import save_figure
from zeroshot.published import PUBLISHED_EXPERT_MEANS
from zeroshot.reproduce.pages import fill
from zeroshot.suites import SUITES, Suite

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- zoos -->", "<!-- end of zoos -->"
AUDITS, BUILDS = Path("docs/results/audits"), Path("docs/builds")

HEADER = """\
| suite | experts | mean return | published | below 0.9 | beaten | context relevance | speed error |
|---|--:|--:|--:|--:|--:|--:|--:|"""


def overview_row(suite: Suite, experts: Experts, audit: Audit | None) -> str:
    """A suite's line of the table."""
    published = PUBLISHED_EXPERT_MEANS.get(suite.name)
    bounded = "speed" in experts.contexts[0]  # rewards of at most 1 a step
    low = int((experts.returns < ENOUGH * suite.family.max_episode_steps).sum())
    cells = [
        f"[`{suite.name}`](#{suite.name})",
        _of(len(experts), len(suite.contexts)),
        f"{experts.returns.mean():.1f}",
        "" if published is None else f"{published:.1f}",
        str(low) if bounded else "",
    ]
    if audit is None:
        cells += ["not audited", "", ""]
    else:
        errors, reachable = audit.speed_errors, audit.reachable
        tracked = errors is not None and reachable is not None and reachable.any()
        cells += [
            f"{int(audit.beaten.sum())}",
            f"{audit.context_relevance:z.2f}",
            f"{errors[reachable].mean():.3f}" if tracked else "",
        ]
    return f"| {' | '.join(cells)} |"


def section(
    suite: Suite, experts: Experts, audit: Audit | None, record: dict[str, Any] | None, root: Path
) -> str:
    """What is said about one zoo."""
    parts = [f"### {suite.name}", made(experts)]
    commands = root / BUILDS / f"{suite.name}.sh"
    if commands.exists():
        lines = commands.read_text().strip().splitlines()
        kept = [line for line in lines if not line.startswith(("#!", "set "))]
        parts.append("\n".join(["```bash", *kept, "```"]))
    if audit is not None and record is not None:
        picture = Path("results/audits") / f"{suite.name}.png"
        parts.append(f"![Returns and transfer matrix of {suite.name}]({picture.as_posix()})")
        parts.append("\n".join(f"- {line}" for line in summary_lines(audit, suite)))
        parts.append(provenance(record))
    short = shortfalls(suite, experts)
    if short:
        parts.append(short)
    return "\n\n".join(parts)


def made(experts: Experts) -> str:
    """How a zoo was made, from its manifests."""
    records = experts.records
    recipes = Counter(str(record["recipe"]) for record in records)
    commits = sorted({short_commit(record.get("commit")) for record in records})
    dates = sorted(str(record.get("date", ""))[:10] for record in records)
    hours = sum(float(record.get("seconds", 0.0)) for record in records) / 3600.0
    steps = sum(int(record["steps"]) for record in records)
    machines = sorted({str(record.get("machine")) for record in records})
    mujoco = sorted({str(record.get("versions", {}).get("mujoco")) for record in records})
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return (
        f"{_counted(recipes)}; {steps / 1e6:.1f} million steps and {hours:.1f} core-hours in the "
        f"trainings that are kept. {when}, {'; '.join(machines)}, MuJoCo {', '.join(mujoco)}; "
        f"commits {', '.join(commits)}."
    )


def provenance(record: dict[str, Any]) -> str:
    """Which command, commit and machine made an audit, in one sentence."""
    machine, arguments = record["machine"], record["command"].partition(" ")[2]
    rivals = f", rivals from {', '.join(record['donors'])} too" if record["donors"] else ""
    decided = sum(row.get("decided", False) for row in record["rows"])
    most = record.get("deciding_episodes", 0)
    tried = f" and {most} to decide in {decided} contexts" if most else ""
    return (
        f"Audit: `zeroshot {arguments}`{rivals}, {record['finding_episodes']} to find, "
        f"{record['confirming_episodes']} episodes to confirm{tried}, at commit "
        f"{short_commit(record['commit'])} on {record['date'][:10]}, "
        f"{machine['cores']} cores ({machine['processor']}), "
        f"{record['wall_seconds']:.0f} s."
    )


def short_commit(commit: str | None) -> str:
    """Twelve characters of a commit, and whether files differed from it."""
    if not commit:
        return "unknown"
    return commit[:12] + ("-dirty" if commit.endswith("-dirty") else "")


def shortfalls(suite: Suite, experts: Experts) -> str:
    """Which experts stay below 0.9 of the largest possible return, by what their manifests say."""
    named: dict[str, list[str]] = {}
    for context, record in zip(experts.contexts, experts.records, strict=True):
        reason = record.get("shortfall")
        if reason is not None:
            kind = "improvable" if "improvable" in reason else "more than the fastest policy does"
            values = ", ".join(f"{context[name]:g}" for name in suite.features)
            named.setdefault(kind, []).append(f"({values})" if len(suite.features) > 1 else values)
    if not named:
        return ""
    lists = "; ".join(f"{kind}: {', '.join(values)}" for kind, values in sorted(named.items()))
    return f"Below 0.9 of the largest possible return ({', '.join(suite.features)}): {lists}."


def write(root: Path = ROOT) -> list[str]:
    """Writes the generated part of docs/zoo.md, and the pictures; returns the suites it covers.

    Args:
        root: the repository.

    Raises:
        ValueError: if docs/zoo.md lacks a marker, a zoo does not fit its suite, or an audit is of
            other experts than those shipped.
    """
    chosen = [name for name, suite in SUITES.items() if _zoo(suite).is_dir()]
    rows, sections = [], []
    for name in chosen:
        suite = SUITES[name]
        experts = check_experts(suite, _zoo(suite))
        audit, record = audited(suite, experts, root)
        rows.append(overview_row(suite, experts, audit))
        sections.append(section(suite, experts, audit, record, root))
    generated = "\n\n".join(["\n".join([HEADER, *rows]), *sections])
    fill(root / "docs" / "zoo.md", BEGIN, END, generated)
    return chosen


def audited(
    suite: Suite, experts: Experts, root: Path
) -> tuple[Audit | None, dict[str, Any] | None]:
    """The audit of a zoo, whose picture is drawn; (None, None) if there is none.

    Raises:
        ValueError: if it is of other experts.
    """
    path = root / AUDITS / f"{suite.name}.json"
    if not path.exists():
        return None, None
    audit, record = load_audit(path)
    if record["experts"] != policies_fingerprint(experts):
        raise ValueError(
            f"{path} is of other experts than those shipped: repeat "
            f"`zeroshot experts audit {suite.name} --out {AUDITS}`"
        )
    save_figure(audit_figure(audit, suite), path.with_suffix(".png"))
    return audit, record


def _zoo(suite: Suite) -> Path:
    return store.ZOO / suite.zoo


def _of(n: int, total: int) -> str:
    return str(n) if n == total else f"{n} of {total}"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))


if __name__ == "__main__":
    for written in write():
        print(written)
