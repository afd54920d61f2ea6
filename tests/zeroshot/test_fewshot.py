import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines import MAML, PEARL, MAMLConfig, PEARLConfig
from experts import Experts, MLPPolicies, Rollouts, play
from experts.cloning import clone
from experts.evaluation import Played, episode_seeds
from zeroshot.fewshot import (
    FromScratch,
    Sealed,
    adapt,
    checked_shots,
    demonstrate,
    first_episodes,
    interact,
    nearby,
)
from zeroshot.results import ROWS, read_rows
from zeroshot.run import experts_of, run
from zeroshot.suites import SUITES, Suite


@pytest.fixture(scope="module")
def experts(suite: Suite, zoo: Path) -> Experts:
    return experts_of(suite, zoo)


@pytest.fixture(scope="module")
def demonstrations(suite: Suite, experts: Experts) -> Rollouts:
    return demonstrate(
        experts.select([2, 5]), features=suite.features, n_episodes=3, seed=4, n_steps=12
    )


def test_demonstrations_are_the_experts_noise_free_episodes(
    suite: Suite, experts: Experts, demonstrations: Rollouts
) -> None:
    assert demonstrations.contexts == (suite.contexts[2], suite.contexts[5])
    assert demonstrations.experts is None
    np.testing.assert_array_equal(demonstrations.actions, demonstrations.labels)
    found = play(
        experts.policies.select([2, 5]),
        suite.family,
        demonstrations.contexts,
        reward="track",
        n_episodes=3,
        seed=2_000_004,
        n_steps=12,
    )
    np.testing.assert_allclose(demonstrations.rewards.sum(axis=2), found.returns, rtol=1e-5)


def test_fewer_demonstrations_are_the_first_ones_and_no_more(demonstrations: Rollouts) -> None:
    first = first_episodes(demonstrations, 2)
    np.testing.assert_array_equal(first.observations, demonstrations.observations[:, :2])
    assert first.noise.shape == (2,) and first.seeds is not None and first.seeds.shape == (2, 2)
    for field in fields(first):
        array = getattr(first, field.name)
        if isinstance(array, np.ndarray):
            assert array.base is None or array.base.size == array.size
    with pytest.raises(ValueError, match=r"`n` must be in \[1, 3\], got 4"):
        first_episodes(demonstrations, 4)


class _Networks:
    def __init__(self, policies: MLPPolicies) -> None:
        self._policies = policies

    def policies(self, contexts: Sequence[Any]) -> MLPPolicies:
        return self._policies.select([0] * len(contexts))


class _Own(_Networks):
    def adapt(self, demonstrations: Rollouts, *, seed: int) -> Any:
        return ("adapted", len(demonstrations), seed)


class _NoNetworks:
    def policies(self, contexts: Sequence[Any]) -> Any:
        return object()


