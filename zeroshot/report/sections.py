"""What every section is made of, and the first one: the leaderboard."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zeroshot.comparisons import TRIVIAL, WITHIN_CONTEXTS
from zeroshot.published import PUBLISHED_ZERO_SHOT
from zeroshot.references import EXPERT
from zeroshot.report.charts import Bar, Style, interval_chart, reference_style, responsive
from zeroshot.report.markup import Html, element, joined, slug
from zeroshot.report.runs import RunFolder

LOWEST_SCORE = -0.25
"""Left end of the chart of scores; what is worse is an arrow."""

NOTHING_LEARNED = "learns nothing"
"""The kind of the rows of `TRIVIAL`, references or methods by their registry."""

Styles = Mapping[str, Style]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page.

    Attributes:
        id: for links.
        title: of the heading.
        lead: one sentence: what it shows and how to read it.
        body: the rest.
    """

    id: str
    title: str
    lead: str
    body: Html


def leaderboard(run: RunFolder, prefix: str, styles: Styles) -> Section:
    """The table of summary.json, every number with its exact value, and a chart of the scores.

    The expert is first whatever its score: it is what the others are measured by.
    """
    summary = run.summary
    header = ("method", "return", "ratio", "score", "95 % interval", "fit (s)", "kind")
    rows = []
    for name in _expert_first(summary):
        row = summary["methods"][name]
        fitted, trivial = row["kind"] == "method", name in TRIVIAL
        title = element("a", name, href=f"#{config_id(prefix, name)}") if fitted else name
        low, high = score_interval(summary, name)
        interval = joined("[", exact(low, ".3f"), ", ", exact(high, ".3f"), "]")
        cells = [
            *(
                element("td", cell, class_="n")
                for cell in (
                    exact(row["return"], ".1f"),
                    exact(row["ratio"], ".3f"),
                    exact(row["score"], ".3f"),
                    interval,
                    exact(row["fit_seconds"], ".1f") if fitted else "",
                )
            ),
            element("td", NOTHING_LEARNED if trivial else row["kind"]),
        ]
        class_ = "learned" if fitted and not trivial else "reference"
        rows.append(element("tr", element("th", title, scope="row"), cells, class_=class_))
    seeds = len(summary.get("seeds", ()))
    unfinished = "" if summary.get("complete", True) else " This run is unfinished."
    rule = summary.get("split_rule")
    how = f" ({rule})" if rule else ""
    drawn = _drawn_by_seeds(summary)
    behind = _behind(run, drawn)
    body = joined(
        table(header, rows, f"Leaderboard of {run.name}", class_="leaderboard"),
        element(
            "p",
            "Bold rows are methods that learned, grey ones did not. Below the expert they are "
            "sorted by score, an interquartile mean: it leaves out the worst and the best quarter "
            "of the contexts. The verdict goes by ratio, which leaves out none.",
            class_="note",
        ),
        element(
            "p",
            f"{summary.get('n_test', '?')} held-out contexts × {summary.get('episodes', '?')} "
            f"episodes × {seeds} {drawn if seeds != 1 else drawn[:-1]}{how}.{unfinished}{behind} ",
            element("a", "Command, commit and versions", href=f"#{prefix}-origin"),
            ".",
            class_="note",
        ),
        _scores(run, styles),
        _pairs(summary.get("vs") or {}),
        _gaps(summary.get("gap") or {}),
        _published(run.name),
    )
    return Section(
        id=f"{prefix}-leaderboard",
        title="Leaderboard",
        lead="Score is an interquartile mean in which 1 is each context's own expert and 0 the "
        "best single training expert; ratio is 1 plus the difference to the experts' return over "
        "its size. Higher is better.",
        body=body,
    )


def table(
    header: Sequence[str], rows: Iterable[Html], caption: str, class_: str | None = None
) -> Html:
    """A table in a box of its own, which scrolls sideways where it is too wide."""
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", element("tr", [element("th", n, scope="col") for n in header])),
            element("tbody", rows),
            class_=class_,
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def exact(value: float | None, number: str) -> Html | str:
    """A rounded number whose exact value is in the markup; a hyphen for None."""
    if value is None:
        return "-"
    return element("data", f"{value:{number}}".replace("-", "−"), value=repr(value))


def score_interval(summary: Mapping[str, Any], name: str) -> tuple[float | None, float | None]:
    """Ends of the 95 % interval of a row's score; None of a single cell.

    It is the summary's `score_ci`, which redraws seeds as well, and for older ones `ci`.
    """
    own = summary["methods"][name]["ci"]
    low, high = own if None in own else (summary.get("score_ci") or {}).get(name, own)
    return low, high


def bar_of(summary: Mapping[str, Any], name: str, style: Style) -> Bar:
    """A summary's row as a bar, without an interval where none can be had."""
    score = summary["methods"][name]["score"]
    low, high = (score if end is None else end for end in score_interval(summary, name))
    return Bar(name=name, value=score, low=low, high=high, style=style)


def scores_caption(run: RunFolder, names: Iterable[str]) -> str:
    """What a chart of these rows' scores shows, and what its intervals redraw."""
    return (
        f"Scores with 95 % bootstrap intervals, which redraw {_redrawn(run, names)}; what lies "
        "left of the axis is cut off."
    )


