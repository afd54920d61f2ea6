"""What a reproduction is: a literal list of work, and which table or figure each belongs to."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zeroshot.fewshot import checked_shots
from zeroshot.splits import rule_of
from zeroshot.suites import suite_of

HYPERZERO = "hyperzero"
"""The method of a film where none is named."""

FILMS = "films"
"""Folder of the films, beside those of the parts."""


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """What `zeroshot run` is asked for.

    Attributes:
        part: the table that shows it.
        suite: its name.
        methods: registered names and import paths.
        seeds: number of splits.
        split: which contexts are held out.
        shots: numbers of episodes in a test context for few-shot rows.
        train_rows: also play the contexts that were learned from.
        published: method to the mean return that others print for this run, or `expert` to that
            of their experts.
        zoo: folder of the suite's experts, None for the shipped ones.

    Raises:
        ValueError: for an unknown suite, a split or shots that make no sense, repeated methods, or
            no seeds.
    """

    part: str
    suite: str
    methods: tuple[str, ...]
    seeds: int
    split: str = "random"
    shots: tuple[int, ...] = ()
    train_rows: bool = False
    published: Mapping[str, float] = field(default_factory=dict, repr=False)
    zoo: Path | None = None

    def __post_init__(self) -> None:
        rule_of(self.split, suite_of(self.suite))
        checked_shots(self.shots)
        if not self.methods or len(set(self.methods)) != len(self.methods):
            raise ValueError(f"`methods` must be distinct, at least one, got {self.methods}")
        if self.seeds < 1:
            raise ValueError(f"`seeds` must be at least 1, got {self.seeds}")

    @property
    def name(self) -> str:
        """Folder of its results, part first: `fractions/cheetah-speed-random-0.2`."""
        return f"{self.part}/{self.suite}{_suffix(self.split)}"

    def command(self, folder: Path) -> str:
        """The `zeroshot run` that does the same into a folder."""
        words = ["zeroshot", "run", self.suite, "--methods", ",".join(self.methods)]
        words += ["--seeds", str(self.seeds)]
        if self.split != "random":
            words += ["--split", self.split]
        if self.shots:
            words += ["--shots", *map(str, self.shots)]
        if self.train_rows:
            words.append("--train-rows")
        words += _zoo(self.zoo)
        return shlex.join([*words, "--out", str(folder), "--resume"])


@dataclass(frozen=True, kw_only=True)
class PlannedFineTuning:
    """What `zeroshot finetune` is asked for.

    Attributes:
        part: the table that shows it.
        suite: its name.
        starts: `scratch`, `nearest` and names of methods.
        n_steps: environment steps of a run.
        seeds: runs from each start in each context.
        every: environment steps between evaluations.
        split: which contexts are held out.
        contexts: of these, as feature=value words; all if empty.
        preset: hyperparameters: `default`, or `paper`, GenHyper's as far as it gives them.
        td_weight: weight of the TD term, instead of the preset's; 0 for none.
        zoo: folder of the suite's experts, None for the shipped ones.

    Raises:
        ValueError: for an unknown suite or preset, a split that makes no sense, or numbers below 1.
    """

    part: str
    suite: str
    starts: tuple[str, ...]
    n_steps: int
    seeds: int
    every: int = 5_000
    split: str = "random"
    contexts: tuple[str, ...] = ()
    preset: str = "default"
    td_weight: float | None = None
    zoo: Path | None = None

    def __post_init__(self) -> None:
        rule_of(self.split, suite_of(self.suite))
        for name in ("n_steps", "seeds", "every"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        if self.preset not in ("default", "paper"):
            raise ValueError(f"`preset` must be 'default' or 'paper', got {self.preset!r}")

    @property
    def name(self) -> str:
        """Folder of its results, part first: `finetuning/ant-dir-tasks-15-40000`.

        Trainings of another length or with other hyperparameters are others, and stand elsewhere.
        """
        preset = "" if self.preset == "default" else f"-{self.preset}"
        td = "" if self.td_weight is None else f"-td-{self.td_weight:g}"
        return f"{self.part}/{self.suite}{_suffix(self.split)}-{self.n_steps}{preset}{td}"

    def command(self, folder: Path) -> str:
        """The `zeroshot finetune` that does the same into a folder."""
        words = ["zeroshot", "finetune", self.suite, "--start", *self.starts]
        if self.contexts:
            words += ["--contexts", *self.contexts]
        words += ["--steps", str(self.n_steps), "--every", str(self.every)]
        words += ["--seeds", str(self.seeds)]
        if self.preset != "default":
            words += ["--preset", self.preset]
        if self.td_weight is not None:
            words += ["--td-weight", f"{self.td_weight:g}"]
        if self.split != "random":
            words += ["--split", self.split]
        return shlex.join([*words, *_zoo(self.zoo), "--out", str(folder)])


@dataclass(frozen=True, kw_only=True)
class PlannedFilm:
    """What `zeroshot film` is asked for.

    Attributes:
        suite: to learn from.
        context: feature=value words.
        method: registered name or import path.
        zoo: folder of the suite's experts, None for the shipped ones.
    """

    suite: str
    context: tuple[str, ...]
    method: str = HYPERZERO
    zoo: Path | None = None

    @property
    def part(self) -> str:
        """That of all films."""
        return FILMS

    @property
    def name(self) -> str:
        """Of its file, without a suffix: `films/walker-speed-reach_speed=-4`.

        Films of other methods than HyperZero end in their name.
        """
        whose = () if self.method == HYPERZERO else (self.method.replace(":", "."),)
        return f"{FILMS}/{'_'.join((self.suite, *self.context, *whose))}"

    def command(self, path: Path) -> str:
        """The `zeroshot film` that does the same."""
        words = ["zeroshot", "film", self.suite, "--context", *self.context]
        words += ["--method", self.method, *_zoo(self.zoo)]
        return shlex.join([*words, "--out", str(path)])


Work = PlannedRun | PlannedFineTuning | PlannedFilm


def methods_of(work: Work) -> tuple[str, ...]:
    """What is compared: methods of a run, starts of fine-tunings, the method of a film."""
    if isinstance(work, PlannedFilm):
        return (work.method,)
    return work.methods if isinstance(work, PlannedRun) else work.starts


def _suffix(split: str) -> str:
    return "" if split == "random" else f"-{split.replace(':', '-')}"


def _zoo(folder: Path | None) -> list[str]:
    return [] if folder is None else ["--zoo", str(folder)]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A group of runs that make one table.

    Attributes:
        name: under which runs refer to it, and the folder of theirs.
        title: of the table.
        note: what has to be known to read it.
    """

    name: str
    title: str
    note: str


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure or table of the paper, and where its counterpart is.

    Attributes:
        label: its number in the paper.
        shows: in a few words.
        part: whose runs are the counterpart.
        suites: of those runs.
        file: to look at, in each run's folder.
    """

    label: str
    shows: str
    part: str
    suites: tuple[str, ...]
    file: str


def split_of(work: Work) -> str | None:
    """The rule of a work's split; a film has none."""
    return None if isinstance(work, PlannedFilm) else work.split


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A list of runs, and how it differs from the full one.

    Attributes:
        doc: what is smaller, exactly; it is repeated in the results.
        runs: in the order in which they are done, names distinct.
        fine_tunings: after the runs.
        films: at the end.

    Raises:
        ValueError: if two runs have the same name.
    """

    doc: str
    runs: tuple[PlannedRun, ...]
    fine_tunings: tuple[PlannedFineTuning, ...] = ()
    films: tuple[PlannedFilm, ...] = ()

    def __post_init__(self) -> None:
        names = [work.name for work in self.works]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"`runs` must have distinct names, twice there are {twice}")

    @property
    def works(self) -> tuple[Work, ...]:
        """Everything, in order."""
        return (*self.runs, *self.fine_tunings, *self.films)

    def chosen(
        self,
        *,
        suites: Sequence[str] = (),
        parts: Sequence[str] = (),
        splits: Sequence[str] = (),
        methods: Sequence[str] = (),
        seeds: int | None = None,
        zoos: Path | None = None,
    ) -> Preset:
        """The same with some of its work or methods only, other seeds, or other experts.

        Args:
            suites: to keep, all by default.
            parts: to keep, `films` among them, all by default.
            splits: to keep, `tasks:15` for instance, all by default; films have none.
            methods: to keep, fine-tunings' starts among them, all by default; work of none of
                them is left out.
            seeds: of every run, its own by default.
            zoos: folder that has a folder of experts a suite, by its name, instead of the shipped
                ones.

        Raises:
            ValueError: for a suite, part, split or method of which there is nothing, or seeds
                below 1, or if nothing has all that is asked for.
        """
        for name, wanted, there in (
            ("suites", suites, {work.suite for work in self.works}),
            ("parts", parts, {work.part for work in self.works}),
            ("splits", splits, {split for work in self.works if (split := split_of(work))}),
            ("methods", methods, {name for work in self.works for name in methods_of(work)}),
        ):
            unknown = sorted(set(wanted) - there)
            if unknown:
                raise ValueError(f"`{name}` must be among {sorted(there)}, got {unknown}")

        def left(work: Work) -> tuple[str, ...]:
            asked = ((suites, work.suite), (parts, work.part), (splits, split_of(work)))
            if any(wanted and own not in wanted for wanted, own in asked):
                return ()
            return tuple(name for name in methods_of(work) if not methods or name in methods)

        more: dict[str, Any] = {} if seeds is None else {"seeds": seeds}

        def zoo(work: Work) -> Path | None:
            return None if zoos is None else zoos / work.suite

        found = replace(
            self,
            runs=tuple(
                replace(run, methods=names, zoo=zoo(run), **more)
                for run in self.runs
                if (names := left(run))
            ),
            fine_tunings=tuple(
                replace(one, starts=names, zoo=zoo(one), **more)
                for one in self.fine_tunings
                if (names := left(one))
            ),
            films=tuple(replace(film, zoo=zoo(film)) for film in self.films if left(film)),
        )
        if not found.works:
            raise ValueError(
                "`suites`, `parts`, `splits` and `methods` must leave some of the plan's work, got "
                f"{[list(wanted) for wanted in (suites, parts, splits, methods)]}"
            )
        return found


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a paper shows.

    Attributes:
        name: on the command line.
        title: of the paper, with authors and place.
        parts: the tables, in order.
        figures: of the paper, in order.
        presets: by name.
        sources: whose numbers `published` are.

    Raises:
        ValueError: if a run or a figure is of an unknown part.
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    figures: tuple[Figure, ...]
    presets: Mapping[str, Preset]
    sources: str

    def __post_init__(self) -> None:
        known = [part.name for part in self.parts]
        works = [work for preset in self.presets.values() for work in preset.works]
        for part in [work.part for work in works] + [figure.part for figure in self.figures]:
            if part not in (*known, FILMS):
                raise ValueError(f"`part` must be one of {[*known, FILMS]}, got {part!r}")

    def preset(self, name: str) -> Preset:
        """The preset of that name.

        Raises:
            ValueError: if there is none; says which there are.
        """
        if name not in self.presets:
            raise ValueError(f"`preset` must be one of {sorted(self.presets)}, got {name!r}")
        return self.presets[name]
