"""HTML and SVG as values: everything that is not `Html` already is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

VOID = frozenset({"meta", "br", "link", "hr", "img", "col", "source"})
"""HTML elements without an end tag."""


class Html(str):
    """Markup that is written as it is."""

    __slots__ = ()


Child = Html | str | int | float | None
Attribute = str | int | float | None


def element(name: str, /, *children: Child | Iterable[Child], **attributes: Attribute) -> Html:
    """An element; attributes whose value is None are left out.

    An attribute's trailing underscore goes (`class_`), others become hyphens (`aria_label`).
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_number(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(*children)}</{name}>")


def joined(*children: Child | Iterable[Child]) -> Html:
    """Children one after another, escaped where they are plain text."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, (str, int, float)):
            parts.append(html.escape(_number(child), quote=False))
        else:
            parts.append(joined(*child))
    return Html("".join(parts))


def slug(text: str) -> str:
    """Lower-case letters, digits and hyphens, for ids and links."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def _number(value: Attribute) -> str:
    """Coordinates with at most two digits; SVG needs no more, and pages stay small."""
    if isinstance(value, float):
        text = f"{value:.2f}".rstrip("0").rstrip(".")
        return "0" if text == "-0" else text
    return str(value)
