"""A plan on other experts than the shipped ones."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from experts.finetune_config import FineTuneConfig
from zeroshot.cli import main
from zeroshot.finetune import Comparison
from zeroshot.reproduce import PLANS
from zeroshot.reproduce.execution import outcomes
from zeroshot.reproduce.plan import (
    Part,
    Plan,
    PlannedFilm,
    PlannedFineTuning,
    PlannedRun,
    Preset,
    Work,
)
from zeroshot.results import read_rows
from zeroshot.suites import SUITES, Suite

TUNED = FineTuneConfig(
    collect_steps=20, critic_updates=2, batch_size=8, hidden=(8,), critic_hidden=(8,)
)


@pytest.fixture
def works(
    suite: Suite, user_module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Work, ...]:
    """A run, one without experts, a fine-tuning and a film; nothing is shipped."""
    monkeypatch.setattr("experts.store.ZOO", tmp_path / "nothing")
    for name in ("tiny", "lacking"):
        monkeypatch.setitem(SUITES, name, suite)
    monkeypatch.setattr("zeroshot.reproduce.tuning.Comparison", partial(Comparison, n_episodes=2))
    monkeypatch.setattr(FineTuneConfig, "named", lambda preset, **_: TUNED)
    method = f"{user_module}:Mean"
    preset = Preset(
        doc="Less.",
        runs=tuple(
            PlannedRun(part="main", suite=name, methods=(method,), seeds=1)
            for name in ("tiny", "lacking")
        ),
        fine_tunings=(
            PlannedFineTuning(
                part="main", suite="tiny", starts=("nearest",), n_steps=24, seeds=1, every=24
            ),
        ),
        films=(PlannedFilm(suite="tiny", context=("speed=1.5",), method=method),),
    )
    plan = Plan(
        name="tiny",
        title="A paper",
        parts=(Part(name="main", title="All", note=""),),
        figures=(),
        presets={"laptop": preset},
        sources="somebody.",
    )
    monkeypatch.setitem(PLANS, "tiny", plan)
    return preset.works


def test_everything_of_a_plan_is_done_on_the_experts_that_are_named(
    capsys: pytest.CaptureFixture[str],
    works: tuple[Work, ...],
    zoo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filmed = []
    monkeypatch.setattr("zeroshot.film.film", lambda *args, **_: filmed.append(args[3]))
    mine, out = tmp_path / "mine", tmp_path / "out"
    shutil.copytree(zoo, mine / "tiny")
    words = ["reproduce", "tiny", "--out", str(out), "--workers", "1"]
    assert main([*words, "--zoo", str(mine)]) == 0
    assert f"lacking (no experts in {mine / 'lacking'})" in capsys.readouterr().out.replace(
        "\n", " "
    )
    assert read_rows(out / "runs" / "main" / "tiny" / "results.jsonl")
    record = json.loads((out / "results" / "main" / "tiny.json").read_text())
    assert f"--zoo {mine / 'tiny'} " in record["run_command"]
    assert filmed == [out / "films" / "tiny_speed=1.5_mypkg.mymodule.Mean.mp4"]
    done = PLANS["tiny"].presets["laptop"]
    there = outcomes(done.chosen(zoos=mine), out)
    assert [one.state for one in there[:3]] == ["finished", "skipped", "finished"]
    assert [one.reason for one in outcomes(done, tmp_path / "other")] == [
        "no experts are shipped"
    ] * 4
    assert main([*words, "--zoo", str(mine), "--estimate"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_folder_without_any_of_the_experts_is_an_error(
    capsys: pytest.CaptureFixture[str], works: tuple[Work, ...], tmp_path: Path
) -> None:
    words = ["reproduce", "tiny", "--out", str(tmp_path / "out"), "--estimate"]
    assert main([*words, "--zoo", str(tmp_path / "nowhere")]) == 2
    said = capsys.readouterr().err
    assert f"`zoo` must have experts of a suite that is asked for, {tmp_path / 'nowhere'}:" in said
    assert f"tiny: no experts in {tmp_path / 'nowhere' / 'tiny'}" in said
    assert not (tmp_path / "out").exists()


def test_where_no_suite_has_experts_nothing_is_written(
    capsys: pytest.CaptureFixture[str], works: tuple[Work, ...], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["reproduce", "tiny", "--out", str(out), "--workers", "1"]
    for more, lacking in (([], ("tiny", "lacking")), (["--suites", "lacking"], ("lacking",))):
        assert main([*words, *more]) == 2
        said = capsys.readouterr().err
        missing = "; ".join(f"{suite}: no experts are shipped" for suite in lacking)
        assert said == (
            "zeroshot: error: `suites` must have one that has its experts, or --zoo name a folder "
            f"of them: {missing}\n"
        )
        assert not out.exists()


def test_commands_name_the_experts(works: tuple[Work, ...]) -> None:
    preset = PLANS["tiny"].presets["laptop"]
    for work, plain in zip(preset.chosen(zoos=Path("own")).works, works, strict=True):
        assert f" --zoo own/{work.suite} " in work.command(Path("out"))
        assert "--zoo" not in plain.command(Path("out"))
        assert work.name == plain.name
