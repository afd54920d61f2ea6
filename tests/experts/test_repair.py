from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experts import gather, load_experts, repair, save_expert, transfer_matrix
from experts.training import evaluated
from tests.experts.factories import TINY, untrained

STILL = replace(TINY, learning_rate=1e-12, final_learning_rate=1e-12)


def test_transfer_matrix_has_own_returns_on_its_diagonal() -> None:
    found = [evaluated(untrained({"speed": s}, seed=i)) for i, s in enumerate((1.0, -2.0, 3.0))]
    experts = gather(found)
    matrix = transfer_matrix(experts, n_episodes=2, seed=0)
    assert matrix.shape == (3, 3)
    assert len(np.unique(matrix.round(6))) == 9
    again = transfer_matrix(experts, experts.policies.select([1]), n_episodes=2, seed=0)
    assert again.shape == (1, 3)


def test_a_beaten_expert_starts_again_from_the_better_one(tmp_path: Path) -> None:
    """With a learning rate of nothing, the successor is the donor; it stays if it is better."""
    found = [evaluated(untrained({"speed": 1.0}, seed=seed)) for seed in range(6)]
    found.sort(key=lambda expert: expert.record["evaluation"]["return_mean"])
    worst, best = found[0], found[-1]
    gap = best.record["evaluation"]["return_mean"] / worst.record["evaluation"]["return_mean"]
    assert gap > 1.02
    zoo, donors = tmp_path / "zoo", tmp_path / "donors"
    save_expert(worst, zoo)
    save_expert(best, donors)
    said = repair(zoo, recipe=STILL, donors=[donors], workers=1)
    assert [r.context["speed"] for r in said] == [1.0]
    assert said[0].after > said[0].before
    record = load_experts(zoo).records[0]
    assert record["warm_start"]["expert"] == "speed=1_torso=0.5"
    assert record["evaluation"]["return_mean"] == said[0].after
    assert not (zoo / ".repair").exists()
    assert repair(donors, recipe=STILL, donors=[zoo], workers=1, threshold=0.5) == []


def test_threshold_must_not_be_negative(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`threshold` must be at least 0, got -1"):
        repair(tmp_path, recipe=TINY, threshold=-1)
