"""`zeroshot experts build --batched` with a recipe of a second."""

import re
from pathlib import Path

import pytest

from experts import RECIPES, load_experts
from experts.collections_build import PLANS, CollectionPlan
from experts.offpolicy import load_checkpoints
from experts.recipes import RecipeFamily
from tests.experts.test_offpolicy_training import TD3
from zeroshot.cli import main
from zeroshot.suites import SUITES, Suite


@pytest.fixture
def words(suite: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The command for two contexts of the tiny suite."""
    monkeypatch.setitem(SUITES, "tiny", suite)
    monkeypatch.setitem(RECIPES, "tiny", RecipeFamily(base=TD3))
    monkeypatch.setattr("experts.batched_estimates.MEASURED_CYCLES", 5)
    said = ["experts", "build", "tiny", "--recipe", "tiny", "--batched", "--device", "cpu"]
    return [*said, "--only", "speed=2", "speed=-3", "--out", str(tmp_path / "zoo")]


def test_build_with_checkpoints(
    capsys: pytest.CaptureFixture[str], words: list[str], tmp_path: Path
) -> None:
    assert main([*words, "--checkpoint-every", "20", "--checkpoint-from", "8"]) == 0
    said = capsys.readouterr().out
    assert "0 of 2 experts" in said and "2 of 2 experts" in said
    assert f"experts of tiny: {tmp_path / 'zoo'}" in said
    experts = load_experts(tmp_path / "zoo")
    assert [context["speed"] for context in experts.contexts] == [-3.0, 2.0]
    assert [record["recipe"] for record in experts.records] == ["tiny-batched"] * 2
    # Seeds are by the order in which contexts were asked for.
    assert [record["seed"] for record in experts.records] == [1, 0]
    kept = load_checkpoints(tmp_path / "zoo" / "checkpoints" / "speed=2_torso=0.5.safetensors")
    assert kept.steps.tolist() == [8, 28, 48]

    assert main([*words, "--estimate"]) == 0
    assert capsys.readouterr().out == "experts: nothing to do, all are there\n"


def test_the_estimate_starts_nothing(
    capsys: pytest.CaptureFixture[str], words: list[str], tmp_path: Path
) -> None:
    more = words.index("--out")
    words[more:more] = ["speed=1"]
    assert main([*words, "--batch-size", "2", "--estimate"]) == 0
    said = capsys.readouterr().out
    for agents in ("2 agents", "1 agent"):
        assert re.search(rf"^{agents} at once on cpu, \d+ threads?: \d+ agent-updates", said, re.M)
    assert "experts: 3 to do in 2 batches, 144 environment steps" in said
    assert re.search(
        r"core-hours: 0\.\d\d\nwall time: 0:0\d:\d\d in one process, and some seconds an expert",
        said,
    )
    assert said.endswith("nothing was started\n")
    assert not (tmp_path / "zoo").exists()


def test_a_plan_says_which_policies_are_kept(
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planned = CollectionPlan(first_step=16, every=8, n_policies=3)
    monkeypatch.setitem(PLANS, "laptop", planned)
    words = [*words, "--plan", "laptop"]
    assert main([*words, "--estimate"]) == 0
    said = capsys.readouterr().out
    assert "experts: 2 to do in 1 batch, 64 environment steps" in said and "nothing was" in said
    assert not (tmp_path / "zoo").exists()
    assert main(words) == 0
    assert "3 policies each beside them" in capsys.readouterr().out
    found = [
        load_checkpoints(tmp_path / "zoo" / "checkpoints" / f"speed={speed}_torso=0.5.safetensors")
        for speed in (2, -3)
    ]
    assert [kept.steps.tolist() for kept in found] == [[16, 24, 32]] * 2
    assert len(load_experts(tmp_path / "zoo")) == 2


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--checkpoint-every", "9"], "`checkpoint_every` must not come with --plan and --batched"),
        (["--batch-size", "2"], "`batch_size` must not come with --plan and --batched"),
    ],
)
def test_what_a_plan_leaves_no_choice_of_is_refused(
    more: list[str], text: str, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main([*words, "--plan", "paper", *more]) == 2
    assert text in capsys.readouterr().err


def test_a_plan_needs_a_batch(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["experts", "build", "cheetah-vel", "--plan", "paper", "--out", str(tmp_path / "zoo")]
    assert main(words) == 2
    assert "`plan` must come with --batched" in capsys.readouterr().err