def test_methods_adapt_in_their_own_way_or_are_cloned_or_cannot(
    experts: Experts, demonstrations: Rollouts
) -> None:
    networks = _Networks(experts.policies)
    adapted = adapt(networks, demonstrations, seed=3)
    expected = clone(networks.policies(demonstrations.contexts), demonstrations, seed=3)
    assert isinstance(adapted, MLPPolicies)
    for ours, theirs in zip(adapted.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert adapt(_Own(experts.policies), demonstrations, seed=3) == ("adapted", 2, 3)
    assert adapt(_NoNetworks(), demonstrations, seed=3) is None


def test_from_scratch_starts_random_and_learns(experts: Experts, demonstrations: Rollouts) -> None:
    scratch = FromScratch(experts.policies, seed=0)
    start = scratch.policies(demonstrations.contexts)
    assert [w.shape[1:] for w in start.weights] == [w.shape[1:] for w in experts.policies.weights]
    assert not np.array_equal(start.weights[0][0], start.weights[0][1])
    adapted = scratch.adapt(demonstrations, seed=1)
    assert adapted.mean is not None and adapted.scale is not None
    seen = demonstrations.observations[1][demonstrations.mask[1]]
    np.testing.assert_allclose(adapted.mean[1], seen.mean(axis=0), rtol=1e-5, atol=1e-6)
    assert adapted.scale.min() >= 0.0099

    def error(policies: MLPPolicies) -> float:
        flat = demonstrations.observations.reshape(2, -1, start.observation_size)
        labels = demonstrations.labels.reshape(2, -1, start.action_size)
        return float(np.square(policies.act(flat) - labels).mean())

    untaught = replace(start, mean=adapted.mean, scale=adapted.scale)
    assert error(adapted) < error(untaught)


def test_candidates_are_near_the_given_context_and_within_the_trained_range() -> None:
    suite = SUITES["cheetah-speed-torso"]
    features = suite.family.selected(suite.features)
    training = [c for c in suite.contexts if -4.0 <= c["speed"] and c["torso"] <= 0.6]
    given = suite.family.context(speed=-2.5, torso=0.5)
    found = nearby(given, training, features, 6)
    assert found[0] == given and found[:3] == nearby(given, training, features, 3)
    assert len({tuple(c.values()) for c in found}) == 6
    for candidate in found:
        assert abs(candidate["speed"] + 2.5) <= 0.1 * 3.0 + 1e-9
        assert abs(candidate["torso"] - 0.5) <= 0.1 * 0.3 + 1e-9
    far = suite.family.context(speed=-5.0, torso=0.7)
    for candidate in nearby(far, training, features, 6)[1:]:
        assert -4.0 <= candidate["speed"] <= -3.7 + 1e-9
        assert 0.57 - 1e-9 <= candidate["torso"] <= 0.6


def test_a_direction_that_was_not_trained_keeps_its_sign() -> None:
    suite = SUITES["cheetah-speed"]
    forward = [c for c in suite.contexts if c["speed"] > 0]
    for candidate in nearby(suite.contexts[0], forward, suite.family.selected(suite.features), 5):
        assert candidate["speed"] <= -9.0


def test_directions_have_no_seam_at_0() -> None:
    suite = SUITES["ant-dir"]
    features = suite.family.selected(suite.features)
    given = suite.family.context(direction=0.1)
    found = [c["direction"] for c in nearby(given, suite.contexts[:10], features, 40)]
    around = [(direction - 0.1 + np.pi) % (2 * np.pi) - np.pi for direction in found]
    reach = 0.1 * 2 * np.pi
    assert max(map(abs, around)) <= reach + 1e-9
    assert min(around) < -0.8 * reach and max(around) > 0.8 * reach
    assert all(0.0 <= direction < 2 * np.pi for direction in found)


class _Told:
    """Made for contexts; `play` sees which."""

    def __init__(self, contexts: Sequence[Mapping[str, float]]) -> None:
        self.speeds = [context["speed"] for context in contexts]

    def act(self, observations: Any) -> Any:
        raise AssertionError("nobody asks for actions")


class _MakesTold:
    def policies(self, contexts: Sequence[Mapping[str, float]]) -> _Told:
        return _Told(contexts)


def test_the_search_keeps_the_best_of_the_first_k(suite: Suite) -> None:
    returns = np.array([[1.0, 0.5, 2.0, 3.0], [1.0, 1.0, 0.0, 1.0]])
    calls = []

    def playing(policies: Any, contexts: Any, starts: Any) -> Played:
        calls.append((policies.speeds, [c["speed"] for c in contexts], list(starts)))
        flat = returns.reshape(-1, 1)
        return Played(returns=flat, lengths=np.ones_like(flat, dtype=np.int64), outcomes={})

    test = [suite.contexts[1], suite.contexts[5]]  # speeds -2 and 3
    features = suite.family.selected(suite.features)
    found = interact(
        _MakesTold(),
        test,
        suite.contexts,
        features=features,
        shots=(1, 3, 4),
        seed=2,
        play=playing,
    )
    chosen = {k: policies.speeds for k, policies in found}  # type: ignore[attr-defined]
    near = [[c["speed"] for c in nearby(c, suite.contexts, features, 4)] for c in test]
    assert chosen == {1: [-2.0, 3.0], 3: [near[0][2], 3.0], 4: [near[0][3], 3.0]}
    ((made, played, starts),) = calls
    assert made == near[0] + near[1] and played == [-2.0] * 4 + [3.0] * 4
    assert starts == episode_seeds(3_000_002, 2, 4)


class _Remembers:
    """Policies with memory: counts whole episodes, and knows whether it was asked to."""

    def __init__(self, keep: bool) -> None:
        self.keep, self.whole, self.resets = keep, 0, 0

    def act(self, observations: Any) -> Any:
        return np.zeros((*observations.shape[:2], 6), np.float32)

    def reset(self) -> None:
        self.resets += 1

    def observe(self, observations: Any, actions: Any, rewards: Any, new: Any, dones: Any) -> None:
        self.whole += int(dones.sum())


class _MakesRemembering:
    def policies(self, contexts: Sequence[Any], *, keep_episodes: bool = False) -> _Remembers:
        return _Remembers(keep_episodes)


def test_policies_with_memory_play_their_own_episodes(suite: Suite) -> None:
    def playing(policies: Any, contexts: Any, starts: Any) -> Played:
        return play(
            policies,
            suite.family,
            contexts,
            reward="track",
            n_episodes=1,
            seed=0,
            starts=starts,
            n_steps=4,
        )

    test = list(suite.contexts[:2])
    arguments: dict[str, Any] = {"features": [], "shots": (1, 3), "seed": 0, "play": playing}
    episodes = {}
    for k, policies in interact(_MakesRemembering(), test, suite.contexts, **arguments):
        assert isinstance(policies, Sealed)
        inner = policies._policies
        assert inner.keep
        playing(policies, test, [0, 1])  # a test, of which nothing may stay
        episodes[k] = inner.whole
    assert episodes == {1: 2, 3: 6}, "two contexts, and the test episodes did not count"


@pytest.mark.parametrize("shots", [(1, 1), (-1, 2)])
def test_shots_that_make_no_sense(shots: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="`shots` must be distinct numbers of at least 0, got"):
        checked_shots(shots)


def test_few_shot_rows_come_on_top(
    suite: Suite, zoo: Path, user_module: str, tmp_path: Path
) -> None:
    mean = f"{user_module}:Mean"
    methods = [mean, "interpolation", "interpolation-actions"]
    summary = run(suite, methods, seeds=2, out=tmp_path / "few", zoo=zoo, shots=(1, 2))
    plain = run(suite, methods, seeds=2, out=tmp_path / "plain", zoo=zoo)
    rows = read_rows(tmp_path / "few" / ROWS)
    assert all(row["split_rule"] == "random:0.7" for row in rows)
    assert all((row["protocol"] == "zero-shot") == (row["shots"] == 0) for row in rows)
    assert {row["split"] for row in rows} == {"test"}
    for name, found in plain["methods"].items():
        again = summary["methods"][name]
        assert {k: v for k, v in again.items() if k != "fit_seconds"} == {
            k: v for k, v in found.items() if k != "fit_seconds"
        }
    assert set(summary["methods"]) == {*plain["methods"], "from-scratch"}
    counts = Counter((row["method"], row["protocol"], row["shots"]) for row in rows if row["shots"])
    expected = {(m, "demonstrations") for m in ("nearest", "from-scratch", "interpolation")}
    expected |= {(m, "interaction") for m in ("nearest", *methods)}
    assert counts == {(m, p, k): 2 * 2 * 3 for m, p in expected for k in (1, 2)}
    curves = summary["few_shot"]
    assert [point["shots"] for point in curves["demonstrations"]["interpolation"]] == [0, 1, 2]
    assert [point["shots"] for point in curves["demonstrations"][mean]] == [0]
    assert [point["shots"] for point in curves["interaction"]["nearest"]] == [0, 1, 2]
    assert plain["few_shot"] == {}


def test_methods_with_ways_of_their_own_run(suite: Suite, zoo: Path, tmp_path: Path) -> None:
    small: dict[str, Any] = {"embedding_sizes": (8,), "n_blocks": 1, "hidden_size": 8, "updates": 2}
    pearl = PEARLConfig(**small, batch_states=4, batch_encoded=4, latent_size=4)
    maml = MAMLConfig(**small, batch_states=4, batch_queries=4)
    methods = {"pearl": PEARL(pearl), "maml": MAML(maml)}
    run(suite, methods, seeds=1, out=tmp_path, zoo=zoo, shots=[2])
    found: dict[tuple[str, str], list[float]] = {}
    for row in read_rows(tmp_path / ROWS):
        found.setdefault((row["method"], row["protocol"]), []).append(row["return"])
    for name in methods:
        returns = [found[name, p] for p in ("zero-shot", "demonstrations", "interaction")]
        assert [len(r) for r in returns] == [6, 6, 6]
        assert returns[0] != returns[1]
    assert found["pearl", "interaction"] != found["pearl", "zero-shot"], "it remembers its own"


def test_one_episode_of_search_changes_nothing(suite: Suite, zoo: Path, tmp_path: Path) -> None:
    run(suite, ["interpolation"], seeds=1, out=tmp_path, zoo=zoo, shots=[1])
    rows = [row for row in read_rows(tmp_path / ROWS) if row["method"] == "interpolation"]
    by_protocol = {
        protocol: [row["return"] for row in rows if row["protocol"] == protocol]
        for protocol in ("zero-shot", "interaction", "demonstrations")
    }
    assert by_protocol["interaction"] == by_protocol["zero-shot"]
    assert by_protocol["demonstrations"] != by_protocol["zero-shot"]


def test_resume_repairs_a_torn_few_shot_unit(suite: Suite, zoo: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"seeds": 1, "out": tmp_path, "zoo": zoo, "shots": (1,)}
    run(suite, ["interpolation"], **settings)
    whole = (tmp_path / ROWS).read_bytes()
    lines = whole.splitlines(keepends=True)
    (tmp_path / ROWS).write_bytes(b"".join(lines[:-1]))
    run(suite, ["interpolation"], **settings, resume=True)

    def plain(payload: bytes) -> list[dict[str, Any]]:
        rows = [json.loads(line) for line in payload.splitlines()]
        return [{k: v for k, v in row.items() if k != "fit_seconds"} for row in rows]

    assert plain((tmp_path / ROWS).read_bytes()) == plain(whole)
    settings["shots"] = (1, 2)
    with pytest.raises(ValueError, match=r"made with another `shots` \(\[1\], now \[1, 2\]\)"):
        run(suite, ["interpolation"], **settings, resume=True)
