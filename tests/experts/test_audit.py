from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts import Expert, MLPPolicies, MLPs, audit, gather, load_experts, save_expert
from experts.audit import Audit
from experts.evaluation import play
from experts.transfer import play_everywhere, play_pairs
from param_envs import family_of
from tests.experts.factories import ENV_ID, untrained

SPEEDS = (-2.0, -1.0, 1.0, 2.0)
N_STEPS = 15


def expert(speed: float, *, seed: int, velocity: float = 0.0) -> Expert:
    evaluation = {"return_mean": 1.0, "velocity_mean": velocity}
    return untrained({"speed": speed}, seed=seed, evaluation=evaluation)


def zoo_of(experts: list[Expert], directory: Path) -> Path:
    for one in experts:
        save_expert(one, directory)
    return directory


def by_hand(returns: Any, **changes: Any) -> Audit:
    family = family_of(ENV_ID)
    matrix = np.array(returns, dtype=np.float64)
    n = len(matrix)
    values: dict[str, Any] = {
        "family": family,
        "reward": "track",
        "contexts": tuple(family.context(speed=speed) for speed in SPEEDS[:n]),
        "returns": matrix,
        "own": np.diagonal(matrix).copy(),
        "regret": np.zeros(n),
        "regret_error": np.zeros(n),
        "rivals": (Path("zoo/a.json"),) * n,
        "velocities": None,
        "limits": None,
        "threshold": 0.02,
        "finding_episodes": 1,
        "confirming_episodes": 2,
        "deciding_episodes": 0,
        "decided": np.zeros(n, dtype=np.bool_),
        "seed": 0,
    }
    return Audit(**{**values, **changes})


def test_relevance_by_hand() -> None:
    found = by_hand([[10, 6, 0, 0], [8, 10, 2, 0], [0, 1, 10, 5], [0, 0, 8, 10]])
    assert found.best_single == 1
    assert found.context_relevance == pytest.approx(1 - 20 / 40)
    # backwards the second expert (8 + 10), forwards the fourth (8 + 10)
    assert found.direction_relevance == pytest.approx(1 - 36 / 40)
    # nearest other contexts: -1 of -2, -2 of -1, 2 of 1, 1 of 2
    assert found.neighbour_relevance == pytest.approx(1 - (8 + 6 + 8 + 5) / 40)


def test_nothing_is_relevant_to_a_policy_that_does_everything() -> None:
    assert by_hand([[10, 8], [10, 8]]).context_relevance == pytest.approx(0.0)
    assert by_hand([[10, 8], [10, 8]]).direction_relevance is None, "both go backwards"
    assert np.isnan(by_hand([[0, 0], [0, 0]]).context_relevance)


def test_relevance_of_negative_returns() -> None:
    """The best single expert, the first, loses 5 and 15 instead of 5 and 10."""
    found = by_hand([[-5, -15], [-30, -10]])
    assert found.context_relevance == pytest.approx((20 - 15) / 15)


def test_who_is_beaten_is_relative_to_the_own_return() -> None:
    own, regret = np.array([100.0, 100.0, 50.0]), np.array([2.0, 2.1, 1.1])
    found = by_hand(np.eye(3), own=own, regret=regret)
    np.testing.assert_allclose(found.relative_regret, [0.02, 0.021, 0.022])
    assert found.beaten.tolist() == [False, True, True]


def test_speed_errors_count_where_any_policy_reached_the_speed() -> None:
    velocities, limits = np.array([-1.9, -1.0, 0.5, 1.0]), np.array([1.8, 1.0, 0.8, 3.0])
    found = by_hand(np.eye(4), velocities=velocities, limits=limits)
    assert found.speed_errors is not None and found.reachable is not None
    np.testing.assert_allclose(found.speed_errors, [0.05, 0.0, 0.5, 0.5])
    assert found.reachable.tolist() == [True, True, False, True]
    reach = by_hand(np.eye(4), velocities=velocities, limits=limits, reward="reach")
    assert reach.speed_errors is None


def test_policies_of_one_context_share_their_starts() -> None:
    experts = gather([expert(speed, seed=3) for speed in SPEEDS])
    found = play_everywhere(experts, experts.policies, n_episodes=2, seed=5, n_steps=N_STEPS)
    assert (found.returns == found.returns[:1]).all(), "the same policy in every row"
    assert len(np.unique(found.returns[0])) == 4, "but not in every context"
    velocities = found.outcomes["velocity"]
    assert (velocities == velocities[:1]).all()
    columns = np.array([2, 0, 2])
    pairs = play_pairs(
        experts,
        experts.policies.select([0, 1, 3]),
        columns,
        n_episodes=2,
        seed=5,
        n_steps=N_STEPS,
    )
    np.testing.assert_allclose(pairs.mean(axis=1), found.returns[0, columns], rtol=1e-5)


def test_starts_are_one_an_episode() -> None:
    policy = expert(1.0, seed=0)
    with pytest.raises(ValueError, match="must hold 2 seeds, got 3"):
        play(
            policy.policy,
            policy.family,
            [policy.context],
            reward="track",
            n_episodes=2,
            seed=0,
            starts=[1, 2, 3],
        )


def test_chunks_do_not_change_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    experts = gather([expert(speed, seed=i) for i, speed in enumerate(SPEEDS)])
    fractions: list[float] = []

    def matrix() -> Any:
        return play_everywhere(
            experts,
            experts.policies,
            n_episodes=2,
            seed=0,
            n_steps=N_STEPS,
            on_progress=fractions.append,
        ).returns

    whole = matrix()
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    monkeypatch.setattr("experts.transfer.SLOTS", 9)
    np.testing.assert_allclose(matrix(), whole, rtol=1e-6)
    assert fractions[-1] == 1.0


