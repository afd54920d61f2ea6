"""The section that tells what a method's parts are worth."""

from __future__ import annotations

import numpy as np

from zeroshot.comparisons import ABLATED
from zeroshot.report.charts import interval_chart, responsive
from zeroshot.report.markup import Html, element, joined
from zeroshot.report.runs import RunFolder
from zeroshot.report.sections import Section, Styles, bar_of, exact, scores_caption, table
from zeroshot.report.verdict import Comparison, compared

CONCLUSIONS = {"better": "the part helps", "worse": "the part harms", "tie": "not told apart"}
"""By the status of the whole method's comparison with a variant."""


def ablation(run: RunFolder, prefix: str, styles: Styles) -> Section | None:
    """Scores of a method and of its `-without-` variants, and their paired differences."""
    methods = run.summary["methods"]
    bases = {_base(name) for name in run.methods if ABLATED in name}
    names = [name for name in run.methods if _base(name) in bases]
    names = sorted(name for name in names if methods[name]["score"] is not None)
    if not bases or len(names) < 2:
        return None
    bars = [bar_of(run.summary, name, styles[name]) for name in names]
    top = max(1.0, *(bar.high for bar in bars))

    def draw(width: float) -> Html:
        return interval_chart(
            bars,
            width=width,
            label="Scores of a method and of its variants",
            x_label="score",
            x_range=(0.0, 1.04 * top),
            filled=True,
        )

    pairs = {
        name: found
        for name in names
        if _base(name) in names
        if name != _base(name)
        if (found := compared(run, _base(name), name)) is not None
    }
    conclusion = (
        "A part helps where the paired difference, method less variant, has an interval above 0, "
        "and harms where it lies below; else these runs do not tell the two apart."
        if pairs
        else "No variant was played in the same contexts as its method: these runs do not tell "
        "what a part is worth."
    )
    return Section(
        id=f"{prefix}-ablation",
        title="Ablation",
        lead="The score of each method beside that of the same method without one of its parts. "
        + conclusion,
        body=joined(
            element("figure", responsive(draw), element("figcaption", scores_caption(run, names))),
            _differences(run, pairs) if pairs else None,
        ),
    )


def _base(name: str) -> str:
    return name.split(ABLATED)[0]


def _n_shared(run: RunFolder, one: str, other: str) -> int:
    """With how many seeds both were played."""
    first, second = (
        {row["seed"] for row in run.test if row["method"] == name} for name in (one, other)
    )
    return len(first & second)


def _differences(run: RunFolder, pairs: dict[str, Comparison]) -> Html:
    """A row a variant: how much better the whole method is in the same contexts."""
    rows = []
    for name, pair in pairs.items():
        ends = [end if np.isfinite(end) else None for end in (pair.low, pair.high)]
        low, high = (exact(end, "+.3f") for end in ends)
        rows.append(
            element(
                "tr",
                element("th", f"{_base(name)} less {name}", scope="row"),
                element("td", exact(pair.difference, "+.3f"), class_="n"),
                element("td", joined("[", low, ", ", high, "]"), class_="n"),
                element("td", _n_shared(run, _base(name), name), class_="n"),
                element("td", CONCLUSIONS[pair.status]),
            )
        )
    header = ("pair", "difference of ratios", "95 % interval", "seeds", "conclusion")
    caption = "In the contexts of the seeds that both have; intervals redraw what those above do"
    return table(header, rows, caption)
