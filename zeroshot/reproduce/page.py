"""A reproduction's tables as Markdown and as one HTML page."""

from __future__ import annotations

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


@dataclass(frozen=True, kw_only=True)
class Page:
    """What is written.

    Attributes:
        title: of the page.
        lead: paragraphs under the title.
        headlines: what has to be known first, a sentence each.
        tables: in order.
    """

    title: str
    lead: tuple[str, ...]
    headlines: tuple[str, ...]
    tables: tuple[Table, ...]


def write_page(page: Page, out: Path) -> list[Path]:
    """Writes the page in both forms; returns the paths."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in ((MARKDOWN, markdown(page)), (HTML, html(page))):
        write_atomically(out / name, text.encode())
    return [out / MARKDOWN, out / HTML]


def markdown(page: Page) -> str:
    """The page as Markdown."""
    parts = [f"# {page.title}", *page.lead, "## Read this first"]
    parts.append("\n".join(f"- {line}" for line in page.headlines))
    for table in page.tables:
        lines = [table.header, ["---"] * len(table.header)]
        lines += [[_markdown_cell(cell) for cell in row] for row in table.rows]
        parts += [f"## {table.title}", table.note]
        parts.append("\n".join(f"| {' | '.join(cells)} |" for cells in lines))
    return "\n\n".join(parts) + "\n"


def html(page: Page) -> str:
    """The page as HTML, in one file without any other."""
    body = joined(
        element("header", element("h1", page.title), [element("p", text) for text in page.lead]),
        element(
            "main",
            element(
                "section",
                element("h2", "Read this first"),
                element("ul", [element("li", line) for line in page.headlines]),
            ),
            [_html_section(table) for table in page.tables],
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


def _markdown_cell(cell: Cell) -> str:
    if cell.links:
        return ", ".join(f"[{text}]({path})" for text, path in cell.links.items())
    if cell.code:
        return f"`{cell.text}`"
    return f"**{cell.text}**" if cell.bold else cell.text


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
