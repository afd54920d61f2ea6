"""What a run refuses, and in which words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zeroshot.bench import Bench
from zeroshot.cli import main
from zeroshot.run import experts_of, run
from zeroshot.suites import Suite, suite_of
from zeroshot.workers import WorkerFailed

SAID = 2000
"""Characters: a traceback of a few frames, and no array."""


class Diverged:
    """Policies that act by a number that is none, in the last context alone."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.told: list[str] = []

    def fit(self, data: Any, *, seed: int, progress: Any = None) -> "Diverged":
        return self

    def policies(self, contexts: Sequence[Any]) -> "Diverged":
        return self

    def act(self, observations: Any) -> Any:
        actions = np.zeros((*observations.shape[:2], 6), np.float32)
        actions[-1, 0, 3] = self.value
        return actions

    def reset(self) -> None:
        self.told.append("reset")

    def observe(self, *step: Any) -> None:
        self.told.append("step")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_actions_that_are_not_finite_are_told_in_short(
    suite: Suite, zoo: Path, tmp_path: Path, value: float
) -> None:
    with pytest.raises(WorkerFailed) as caught:
        run(suite, {"mine": Diverged(value)}, seeds=[0], out=tmp_path, zoo=zoo)
    said = str(caught.value)
    assert "Unit(method='mine', seed=0) failed" in said and len(said) < SAID
    ids = Bench(suite=suite, experts=experts_of(suite, zoo), transfer=np.zeros((8, 8)), methods={})
    last = dict(suite.contexts[ids.split(0).test[-1]])
    assert said.rstrip().endswith(
        f"ValueError: `act` of {__name__}.Diverged must return finite actions, those in the "
        f"context {last} are not"
    )


def test_policies_with_memory_are_told_of_every_step(
    suite: Suite, zoo: Path, tmp_path: Path
) -> None:
    mine = Diverged(0.5)
    run(suite, {"mine": mine}, seeds=[0], out=tmp_path, zoo=zoo)
    assert mine.told == ["reset", *["step"] * 12]


@pytest.mark.parametrize("name", ["ant-dir-macaw", "cheetah-vel-macaw"])
def test_a_suite_without_experts_says_how_to_get_some(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    for estimate in ([], ["--estimate"]):
        assert main(["run", name, "--out", out, *estimate]) == 2
        assert capsys.readouterr().err == (
            f"zeroshot: error: no experts of {name} are shipped: `zeroshot experts build {name} "
            "--out FOLDER` builds them, --zoo FOLDER uses them (docs/genhyper.md)\n"
        )
    with pytest.raises(FileNotFoundError, match=f"no experts of {name} are shipped"):
        experts_of(suite_of(name))


@pytest.mark.parametrize(
    ("methods", "text"),
    [
        ("hyperzero,hyperzero", "`methods` must be distinct, got ['hyperzero', 'hyperzero']"),
        ("hyperzero,nearest", "`methods` must not be named like references, got ['nearest']"),
        ("nope", "unknown method 'nope'"),
    ],
)
def test_an_estimate_refuses_the_methods_that_a_run_refuses(
    tiny: str,
    zoo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    methods: str,
    text: str,
) -> None:
    words = ["run", tiny, "--methods", methods, "--zoo", str(zoo), "--out", str(tmp_path / "out")]
    for estimate in ([], ["--estimate"]):
        assert main([*words, *estimate]) == 2
        said = capsys.readouterr().err
        assert text in said and said.count("\n") == 1
