"""A reproduction's tables as Markdown and as one HTML page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from experts.store import write_atomically
from zeroshot.report.markup import Html, element, joined, slug
from zeroshot.report.page import STYLE
from zeroshot.report.sections import table as html_table
from zeroshot.reproduce.tables import Cell, Table

MARKDOWN, HTML = "tables.md", "tables.html"

FIRST, RUN_BY_RUN = "Read this first", "Run by run"
"""Titles of the headline and of what it counts."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What is written.

    Attributes:
        title: of the page.
        lead: paragraphs under the title.
        headline: what has to be known first.
        details: what it counts, a sentence each: folded, or at the end.
        tables: in order.

    Raises:
        ValueError: if two sections would have one address.
    """

    title: str
    lead: tuple[str, ...]
    headline: str
    details: tuple[str, ...]
    tables: tuple[Table, ...]

    def __post_init__(self) -> None:
        titles = [FIRST, *(table.title for table in self.tables), RUN_BY_RUN]
        places = [slug(title) for title in titles]
        again = [title for i, title in enumerate(titles) if places[i] in places[:i]]
        if again:
            raise ValueError(f"`tables` must have titles that links tell apart, twice: {again}")


def write_page(page: Page, out: Path) -> list[Path]:
    """Writes the page in both forms; returns the paths."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in ((MARKDOWN, markdown(page)), (HTML, html(page))):
        write_atomically(out / name, text.encode())
    return [out / MARKDOWN, out / HTML]


def markdown(page: Page) -> str:
    """The page as Markdown."""
    contents = [f"- {_markdown_link(FIRST)}"]
    for first, *others in _grouped(page.tables):
        contents.append(f"- {_markdown_link(first.title)}")
        contents += [f"  - {_markdown_link(table.title, _shorter(table))}" for table in others]
    more = ""
    if page.details:
        contents.append(f"- {_markdown_link(RUN_BY_RUN)}")
        more = f" {_markdown_link(RUN_BY_RUN)}."
    parts = [f"# {page.title}", *page.lead, "\n".join(contents)]
    parts += [f"## {FIRST}", f"{page.headline}{more}"]
    for table in page.tables:
        lines = [table.header, ["---"] * len(table.header)]
        lines += [[_markdown_cell(cell) for cell in row] for row in table.rows]
        parts += [f"## {table.title}", table.note]
        parts.append("\n".join(f"| {' | '.join(cells)} |" for cells in lines))
    if page.details:
        parts += [f"## {RUN_BY_RUN}", "\n".join(f"- {line}" for line in page.details)]
    return "\n\n".join(parts) + "\n"


def html(page: Page) -> str:
    """The page as HTML, in one file without any other."""
    body = joined(
        element("header", element("h1", page.title), [element("p", text) for text in page.lead]),
        element(
            "div",
            _html_contents(page),
            element("main", _html_first(page), [_html_section(table) for table in page.tables]),
            class_="columns",
        ),
    )
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", page.title),
        element("style", Html(files("zeroshot.report").joinpath(STYLE).read_text())),
    )
    whole = element("html", element("head", head), element("body", body), lang="en")
    return f"<!doctype html>\n{whole}\n"


def _grouped(tables: Sequence[Table]) -> list[list[Table]]:
    """Tables one after another that belong together."""
    found: list[list[Table]] = []
    for table in tables:
        if found and table.group and table.group == found[-1][-1].group:
            found[-1].append(table)
        else:
            found.append([table])
    return found


def _shorter(table: Table) -> str:
    """A title without what those of its group begin with."""
    return table.title.removeprefix(table.group).removeprefix(": ")


def _markdown_link(title: str, text: str | None = None) -> str:
    """To a section of that title, by the anchor that GitHub gives it."""
    anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    return f"[{text or title}](#{anchor})"


def _markdown_cell(cell: Cell) -> str:
    if cell.links:
        return ", ".join(f"[{text}]({path})" for text, path in cell.links.items())
    if cell.code:
        return f"`{cell.text}`"
    return f"**{cell.text}**" if cell.bold else cell.text


def _html_contents(page: Page) -> Html:
    def entry(title: str, text: str, *below: Html) -> Html:
        inner = element("ul", below) if below else None
        return element("li", element("a", text, href=f"#{slug(title)}"), inner)

    entries = [entry(FIRST, FIRST)]
    for first, *others in _grouped(page.tables):
        inner = [entry(table.title, _shorter(table)) for table in others]
        entries.append(entry(first.title, first.title, *inner))
    return element("nav", element("ul", entries), aria_label="Contents", class_="contents")


def _html_first(page: Page) -> Html:
    """The headline, and folded what it counts."""
    lines = element("ul", [element("li", line) for line in page.details])
    return element(
        "section",
        element("h2", FIRST),
        element("p", page.headline),
        element("details", element("summary", RUN_BY_RUN), lines) if page.details else None,
        id=slug(FIRST),
    )


def _html_section(table: Table) -> Html:
    rows = [element("tr", [element("td", _html_cell(cell)) for cell in row]) for row in table.rows]
    return element(
        "section",
        element("h2", table.title),
        element("p", table.note, class_="lead"),
        html_table(table.header, rows, table.title),
        id=slug(table.title),
    )


def _html_cell(cell: Cell) -> Html | str:
    if cell.links:
        anchors: Sequence[Html] = [element("a", t, href=path) for t, path in cell.links.items()]
        return joined(*(joined(", " if i else None, link) for i, link in enumerate(anchors)))
    if cell.code:
        return element("code", cell.text)
    return element("strong", cell.text) if cell.bold else cell.text
