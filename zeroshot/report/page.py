"""The page: verdicts first, then the sections of each run, in one file without any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from experts.provenance import commit, now, versions
from experts.store import write_atomically
from zeroshot.report.ablation import ablation
from zeroshot.report.charts import Style, method_style
from zeroshot.report.curves import curves, few_shot, profiles
from zeroshot.report.films import SideBySide, films_section
from zeroshot.report.maps import surfaces, transfer
from zeroshot.report.markup import Html, element, joined, slug
from zeroshot.report.origin import origin
from zeroshot.report.runs import RunFolder, read_run
from zeroshot.report.sections import Section, leaderboard
from zeroshot.report.verdict import Verdict, verdict

STYLE = "style.css"

Films = Mapping[Path, Sequence[SideBySide] | str]
"""A run's folder to its films, or to why there are none."""


def write_report(
    paths: Sequence[Path], out: Path, *, films: Films | None = None, command: str | None = None
) -> Path:
    """Writes the page about one or several runs, all or nothing; returns its path.

    Args:
        paths: folders that `zeroshot run` wrote.
        out: the file.
        films: of the runs that have some.
        command: that makes this page, to be stated in it.

    Raises:
        FileNotFoundError: if a folder has no summary.
        ValueError: if there is no folder, or one of them twice.
    """
    if not paths or len({path.resolve() for path in paths}) != len(paths):
        raise ValueError(f"`runs` must be distinct folders, at least one, got {len(paths)}")
    text = page([read_run(path) for path in paths], films=films or {}, command=command)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, text.encode())
    return out


def page(runs: Sequence[RunFolder], *, films: Films, command: str | None = None) -> str:
    """The page as text.

    Args:
        runs: what it is about, in this order.
        films: by the runs' folders.
        command: that makes this page, None to leave it out.
    """
    styles = styles_of(runs)
    prefixes = _prefixes(runs)
    parts = {
        prefix: _sections(run, prefix, styles, films.get(run.path))
        for run, prefix in zip(runs, prefixes, strict=True)
    }
    title = "Zero-shot report: " + ", ".join(dict.fromkeys(run.name for run in runs))
    verdicts = [verdict(run) for run in runs]
    body = joined(
        element("a", "To the results", href="#verdict", class_="skip"),
        element(
            "header",
            element("h1", "Zero-shot report"),
            element(
                "p",
                "Policies for contexts that nobody trained on: ",
                ", ".join(dict.fromkeys(run.name for run in runs)),
                ".",
            ),
        ),
        element(
            "div",
            _contents(runs, prefixes, parts),
            element(
                "main",
                _verdicts(runs, prefixes, verdicts),
                [
                    _run(run, prefix, parts[prefix])
                    for run, prefix in zip(runs, prefixes, strict=True)
                ],
            ),
            class_="columns",
        ),
        element("footer", _footer(command)),
    )
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(files("zeroshot.report").joinpath(STYLE).read_text())),
    )
    whole = element("html", element("head", head), element("body", body), lang="en")
    return f"<!doctype html>\n{whole}\n"


def styles_of(runs: Sequence[RunFolder]) -> dict[str, Style]:
    """Learned methods to their styles: the same in every chart of the page."""
    names = dict.fromkeys(name for run in runs for name in run.methods)
    return {name: method_style(i) for i, name in enumerate(names)}


def _sections(
    run: RunFolder,
    prefix: str,
    styles: Mapping[str, Style],
    films: Sequence[SideBySide] | str | None,
) -> list[Section]:
    made, reason = ([], films) if isinstance(films, str) else (films or [], None)
    found = [
        leaderboard(run, prefix, styles) if run.summary["methods"] else None,
        *(make(run, prefix, styles) for make in (curves, ablation, few_shot, profiles)),
        surfaces(run, prefix),
        transfer(run, prefix),
        films_section(made, prefix, reason),
        origin(run, prefix),
    ]
    return [section for section in found if section is not None]


def _verdicts(
    runs: Sequence[RunFolder], prefixes: Sequence[str], verdicts: Sequence[Verdict]
) -> Html:
    cards = []
    for run, prefix, found in zip(runs, prefixes, verdicts, strict=True):
        unfinished = not run.summary.get("complete", True)
        cards.append(
            element(
                "article",
                element("h3", element("a", run.name, href=f"#{prefix}")),
                element("p", found.headline, class_="headline"),
                [element("p", sentence) for sentence in found.sentences],
                element("p", "The run is unfinished: this may change.") if unfinished else None,
                class_=f"verdict {slug(found.status)}",
            )
        )
    return element(
        "section",
        element("h2", "Verdict"),
        element(
            "p",
            "The best learned method of each suite against the rows that learn nothing, in the "
            "same contexts; differences are of returns over the experts' returns.",
            class_="lead",
        ),
        cards,
        id="verdict",
    )


def _run(run: RunFolder, prefix: str, sections: Sequence[Section]) -> Html:
    return element(
        "section",
        element("h2", run.name, id=prefix),
        [
            element(
                "section",
                element("h3", section.title),
                element("p", section.lead, class_="lead"),
                section.body,
                id=section.id,
            )
            for section in sections
        ],
        aria_labelledby=prefix,
    )


def _contents(
    runs: Sequence[RunFolder], prefixes: Sequence[str], parts: Mapping[str, Sequence[Section]]
) -> Html:
    entries = [element("li", element("a", "Verdict", href="#verdict"))]
    for run, prefix in zip(runs, prefixes, strict=True):
        inner = [
            element("li", element("a", section.title, href=f"#{section.id}"))
            for section in parts[prefix]
        ]
        entries.append(
            element("li", element("a", run.name, href=f"#{prefix}"), element("ul", inner))
        )
    return element("nav", element("ul", entries), aria_label="Contents", class_="contents")


def _footer(command: str | None) -> Html:
    made = f"commit {commit()}" if commit() else f"param-envs {versions().get('param-envs')}"
    return joined(
        element("p", f"Page made on {now()} with {made}."),
        element("p", "Command: ", element("code", command)) if command else None,
    )


def _prefixes(runs: Sequence[RunFolder]) -> list[str]:
    """An id a run: its suite's name, numbered where it comes again."""
    found: list[str] = []
    for run in runs:
        name, number = slug(run.name), 2
        while (prefix := name if name not in found else f"{slug(run.name)}-{number}") in found:
            number += 1
        found.append(prefix)
    return found
