"""Sections of one run that are maps: returns over two features, and the experts' transfer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zeroshot.references import EXPERT
from zeroshot.report.charts import responsive
from zeroshot.report.heat import Shades, heat_map
from zeroshot.report.markup import Html, element, joined
from zeroshot.report.runs import RunFolder
from zeroshot.report.scales import tick_text
from zeroshot.report.sections import Section
from zeroshot.report.series import matrix

Array = NDArray[np.float64]

OPEN_METHODS = 3
"""Methods whose maps are in sight; those of the others are in a part that opens."""

BETTER_ELSEWHERE = 0.01
"""An expert counts as beaten in its own context from this share of its return on."""


def surfaces(run: RunFolder, prefix: str) -> Section | None:
    """Returns over both features of a suite that has two: experts, methods, and what is missing."""
    if len(run.features) != 2 or not run.test or not run.expert_returns:
        return None
    first, second = run.features
    keys = {*run.expert_returns, *(run.key(row["context"]) for row in run.test)}
    grid = (np.unique([k[0] for k in keys]), np.unique([k[1] for k in keys]))
    expert = np.array([[run.expert_returns.get((x, y), np.nan) for x in grid[0]] for y in grid[1]])
    shown = {EXPERT: expert}
    held_out = ~np.isnan(matrix(run.test, (first, second), grid))
    for name in (*run.methods, "nearest"):
        both = [
            matrix([row for row in rows if row["method"] == name], (first, second), grid)
            for rows in (run.test, run.learned)
        ]
        if not np.isnan(both[0]).all():
            shown[name] = np.where(held_out, *both)
    highest = max(float(np.nanmax(values)) for values in shown.values())
    lowest = min(0.0, *(float(np.nanmin(values)) for values in shown.values()))
    gaps = {name: values - expert for name, values in shown.items() if name != EXPERT}
    widest = max((float(np.nanmax(np.abs(gap))) for gap in gaps.values()), default=1.0) or 1.0

    def draw(name: str, values: Array, shades: Shades) -> Html:
        return element(
            "figure",
            heat_map(
                values,
                x_ticks=[tick_text(x) for x in grid[0]],
                y_ticks=[tick_text(y) for y in grid[1]],
                x_label=run.label(first),
                y_label=run.label(second),
                shades=shades,
                label=f"{name} over {first} and {second}",
                outlined=held_out if run.learned else None,
            ),
            element("figcaption", name),
        )

    returns = Shades(low=lowest, high=highest)
    missing = Shades(low=-widest, high=widest, diverging=True)

    def pair(name: str) -> Html:
        maps = [draw(f"{name}: return", shown[name], returns)]
        if name in gaps:
            maps.append(draw(f"{name} less expert", gaps[name], missing))
        return element("div", maps, class_="maps")

    first_shown = [n for n in shown if n in (EXPERT, *run.methods[:OPEN_METHODS], "nearest")]
    others = [name for name in shown if name not in first_shown]
    rest = "contexts that no split held out are empty"
    if run.learned:
        rest = "framed contexts were held out by a split, in the others it had learned"
    more = element("details", element("summary", "The other methods"), [pair(n) for n in others])
    return Section(
        id=f"{prefix}-surfaces",
        title="Return over both features",
        lead="A cell is a context: its expert's return, each method's mean return while it was "
        f"held out, and the difference. Blue is above the expert, orange below; {rest}.",
        body=joined([pair(name) for name in first_shown], more if others else None),
    )


def transfer(run: RunFolder, prefix: str) -> Section | None:
    """Every expert in every context, as a share of the context's own expert."""
    if run.transfer is None or run.transfer.ndim != 2 or np.any(np.diag(run.transfer) <= 0.0):
        return None
    own = np.diag(run.transfer)
    shares = run.transfer / own
    best = shares.max(axis=0)
    beaten = int(np.sum(best > 1.0 + BETTER_ELSEWHERE))
    single = int(run.transfer.mean(axis=1).argmax())
    kept = float(run.transfer[single].mean() / own.mean())
    names = _names(run, len(own))
    low = min(0.0, float(shares.min()))

    def draw(width: float) -> Html:
        return heat_map(
            shares,
            x_ticks=names,
            y_ticks=names,
            x_label="context played",
            y_label="expert of",
            shades=Shades(low=max(low, -1.0), high=1.0),
            label="Transfer matrix",
            number=".2f",
            size=min(width, 620.0),
        )

    return Section(
        id=f"{prefix}-transfer",
        title="Transfer between contexts",
        lead="A row is an expert, a column a context it plays: the colour is its return over that "
        "of the context's own expert. A bright column or row away from the diagonal means that "
        "the context matters little there.",
        body=joined(
            element("figure", responsive(draw)),
            element(
                "p",
                f"The expert of {names[single]}, the best in all contexts together, keeps "
                f"{100.0 * kept:.1f} % of the experts' return. In {beaten or 'none'} of {len(own)} "
                f"contexts another expert is more than {100.0 * BETTER_ELSEWHERE:.0f} % better "
                "than the context's own"
                + (", which is then not the best there is." if beaten else "."),
            ),
        ),
    )


def _names(run: RunFolder, count: int) -> list[str]:
    if run.suite is None or len(run.suite.contexts) != count:
        return [str(i) for i in range(count)]
    keys = [run.key(context) for context in run.suite.contexts]
    return [", ".join(tick_text(value) for value in key) for key in keys]
