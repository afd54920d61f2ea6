"""Films of policies side by side: a context's own expert, methods, and the nearest expert."""

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
from zeroshot.context_words import suite_context
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

BELOW = 1 / 14
"""Height of a black strip for the player's controls, as a share of the film's width."""

PANEL_REM = 6.8
"""Smallest width of a panel on the page, in units of its font: three fit a phone."""


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """One film.

    Attributes:
        context: its values of the features that vary, and of those that are not as in the suite.
        panels: who acts, from left to right.
        returns: of each one's filmed episode, None where it is unknown.
        seed: the split's.
        mp4: the file, the episode's first seconds.
        note: what sets the context apart from the suite's that the split does not learn from,
            empty for one of them.
    """

    context: dict[str, float]
    panels: tuple[str, ...]
    returns: tuple[float | None, ...]
    seed: int
    mp4: bytes
    note: str = ""


def chosen_contexts(suite: Suite, chosen: Sequence[str]) -> list[Context]:
    """Contexts to film, each from words with commas between: `speed=2,torso=0.5`.

    Args:
        suite: whose grid they are on, or between.
        chosen: the words.

    Raises:
        ValueError: for words that are no context of the suite's family, or one that is repeated.
    """
    contexts: list[Context] = []
    for words in chosen:
        try:
            context = suite_context(suite, words.split(","))
        except ValueError as error:
            raise ValueError(
                f"`film_context` must be of {suite.name}'s family, got {words!r}: {error}"
            ) from None
        if context in contexts:
            raise ValueError(f"`film_context` must be distinct, got {words!r} twice")
        contexts.append(context)
    return contexts


def spread_contexts(run: RunFolder, count: int) -> list[Context]:
    """Test contexts of the run's first split, `count` of them at most, spread over all.

    Raises:
        ValueError: as `held_out`.
    """
    suite, _, test, _ = held_out(run)
    ids = np.unique(np.linspace(0, len(test) - 1, count).round().astype(int))
    return [suite.contexts[test[i]] for i in ids]


def make_films(
    run: RunFolder,
    experts: Experts,
    *,
    contexts: Sequence[Context],
    methods: Sequence[str] = (),
    collection: Path | None = None,
    seconds: float = SECONDS,
    size: tuple[int, int] = SIZE,
    progress: Progress | None = None,
) -> list[SideBySide]:
    """Films contexts as the run's first split has it.

    A method is fitted once, as in the run: same rollouts, same training contexts, same seed.
    Training contexts that are filmed are left out, of every fit and of the nearest experts.

    Args:
        run: whose split it is.
        experts: of the suite's contexts, in its order.
        contexts: to film, of the suite or any of its family.
        methods: also film these; registered names or import paths.
        collection: folder of many policies of every context; None where there are none.
        seconds: length of a film.
        size: of a panel, pixels, even numbers.
        progress: told how far the fits are.

    Raises:
        ValueError: as `held_out`, or if no training context is left.
        RuntimeError: if no off-screen renderer works; says what to install.
    """
    suite, seed, _, learned = held_out(run)
    train = [i for i in learned if suite.contexts[i] not in contexts]
    if not train:
        raise ValueError("`contexts` must leave a training context, got all of the split's")
    makers = _makers(suite, experts, train, seed, methods, collection, progress)
    films = []
    for context in contexts:
        own = suite.contexts.index(context) if context in suite.contexts else None
        acting: dict[str, Policies] = {}
        if own is not None:
            acting[EXPERT] = experts.policies.select([own])
        acting |= {name: make([context]) for name, make in makers.items()}
        mp4, returns = _film(suite, acting, context, seed, seconds, size)
        apart = [name for name in context if context[name] != suite.contexts[0][name]]
        names = dict.fromkeys((*suite.features, *apart))
        note = "learned from in the run, but not here" if own in learned else ""
        films.append(
            SideBySide(
                context={name: float(context[name]) for name in names},
                panels=tuple(acting),
                returns=returns,
                seed=seed,
                mp4=mp4,
                note="not of the suite, so without an expert" if own is None else note,
            )
        )
    return films


def _makers(
    suite: Suite,
    experts: Experts,
    train: Sequence[int],
    seed: int,
    methods: Sequence[str],
    collection: Path | None,
    progress: Progress | None,
) -> dict[str, Callable[[Sequence[Context]], Policies]]:
    """What makes policies of contexts, by name: the fitted methods, then the nearest expert."""
    training = Training(
        experts=experts.select(train),
        features=suite.features,
        transfer=np.eye(len(train)),  # `nearest` looks at contexts only
        seed=seed,
    )
    makers: dict[str, Callable[[Sequence[Context]], Policies]] = {}
    if methods:
        data = rollouts_of(suite, experts, collection=collection).select(train)
    for k, method in enumerate(methods):

        def told(done: float, k: int = k) -> None:
            if progress is not None:
                progress((k + done) / len(methods))

        makers[method] = make_method(method).fit(data, seed=seed, progress=told).policies
    makers["nearest"] = lambda chosen: REFERENCES["nearest"](training, chosen)
    return makers


def held_out(run: RunFolder) -> tuple[Suite, int, list[int], list[int]]:
    """Suite, seed, test contexts and training contexts of the run's first split.

    Raises:
        ValueError: if the suite is not registered, if there are no test rows of its contexts, or
            they are not of the split.
    """
    suite = run.suite
    if suite is None:
        raise ValueError(f"films need a registered suite, {run.name!r} is not one of this version")
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
    return suite, seed, test, list(split.train)


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
        lead="A row is a context that no method in it learned from: the first seconds of one "
        "episode, from the same start for all. Play to compare gaits; numbers are returns of the "
        "whole episode.",
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
    row = element(
        "div",
        element(
            "video", src=source, controls="", loop="", muted="", playsinline="", preload="auto",
            aria_label=f"{' | '.join(film.panels)} at {title}",
        ),
        element("ul", names, class_="panels"),
        style=f"min-width: {PANEL_REM * len(film.panels):g}rem",
    )  # fmt: skip
    note = f"; {film.note}" if film.note else ""
    return element(
        "figure",
        element("figcaption", element("b", title), f"; split {film.seed}{note}."),
        element("div", row, class_="scroll"),
    )


def _film(
    suite: Suite,
    policies: dict[str, Policies],
    context: Context,
    seed: int,
    seconds: float,
    size: tuple[int, int],
) -> tuple[bytes, tuple[float, ...]]:
    """The first seconds, and everyone's return of the whole episode."""
    fps = render_fps(suite.family)
    every = max(1, round(fps / FILM_FPS))
    panels, returns = [], []
    for own in policies.values():
        frames: list[NDArray[np.uint8]] = []
        gained = play_frames(
            suite.family,
            own,
            context,
            reward=suite.reward,
            seed=seed,
            n_steps=suite.n_steps or suite.family.max_episode_steps,
            size=size,
            every=every,
            show=frames.append,
            n_shown=max(1, round(seconds * fps)),
        )
        panels.append(frames)
        returns.append(gained)
    longest = max(len(frames) for frames in panels)
    width = size[0] * len(panels)
    strip = np.zeros((2 * round(width * BELOW / 2), width, 3), np.uint8)
    whole = [
        np.vstack([np.hstack([frames[min(i, len(frames) - 1)] for frames in panels]), strip])
        for i in range(longest)
    ]
    for quality in QUALITIES:
        mp4 = _encoded(whole, fps / every, quality)
        if len(mp4) <= MOST_BYTES:
            break
    return mp4, tuple(returns)


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