@pytest.mark.parametrize(
    ("deciding", "doubt", "n_episodes", "seed"),
    [(0, 1e9, 6, 1), (9, 1e9, 9, 2), (9, 0.0, 6, 1)],
    ids=["none to decide", "in doubt", "beyond doubt"],
)
def test_a_better_rival_is_found_and_confirmed_on_fresh_starts(
    deciding: int,
    doubt: float,
    n_episodes: int,
    seed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The regret is what `play` says of the two policies on the last starts."""
    monkeypatch.setitem(audit.__globals__, "DOUBT", doubt)  # the module is hidden by its function
    candidates = [expert(1.0, seed=start) for start in range(5)]
    family = candidates[0].family
    returns = play(
        MLPPolicies.stack([one.policy for one in candidates]),
        family,
        [candidates[0].context] * 5,
        reward="track",
        n_episodes=8,
        seed=0,
        n_steps=N_STEPS,
    ).returns.mean(axis=1)
    order = np.argsort(returns)
    worst = int(order[0])  # the zoo's two experts do the same, and the donor does better
    zoo = zoo_of([expert(1.0, seed=worst), expert(3.0, seed=worst)], tmp_path / "zoo")
    donor = zoo_of([candidates[order[-1]]], tmp_path / "donor")
    fractions: list[float] = []
    episodes = {"confirming_episodes": 6, "deciding_episodes": deciding}
    found = audit(zoo, donors=[donor], n_steps=N_STEPS, **episodes, on_progress=fractions.append)
    assert found.decided[0] == (n_episodes == deciding)
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1.0)
    # 3 policies in 2 contexts by 2 episodes, then 3 policies a context by 6.
    assert fractions[N_STEPS - 1] == pytest.approx(12 / (12 + 36))
    assert found.returns.shape == (2, 2), "donors are rivals, not rows"
    assert found.rivals[0] == donor / "speed=1_torso=0.5.json"
    assert found.beaten[0] and found.regret[0] > 0.0
    again = play_pairs(
        load_experts(zoo),
        MLPPolicies.stack([candidates[order[0]].policy, candidates[order[-1]].policy]),
        np.array([0, 0]),
        n_episodes=n_episodes,
        seed=seed,
        n_steps=N_STEPS,
    )
    assert found.own[0] == pytest.approx(again[0].mean())
    assert found.regret[0] == pytest.approx((again[1] - again[0]).mean())
    error = (again[1] - again[0]).std(ddof=1) / np.sqrt(n_episodes)
    assert found.regret_error[0] == pytest.approx(error)
    other = audit(zoo, donors=[donor], n_steps=N_STEPS, **episodes, seed=1)
    assert other.own[0] != found.own[0], "another seed, other starts"


def test_experts_that_do_the_same_have_no_regret(tmp_path: Path) -> None:
    zoo = zoo_of([expert(speed, seed=3, velocity=0.9 * speed) for speed in SPEEDS], tmp_path)
    found = audit(zoo, n_steps=N_STEPS, confirming_episodes=2)
    assert (found.regret == 0.0).all() and not found.beaten.any() and not found.decided.any()
    assert found.context_relevance == pytest.approx(0.0)
    assert found.velocities is not None and found.speed_errors is not None
    np.testing.assert_allclose(found.speed_errors, 0.1)
    experts = load_experts(zoo)
    played = play_everywhere(experts, experts.policies, n_episodes=2, seed=0, n_steps=N_STEPS)
    expected = played.outcomes["velocity"][0] * np.sign(SPEEDS)
    np.testing.assert_allclose(found.limits, expected)


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    zoo = zoo_of([expert(1.0, seed=0), expert(2.0, seed=1)], tmp_path / "zoo")
    with pytest.raises(ValueError, match="`threshold` must be at least 0, got -1"):
        audit(zoo, threshold=-1.0)
    with pytest.raises(ValueError, match="`finding_episodes` must be at least 1, got 0"):
        audit(zoo, finding_episodes=0)
    with pytest.raises(ValueError, match="`confirming_episodes` must be at least 2, got 1"):
        audit(zoo, confirming_episodes=1)
    with pytest.raises(ValueError, match="`deciding_episodes` must be 0 or at least 2, got 1"):
        audit(zoo, deciding_episodes=1)
    with pytest.raises(FileNotFoundError, match="no experts in"):
        audit(tmp_path / "absent")
    alone = zoo_of([expert(1.0, seed=0)], tmp_path / "alone")
    with pytest.raises(ValueError, match="alone: an audit compares at least 2 policies"):
        audit(alone)
    other = expert(1.0, seed=0)
    relu = replace(other, policy=replace(other.policy, activation="relu"))
    donors = zoo_of([relu], tmp_path / "donors")
    with pytest.raises(ValueError, match="donors: the donors' networks must be as the zoo's"):
        audit(zoo, donors=[donors])
    ant = family_of("ParamAnt-v0")
    sizes = (ant.observation_size, ant.action_size)
    record = {**other.record, "env_id": ant.env_id, "context": dict(ant.context())}
    foreign = Expert(
        policy=MLPPolicies((np.zeros((1, *sizes)),), (np.zeros((1, sizes[1])),)),
        critic=MLPs((np.zeros((1, sizes[0], 1)),), (np.zeros((1, 1)),)),
        extras={},
        record={**record, "reward": ant.reward_modes[0]},
    )
    ants = zoo_of([foreign], tmp_path / "ants")
    with pytest.raises(ValueError, match="ants: the donors' family must be 'ParamCheetah-v0'"):
        audit(zoo, donors=[ants])
