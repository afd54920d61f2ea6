from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experts import load_expert, play, save_expert
from zeroshot.cli import main
from zeroshot.suites import Suite
from zeroshot.zoo_comparison import STARTS, ZooComparison, compare_zoos

SETTINGS = {"n_episodes": 2, "n_steps": 12}


@pytest.fixture
def chained(zoo: Path, tmp_path: Path) -> Path:
    """The zoo's experts but for two, each with its neighbour's policy and a warm start's record."""
    manifests = sorted(zoo.glob("*.json"))
    for own, other in zip(manifests[2:], manifests[1:], strict=False):
        expert = load_expert(own)
        record = {**expert.record, "seconds": 2.5, "steps": 100, "warm_start": {"expert": "x"}}
        policy = load_expert(other).policy
        save_expert(replace(expert, policy=policy, record=record), tmp_path / "chained")
    return tmp_path / "chained"


@pytest.fixture
def independent(zoo: Path, tmp_path: Path) -> Path:
    for manifest in zoo.glob("*.json"):
        expert = load_expert(manifest)
        record = {**expert.record, "seconds": 10.0, "steps": 300, "warm_start": None}
        save_expert(replace(expert, record=record), tmp_path / "independent")
    return tmp_path / "independent"


def test_a_comparison_is_of_the_contexts_that_both_have(
    suite: Suite, independent: Path, chained: Path
) -> None:
    found = compare_zoos(independent, chained, **SETTINGS)
    assert len(found.contexts) == 6 and set(found.contexts) < set(suite.contexts)
    assert found.seconds.tolist() == [60.0, 15.0] and found.speedup == 4.0
    assert found.steps.tolist() == [1800, 600] and found.warm_started.tolist() == [0, 6]
    for zoo, returns in zip((independent, chained), found.returns, strict=True):
        for context, mean in zip(found.contexts, returns, strict=True):
            expert = load_expert(zoo / f"speed={context['speed']:g}_torso=0.5.json")
            i = found.contexts.index(context)
            alone = play(
                expert.policy,
                suite.family,
                [context] * (i + 1),  # the starts of a context are those of its place
                reward="track",
                seed=STARTS,
                **SETTINGS,
            )
            assert alone.returns[i].mean() == pytest.approx(mean)
    assert not np.allclose(found.returns[0], found.returns[1])
    assert found.return_ratio == pytest.approx(found.returns[1].sum() / found.returns[0].sum())
    ratios = found.returns[1] / found.returns[0]
    assert found.smallest_ratio == pytest.approx(ratios.min())


def test_a_lower_negative_return_is_a_smaller_ratio() -> None:
    found = ZooComparison(
        contexts=(),
        returns=np.array([[-30.0, -10.0], [-45.0, -10.0]]),
        seconds=np.ones(2),
        steps=np.ones(2, np.int64),
        warm_started=np.zeros(2, np.int64),
    )
    assert found.return_ratio == pytest.approx(1 - 15 / 40) and found.smallest_ratio == 0.5


def test_a_zoo_equals_itself_and_other_starts_differ(independent: Path) -> None:
    same = compare_zoos(independent, independent, **SETTINGS)
    np.testing.assert_array_equal(same.returns[0], same.returns[1])
    assert same.return_ratio == 1.0 and same.speedup == 1.0
    other = compare_zoos(independent, independent, seed=1, **SETTINGS)
    assert not np.allclose(other.returns, same.returns)


def test_manifests_without_seconds_have_none(zoo: Path, chained: Path) -> None:
    found = compare_zoos(zoo, chained, **SETTINGS)
    assert np.isnan(found.seconds[0]) and np.isnan(found.speedup) and found.seconds[1] == 15.0


def test_the_command(
    capsys: pytest.CaptureFixture[str], independent: Path, chained: Path, tmp_path: Path
) -> None:
    words = ["experts", "compare", str(independent), str(chained), "--episodes", "1"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "6 contexts" in said and "1,800" in said and "60.0" in said
    assert "return of the second over the first: " in said
    assert "training of the first over the second: 4.00 in seconds" in said
    for expert in (load_expert(path) for path in independent.glob("*.json")):
        save_expert(
            replace(expert, record={**expert.record, "reward": "reach"}), tmp_path / "reach"
        )
    assert main([*words[:3], str(tmp_path / "reach")]) == 2
    complaint = capsys.readouterr().err
    assert "both zoos must have the same reward" in complaint and "'reach'" in complaint
    for path in sorted(independent.glob("speed=?_*")):
        path.unlink()
    for path in sorted(chained.glob("speed=-*")):
        path.unlink()
    assert main(words) == 2
    assert "must have contexts in common, they have none" in capsys.readouterr().err
    assert main([*words[:3], str(tmp_path / "absent")]) == 2
    assert "no experts in" in capsys.readouterr().err
