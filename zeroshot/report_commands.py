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
"""Films of 300 kB at most, three runs of them, keep a page below 8 MB or so."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one self-contained HTML page about the results of `zeroshot run`.

    Attributes:
        runs: Folders that `zeroshot run` wrote.
        out: The page; by default report.html in the first folder.
        films: Held-out contexts of each run to film, expert and nearest expert side by side;
            needs off-screen rendering. 0 for none.
        film_method: Also fit this method, once a run, and film it between the two: a registered
            name or an import path.
        zoo: Folder of experts to use instead of the shipped ones.
    """

    runs: Positional[Annotated[tuple[Path, ...], arg(metavar="RUN ...")]]
    out: Path | None = None
    films: int = 0
    film_method: str | None = None
    zoo: ZooPath = None

    def __call__(self) -> int:
        """Reads, films and writes."""
        from experts.provenance import command
        from zeroshot.methods import make_method
        from zeroshot.report import REPORT, write_report
        from zeroshot.report.runs import read_run

        if not self.runs:
            raise ValueError("`runs` must name at least one folder, got none")
        if not 0 <= self.films <= MOST_FILMS:
            raise ValueError(f"`films` must be in [0, {MOST_FILMS}], got {self.films}")
        if self.film_method is not None:
            if self.films == 0:
                raise ValueError("`film_method` needs --films of at least 1, got 0")
            make_method(self.film_method)  # a wrong name must not surface after a minute
        for path in self.runs:
            read_run(path)  # nor a folder without results
        console = Console()
        films = {path: self._films(path, console) for path in self.runs} if self.films else {}
        out = self.out or self.runs[0] / REPORT
        write_report(self.runs, out, films=films, command=command())
        say(console, f"report: {out}")
        return 0

    def _films(self, path: Path, console: Console) -> list[SideBySide] | str:
        """Films of a run, or one sentence on why there are none."""
        from experts import zoo_path
        from experts.collections import find_collection
        from zeroshot.report.films import make_films
        from zeroshot.report.runs import read_run
        from zeroshot.run import experts_of

        run = read_run(path)
        if run.suite is None:
            return f"{run.name} is not a registered suite of this version."
        text = f"filming {run.name}"
        with console.status(text) as status:
            try:
                return make_films(
                    run,
                    experts_of(run.suite, self.zoo),
                    count=self.films,
                    method=self.film_method,
                    collection=find_collection(self.zoo or zoo_path(run.suite.zoo)),
                    progress=lambda done: status.update(f"{text}: fit {done:.0%}"),
                )
            except (RuntimeError, ImportError, ValueError, OSError) as error:
                say(console, f"no films of {run.name}: {error}")
                return f"{error}"
