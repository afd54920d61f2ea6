"""Films of policies side by side: a context's own expert, a method, and the nearest expert."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experts import Experts
from param_envs import Context
from param_envs.env import render_fps
from zeroshot.bench import rollouts_of
from zeroshot.film import play_frames
from zeroshot.frozen import split_of
from zeroshot.methods import make_method
from zeroshot.protocol import Policies, Progress
from zeroshot.references import EXPERT, REFERENCES, Training
from zeroshot.report.markup import Html, element, joined
from zeroshot.report.runs import RunFolder
from zeroshot.report.scales import tick_text
from zeroshot.report.sections import Section
from zeroshot.splits import rule_of
from zeroshot.suites import Suite

MOST_BYTES = 300_000
"""Of one film; longer ones are compressed more."""

SIZE = (256, 192)
"""Width and height of a panel, pixels."""

SECONDS = 4.0
FILM_FPS = 25
QUALITIES = (30, 36, 42)
"""Constant rate factors of H.264 to try, the best first."""


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """One film.

    Attributes:
        context: its values of the features that vary.
        panels: who acts, from left to right.
        returns: mean return of each in this context's test episodes, None where it has no rows.
        seed: the split's.
        mp4: the file.
    """

    context: dict[str, float]
    panels: tuple[str, ...]
    returns: tuple[float | None, ...]
    seed: int
    mp4: bytes


def make_films(
    run: RunFolder,
    experts: Experts,
    *,
    count: int,
    method: str | None = None,
    collection: Path | None = None,
    seconds: float = SECONDS,
    size: tuple[int, int] = SIZE,
    progress: Progress | None = None,
) -> list[SideBySide]:
    """Films test contexts of the run's first split, spread over all of them.

    The method is fitted once, as in the run: same rollouts, same training contexts, same seed.

    Args:
        run: whose split is filmed.
        experts: of the suite's contexts, in its order.
        count: contexts to film.
        method: also film this one; registered name or import path.
        collection: folder of many policies of every context; None where there are none.
        seconds: length of a film.
        size: of a panel, pixels, even numbers.
        progress: told how far the fit is.

    Raises:
        ValueError: if the run's suite is not registered, or it has no test rows.
        RuntimeError: if no off-screen renderer works; says what to install.
    """
    if run.suite is None:
        raise ValueError(f"films need a registered suite, {run.name!r} is not one of this version")
    seed, test, train = held_out(run, run.suite)
    ids = [test[i] for i in np.unique(np.linspace(0, len(test) - 1, count).round().astype(int))]
    training = Training(
        experts=experts.select(train),
        features=run.suite.features,
        transfer=np.eye(len(train)),  # `nearest` looks at contexts only
        seed=seed,
    )
    makers: dict[str, Callable[[Sequence[Context]], Policies]] = {}
    if method is not None:
        data = rollouts_of(run.suite, experts, collection=collection).select(train)
        fitted = make_method(method).fit(data, seed=seed, progress=progress)
        makers[method] = fitted.policies
    makers["nearest"] = lambda chosen: REFERENCES["nearest"](training, chosen)
    films = []
    for i in ids:
        context = run.suite.contexts[i]
        chosen: dict[str, Policies] = {EXPERT: experts.policies.select([i])}
        chosen.update({name: make([context]) for name, make in makers.items()})
        films.append(
            SideBySide(
                context={name: float(context[name]) for name in run.features},
                panels=tuple(chosen),
                returns=tuple(_mean_return(run, name, seed, context) for name in chosen),
                seed=seed,
                mp4=_film(run.suite, chosen, context, seed, seconds, size),
            )
        )
    return films


def held_out(run: RunFolder, suite: Suite) -> tuple[int, list[int], list[int]]:
    """Seed, test contexts and training contexts of the run's first split.

    Raises:
        ValueError: if there are no test rows of the suite's contexts, or they are not of the split.
    """
    if not run.test:
        raise ValueError(f"films need a run with test rows, {run.path} has none")
    seed = min(row["seed"] for row in run.test)
    played = {tuple(row["context"].values()) for row in run.test if row["seed"] == seed}
    test = [i for i, context in enumerate(suite.contexts) if tuple(context.values()) in played]
    if len(test) != len(played):
        raise ValueError(f"{run.path}: test contexts that {suite.name} does not have")
    rule = rule_of(run.settings.get("split_rule", "random"), suite)
    split = split_of(suite, rule, seed=seed)
    if {*split.test} != {*test}:
        raise ValueError(f"{run.path}: its test contexts are not those of the split {rule}")
    return seed, test, list(split.train)


def films_section(films: Sequence[SideBySide], prefix: str, reason: str | None) -> Section | None:
    """The films, or why there are none; nothing if none were asked for.

    Args:
        films: of one run.
        prefix: of ids.
        reason: why there are none although they were asked for.
    """
    if not films and reason is None:
        return None
    body = joined(
        element("p", f"There are no films: {reason}", class_="note") if reason else None,
        [_figure(film) for film in films],
    )
    return Section(
        id=f"{prefix}-films",
        title="Films",
        lead="The first seconds of an episode in contexts that were held out, from the same start "
        "for all. Play to compare gaits; numbers below are mean returns of whole test episodes.",
        body=body,
    )


def _figure(film: SideBySide) -> Html:
    title = ", ".join(f"{name} {tick_text(value)}" for name, value in film.context.items())
    source = f"data:video/mp4;base64,{base64.b64encode(film.mp4).decode()}"
    names = [
        element(
            "li",
            element("b", name),
            "" if value is None else f" {value:.0f}".replace("-", "−"),
        )
        for name, value in zip(film.panels, film.returns, strict=True)
    ]
    return element(
        "figure",
        element(
            "video", src=source, controls="", loop="", muted="", playsinline="", preload="auto",
            aria_label=f"{' | '.join(film.panels)} at {title}",
        ),
        element("ul", names, class_="panels"),
        element("figcaption", f"{title}; split {film.seed}."),
    )  # fmt: skip


def _mean_return(run: RunFolder, name: str, seed: int, context: Context) -> float | None:
    returns = [
        row["return"]
        for row in run.test
        if row["method"] == name and row["seed"] == seed and row["context"] == dict(context)
    ]
    return float(np.mean(returns)) if returns else None


def _film(
    suite: Suite,
    policies: dict[str, Policies],
    context: Context,
    seed: int,
    seconds: float,
    size: tuple[int, int],
) -> bytes:
    fps = render_fps(suite.family)
    every = max(1, round(fps / FILM_FPS))
    panels = []
    for own in policies.values():
        frames: list[NDArray[np.uint8]] = []
        play_frames(
            suite.family,
            own,
            context,
            reward=suite.reward,
            seed=seed,
            n_steps=max(1, min(round(seconds * fps), suite.family.max_episode_steps)),
            size=size,
            every=every,
            show=frames.append,
        )
        panels.append(frames)
    longest = max(len(frames) for frames in panels)
    whole = [
        np.hstack([frames[min(i, len(frames) - 1)] for frames in panels]) for i in range(longest)
    ]
    for quality in QUALITIES:
        mp4 = _encoded(whole, fps / every, quality)
        if len(mp4) <= MOST_BYTES:
            break
    return mp4


def _encoded(frames: Sequence[NDArray[np.uint8]], fps: float, quality: int) -> bytes:
    import imageio.v2 as iio

    options: dict[str, Any] = {
        "fps": fps,
        "codec": "libx264",
        "macro_block_size": 2,
        "quality": None,
        "output_params": ["-crf", str(quality), "-preset", "slow", "-movflags", "+faststart"],
    }
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        writer: Any
        with iio.get_writer(path, **options) as writer:
            for frame in frames:
                writer.append_data(frame)
        return path.read_bytes()
