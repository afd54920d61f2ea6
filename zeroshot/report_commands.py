"""`zeroshot report`: the page about one or several runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from tyro.conf import Positional, arg

from zeroshot.expert_commands import ZooPath
from zeroshot.progress import say

if TYPE_CHECKING:
    from zeroshot.report.films import SideBySide

MOST_FILMS = 12
"""Of a run, one a context: films of 300 kB at most add 5 MB to the page."""
MOST_METHODS = 4
"""Side by side, between the two experts: with more, panels are too small."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one self-contained HTML page about the results of `zeroshot run`.

    Attributes:
        runs: Folders that `zeroshot run` wrote.
        out: The page; by default report.html in the first folder.
        films: Held-out contexts of each run to film, expert and nearest expert side by side;
            needs off-screen rendering. 0 for none.
        film_context: Film these contexts instead, as feature=value words with commas between
            features: speed=2 speed=-4. Any of the family, on the suite's grid or between; none
            of them is learned from.
        film_method: Also fit these methods, once a run, and film them between the two:
            registered names or import paths.
        zoo: Folder of experts to use instead of the shipped ones.
    """

    runs: Positional[Annotated[tuple[Path, ...], arg(metavar="RUN ...")]]
    out: Path | None = None
    films: int = 0
    film_context: Annotated[
        tuple[str, ...], arg(metavar="FEATURE=VALUE ...", aliases=("--film-contexts",))
    ] = ()
    film_method: Annotated[
        tuple[str, ...], arg(metavar="METHOD ...", aliases=("--film-methods",))
    ] = ()
    zoo: ZooPath = None

    def __call__(self) -> int:
        """Reads, films and writes."""
        from experts.provenance import command
        from zeroshot.report import REPORT, write_report

        if not self.runs:
            raise ValueError("`runs` must name at least one folder, got none")
        self._check_films()
        console = Console()
        asked = self.films or self.film_context
        films = {path: self._films(path, console) for path in self.runs} if asked else {}
        out = self.out or self.runs[0] / REPORT
        write_report(self.runs, out, films=films, command=command())
        say(console, f"report: {out}")
        return 0

    def _check_films(self) -> None:
        """Refuses at once what would else surface after a minute of fitting."""
        from zeroshot.methods import make_method
        from zeroshot.report.films import chosen_contexts
        from zeroshot.report.runs import read_run

        if not 0 <= self.films <= MOST_FILMS:
            raise ValueError(f"`films` must be in [0, {MOST_FILMS}], got {self.films}")
        if self.film_context and self.films:
            raise ValueError(f"`film_context` stands instead of --films, got {self.films} of them")
        for name, most in (("film_context", MOST_FILMS), ("film_method", MOST_METHODS)):
            given = getattr(self, name)
            if len(given) > most:
                raise ValueError(f"`{name}` must be at most {most}, got {len(given)}")
        if len(set(self.film_method)) < len(self.film_method):
            raise ValueError(f"`film_method` must be distinct, got {' '.join(self.film_method)}")
        if self.film_method and not (self.films or self.film_context):
            raise ValueError("`film_method` needs --films of at least 1 or --film-context, got 0")
        for method in self.film_method:
            make_method(method)
        for path in self.runs:  # one without results is refused too
            if (suite := read_run(path).suite) is not None:
                chosen_contexts(suite, self.film_context)

    def _films(self, path: Path, console: Console) -> list[SideBySide] | str:
        """Films of a run, or one sentence on why there are none."""
        from experts import zoo_path
        from experts.collections import find_collection
        from zeroshot.report.films import chosen_contexts, make_films, spread_contexts
        from zeroshot.report.runs import read_run
        from zeroshot.run import experts_of

        run = read_run(path)
        if run.suite is None:
            return f"{run.name} is not a registered suite of this version."
        text = f"filming {run.name}"
        with console.status(text) as status:
            try:
                contexts = chosen_contexts(run.suite, self.film_context)
                return make_films(
                    run,
                    experts_of(run.suite, self.zoo),
                    contexts=contexts or spread_contexts(run, self.films),
                    methods=self.film_method,
                    collection=find_collection(self.zoo or zoo_path(run.suite.zoo)),
                    progress=lambda done: status.update(f"{text}: fit {done:.0%}"),
                )
            except (RuntimeError, ImportError, ValueError, OSError) as error:
                say(console, f"no films of {run.name}: {error}")
                return f"{error}"
