"""The picture of a fine-tuning comparison: return against environment steps, a panel a context."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from zeroshot.figures import METHOD_COLOURS, REFERENCE_STYLES, add_legend, save_figure
from zeroshot.finetune_results import RETURN_VERSUS_STEPS, Record, read_records
from zeroshot.finetune_starts import NEAREST, SCRATCH, STANDARDISED, UNTRAINED
from zeroshot.finetune_statistics import NEAR_EXPERT, expert_target
from zeroshot.references import EXPERT
from zeroshot.statistics import mean_interval

MOST_COLUMNS = 3

START_STYLES = {
    SCRATCH: {"color": "#444444", "linestyle": (0, (1, 1.2))},
    STANDARDISED: {"color": "#444444", "linestyle": (0, (4, 1.5))},
    NEAREST: REFERENCE_STYLES[NEAREST],
}


def return_versus_steps(records: Sequence[Record]) -> Figure:
    """Mean return of every start against environment steps, with 95 % intervals over seeds.

    An interval is a bootstrap of the seeds' means; one seed has none. Where some start from random
    weights and others do not, each context has a second panel below its first, without the former:
    their returns would make one line of all others.

    Args:
        records: of one suite's runs, all evaluated after the same steps.

    Raises:
        ValueError: if there is none.
    """
    if not records:
        raise ValueError("`records` must hold at least one run, got none")
    contexts = list(dict.fromkeys(record["context"] for record in records))
    contexts.sort(
        key=lambda name: [list(r["values"].values()) for r in records if r["context"] == name]
    )
    starts = sorted(
        {record["start"] for record in records},
        key=lambda start: (start not in START_STYLES, start),
    )
    given = [start for start in starts if start not in UNTRAINED]
    rounds = [starts] if len(given) in (0, len(starts)) else [starts, given]
    n_columns = min(MOST_COLUMNS, len(contexts))
    n_rows = -(-len(contexts) // n_columns) * len(rounds)
    figure = Figure(
        figsize=(4.6 * n_columns + 0.4, 3.4 * n_rows + 0.8), dpi=150, layout="constrained"
    )
    FigureCanvasAgg(figure)
    panels = figure.subplots(n_rows, n_columns, sharex=True, squeeze=False).ravel()
    places = [
        (i // n_columns * len(rounds) + k) * n_columns + i % n_columns
        for i in range(len(contexts))
        for k in range(len(rounds))
    ]
    for place in set(range(len(panels))) - set(places):
        panels[place].remove()
    panels = panels[places]
    for i, panel in enumerate(panels):
        context, shown = contexts[i // len(rounds)], rounds[i % len(rounds)]
        _panel(panel, [r for r in records if r["context"] == context], shown)
        closer = " (given policies alone)" if shown != starts else ""
        panel.set_title(f"{context.replace('_', ', ')}{closer}", fontsize=10)
    seeds = len({record["seed"] for record in records})
    figure.suptitle(
        f"{records[0]['suite']}: fine-tuning in held-out contexts, "
        f"{seeds} seed{'s' if seeds != 1 else ''}",
        fontsize=12,
    )
    for panel in panels[len(rounds) - 1 :: len(rounds)][-n_columns:]:
        panel.set_xlabel("environment steps", fontsize=10)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    figure.supylabel("return of an episode", fontsize=10)
    labelled = {
        label: handle
        for panel in panels
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    add_legend(figure, labelled)
    return figure


def _panel(axes: Axes, records: Sequence[Record], starts: Sequence[str]) -> None:
    rng = np.random.default_rng(0)
    expert = float(np.mean([record["expert_return"] for record in records]))
    axes.axhline(expert, color="black", linewidth=1.2, label=EXPERT, zorder=1)
    axes.axhline(
        float(expert_target(expert)),
        color="black",
        linewidth=0.8,
        linestyle=(0, (2, 3)),
        label=f"{NEAR_EXPERT:.0%} of it",
        zorder=1,
    )
    learned = [start for start in starts if start not in START_STYLES]
    for start in starts:
        mine = [record for record in records if record["start"] == start]
        if not mine:
            continue
        style = START_STYLES.get(start) or {
            "color": METHOD_COLOURS[learned.index(start) % len(METHOD_COLOURS)]
        }
        steps = np.array(mine[0]["steps"])
        returns = np.array([np.mean(record["returns"], axis=1) for record in mine])
        axes.plot(steps, returns.mean(axis=0), linewidth=1.5, label=start, zorder=3, **style)
        if len(mine) > 1:
            ends = np.array([mean_interval(point, rng) for point in returns.T])
            axes.fill_between(
                steps, *ends.T, color=style["color"], alpha=0.18, linewidth=0, zorder=2
            )
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def write_finetuning_figure(out: Path) -> Path:
    """Writes the figure of the runs in `out`; returns its path."""
    path = out / RETURN_VERSUS_STEPS
    save_figure(return_versus_steps(read_records(out)), path)
    return path