def config_id(prefix: str, method: str) -> str:
    """Id of a method's config on the page; names that differ have different ones."""
    short = slug(method)
    if short != method:
        short = f"{short}-{zlib.crc32(method.encode()):08x}"
    return f"{prefix}-config-{short}"


def _expert_first(summary: Mapping[str, Any]) -> list[str]:
    """Names of the summary's rows, those below the expert by score."""
    return sorted(summary["methods"], key=lambda name: name != EXPERT)


def _drawn_by_seeds(summary: Mapping[str, Any]) -> str:
    """What the seeds of a run tell apart: splits, or fits where all hold out the same contexts."""
    name = str(summary.get("split_rule") or "random").partition(":")[0]
    return "splits" if name == "random" else "fits"


def _behind(run: RunFolder, drawn: str) -> str:
    """Says which methods have played fewer splits, or fits, than others."""
    seeds = _n_seeds(run)
    most = max(seeds.values(), default=0)
    fewer = [f"{name} {found}" for name, found in seeds.items() if found < most]
    return f" Fewer {drawn}: {', '.join(fewer)}." if fewer else ""


def _n_seeds(run: RunFolder) -> dict[str, int]:
    """Method to the number of seeds with which it was played."""
    seeds: dict[str, set[int]] = {}
    for row in run.test:
        seeds.setdefault(row["method"], set()).add(row["seed"])
    return {name: len(found) for name, found in seeds.items()}


def _redrawn(run: RunFolder, names: Iterable[str]) -> str:
    """What the intervals of these rows' scores redraw, and with how many seeds."""
    played = _n_seeds(run)
    seeds = {name: played.get(name, len(run.summary.get("seeds", ()))) for name in names}
    fewest, most = min(seeds.values()), max(seeds.values())
    if most == 1:
        return "the contexts of a single seed, not the seed"
    number = f"{most} seeds" if fewest == most else f"the {fewest} to {most} seeds of a row"
    if not run.summary.get("score_ci"):
        return f"the contexts within each of {number}, not the seeds"
    alone = ", of a single seed its contexts alone" if fewest == 1 else ""
    kinds = run.summary.get("resampling", {})
    if {kinds.get(name) for name, n in seeds.items() if n > 1} == {WITHIN_CONTEXTS}:
        return f"{number} within each context, not the contexts{alone}"
    return f"{number} and the contexts within each{alone}"


def _scores(run: RunFolder, styles: Styles) -> Html | None:
    bars = [
        bar_of(run.summary, name, styles.get(name, reference_style(name)))
        for name in _expert_first(run.summary)
        if run.summary["methods"][name]["score"] is not None
    ]
    if not bars:
        return None
    top = max(1.0, *(bar.high for bar in bars))

    def draw(width: float) -> Html:
        return interval_chart(
            bars,
            width=width,
            label="Scores with 95 % intervals",
            x_label="score (0: best single training expert, 1: own expert)",
            x_range=(LOWEST_SCORE, top + 0.05),
        )

    caption = scores_caption(run, [bar.name for bar in bars])
    return element("figure", responsive(draw), element("figcaption", caption))


def _pairs(vs: Mapping[str, Mapping[str, Any]]) -> Html | None:
    """Every method against every other row, in the same contexts."""
    rows = [
        element(
            "tr",
            element("th", f"{name} less {other}", scope="row"),
            element("td", exact(pair["difference"], "+.3f"), class_="n"),
            element(
                "td",
                joined("[", exact(pair["ci"][0], "+.3f"), ", ", exact(pair["ci"][1], "+.3f"), "]"),
                class_="n",
            ),
            element("td", exact(pair["probability"], ".2f"), class_="n"),
        )
        for name, others in vs.items()
        for other, pair in others.items()
    ]
    if not rows:
        return None
    header = ("pair", "difference of ratios", "95 % interval", "probability of improvement")
    return element(
        "details",
        element("summary", "Every pair in the same contexts"),
        table(header, rows, "Differences of ratios, and probabilities of improvement"),
    )


def _gaps(gaps: Mapping[str, Mapping[str, float | None]]) -> Html | None:
    """What every row loses from the contexts that were learned from to those held out."""
    if not gaps:
        return None
    rows = [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", exact(gap["ratio"], "+.3f"), class_="n"),
            element("td", exact(gap["score"], "+.3f"), class_="n"),
        )
        for name, gap in gaps.items()
    ]
    header = ("method", "ratio, training less held-out", "score, training less held-out")
    return element(
        "details",
        element("summary", "Generalisation gap"),
        table(header, rows, "What is lost from the training contexts to those held out"),
    )


def _published(suite: str) -> Html | None:
    returns = PUBLISHED_ZERO_SHOT.get(suite)
    if returns is None:
        return None
    rows = [
        element("tr", element("th", name, scope="row"), element("td", f"{value:.1f}", class_="n"))
        for name, value in returns.items()
    ]
    return element(
        "details",
        element("summary", "What others print for this grid"),
        element(
            "p",
            "Mean test returns from HyPoGen (ICLR 2025, Table 1), which reran HyperZero's code "
            "with 20 % of the contexts for training and 80 % for testing, experts of its own, and "
            "possibly a checkpoint chosen on the test contexts. A run with another split or other "
            "experts is not comparable with them.",
        ),
        table(("method", "return"), rows, "Published mean test returns"),
    )
