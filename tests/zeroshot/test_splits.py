from typing import Any

import numpy as np
import pytest

from param_envs import family_of
from zeroshot.splits import (
    Split,
    SplitRule,
    draw,
    extrapolation_split,
    gap_split,
    quadrant_split,
    random_split,
    rule_of,
    rules_for,
    tasks_split,
)
from zeroshot.suites import SUITES, Suite


@pytest.mark.parametrize("name", SUITES)
@pytest.mark.parametrize("seed", range(20))
def test_no_context_leaks_and_none_is_lost(name: str, seed: int) -> None:
    suite = SUITES[name]
    split = random_split(suite, seed=seed)
    assert not set(split.train) & set(split.test)
    assert sorted(split.train + split.test) == list(range(len(suite.contexts)))
    assert len(split.test) == suite.n_test == int(0.15 * len(suite.contexts))


def test_a_seed_decides_the_split_and_seeds_differ() -> None:
    suite = SUITES["cheetah-speed"]
    assert random_split(suite, seed=3) == random_split(suite, seed=3)
    assert len({random_split(suite, seed=seed).test for seed in range(20)}) == 20


def test_splits_stay_what_published_results_used() -> None:
    assert random_split(SUITES["cheetah-speed"], seed=0).test == FIRST_SPLIT


def test_a_leaking_or_empty_split_is_refused() -> None:
    with pytest.raises(ValueError, match=r"may not share contexts, both parts have \[1\]"):
        Split(train=(0, 1), test=(1, 2))
    tiny = Suite(name="t", env_id="ParamCheetah-v0", reward="track", grid={"speed": (1.0, 2.0)})
    with pytest.raises(ValueError, match="needs training and test contexts, got 2 and 0"):
        random_split(tiny, seed=0)


def held_out(suite: Suite, split: Split, *names: str) -> list[Any]:
    values = [tuple(suite.contexts[i][name] for name in names) for i in split.test]
    return sorted({value[0] if len(names) == 1 else value for value in values})


@pytest.mark.parametrize(
    ("fraction", "n_train"), [(0.05, 2), (0.1, 4), (0.2, 8), (0.3, 12), (0.5, 20), (0.85, 34)]
)
def test_training_fractions_of_40_contexts(fraction: float, n_train: int) -> None:
    suite = SUITES["cheetah-speed"]
    split = random_split(suite, seed=1, train_fraction=fraction)
    assert len(split.train) == n_train and len(split.test) == 40 - n_train
    more = random_split(suite, seed=1, train_fraction=0.9)
    assert set(more.test) <= set(split.test), "splits of one seed are nested"


def test_two_training_contexts_are_left_however_small_the_fraction() -> None:
    assert len(random_split(tiny(1.0, 2.0, 3.0), seed=0, train_fraction=0.01).train) == 2


def test_the_default_fraction_is_the_suite_s_own() -> None:
    suite = SUITES["finger-speed"]
    for seed in range(5):
        found = draw(suite, rule_of("random", suite), seed=seed)
        assert found == random_split(suite, seed=seed)
        assert found == random_split(suite, seed=seed, train_fraction=0.85)


def test_a_gap_is_in_the_middle_of_either_direction() -> None:
    suite = SUITES["cheetah-speed"]
    assert held_out(suite, gap_split(suite), "speed") == [
        *(-6.0, -5.5, -5.0, -4.5),
        *(4.5, 5.0, 5.5, 6.0),
    ]


def test_a_gap_in_two_features_is_a_cross() -> None:
    suite = SUITES["cheetah-speed-torso"]
    split = gap_split(suite)
    for i, context in enumerate(suite.contexts):
        inside = abs(context["speed"]) == 3.0 or context["torso"] in (0.45, 0.5)
        assert (i in split.test) == inside


def test_extrapolation_asks_for_more_than_was_trained() -> None:
    suite = SUITES["cheetah-speed"]
    split = extrapolation_split(suite)
    largest = max(abs(suite.contexts[i]["speed"]) for i in split.train)
    assert largest == 8.0 and len(split.test) == 8
    assert all(abs(suite.contexts[i]["speed"]) > largest for i in split.test)
    bodies = SUITES["walker-torso"]
    trained = [bodies.contexts[i]["torso"] for i in extrapolation_split(bodies).train]
    assert (min(trained), max(trained)) == (0.14, 0.46)
    assert held_out(bodies, extrapolation_split(bodies), "torso") == pytest.approx(
        [0.1, 0.11, 0.12, 0.13, 0.47, 0.48, 0.49, 0.5]
    )


def test_a_quadrant_is_trained_in_each_feature_but_not_in_both() -> None:
    suite = SUITES["cheetah-speed-torso"]
    split = quadrant_split(suite)
    assert len(split.test) == 5 * 4
    for i in split.test:
        assert suite.contexts[i]["speed"] > 0 and suite.contexts[i]["torso"] > 0.5
    train = [suite.contexts[i] for i in split.train]
    for name in suite.features:
        assert {c[name] for c in train} == {c[name] for c in suite.contexts}


@pytest.mark.parametrize("name", SUITES)
@pytest.mark.parametrize("rule", ["random:0.05", "gap", "extrapolation", "quadrant"])
def test_every_rule_keeps_contexts_apart_and_directions_trained(name: str, rule: str) -> None:
    suite = SUITES[name]
    if rule == "quadrant" and len(suite.features) == 1:
        with pytest.raises(ValueError, match="`split` quadrant needs two features that vary"):
            draw(suite, rule_of(rule, suite), seed=0)
        return
    if rule.partition(":")[0] not in rules_for(suite):
        with pytest.raises(ValueError, match="needs training and test contexts, got 50 and 0"):
            draw(suite, rule_of(rule, suite), seed=0)
        return
    splits = [draw(suite, rule_of(rule, suite), seed=seed) for seed in range(3)]
    assert (splits[0] == splits[1]) == (rule != "random:0.05")
    for split in splits:
        assert not set(split.train) & set(split.test)
        assert sorted(split.train + split.test) == list(range(len(suite.contexts)))
        assert len(split.train) >= 2
        if rule != "random:0.05" and "speed" in suite.features:
            speeds = [suite.contexts[i]["speed"] for i in split.train]
            assert min(speeds) < 0 < max(speeds)


@pytest.mark.parametrize(
    ("text", "name"), [("random", "random:0.85"), ("random:0.2", "random:0.2"), ("gap", "gap")]
)
def test_rules_by_name(text: str, name: str) -> None:
    rule = rule_of(text, SUITES["cheetah-speed"])
    assert str(rule) == name and rule.shared == (text == "gap")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("holes", "`split` must be one of random, random:FRACTION, gap, .* got 'holes'"),
        ("random:most", "`split` must be one of random, random:FRACTION, .* got 'random:most'"),
        ("random:1.5", r"`split` must have a fraction in \(0, 1\), got random:1.5"),
        ("gap:0.2", "`split` must have a fraction exactly if it is random, got gap:0.2"),
    ],
)
def test_an_unknown_rule_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rule_of(text, SUITES["cheetah-speed"])


def test_rules_need_values_enough() -> None:
    with pytest.raises(ValueError, match="gap needs at least 3 values of `speed` in each direct"):
        draw(tiny(1.0, 2.0), SplitRule(name="gap"), seed=0)
    with pytest.raises(ValueError, match="extrapolation needs at least 4 values of `speed` in"):
        draw(tiny(1.0, 2.0, 3.0), SplitRule(name="extrapolation"), seed=0)


def test_an_angle_has_a_gap_but_no_ends() -> None:
    angles = tuple(0.5 * i for i in range(10))
    suite = Suite(
        name="t", env_id="ParamAnt-v0", reward=ANT.reward_modes[0], grid={"direction": angles}
    )
    assert held_out(suite, gap_split(suite), "direction") == [2.0, 2.5]
    with pytest.raises(ValueError, match="needs training and test contexts, got 10 and 0"):
        extrapolation_split(suite)


@pytest.mark.parametrize("name", ["cheetah-vel", "cheetah-vel-macaw", "ant-dir", "ant-dir-macaw"])
def test_tasks_hold_out_the_same_five_however_many_are_learned_from(name: str) -> None:
    suite = SUITES[name]
    for size in suite.train_sizes:
        split = draw(suite, rule_of(f"tasks:{size}", suite), seed=3)
        assert split == tasks_split(suite, size)
        assert split.test == suite.test_ids and len(split.train) == len(set(split.train)) == size
    assert draw(suite, rule_of("tasks", suite), seed=0).train == split.train
    assert sorted(split.train + split.test) == list(range(len(suite.contexts)))


def test_fewer_training_tasks_are_spread_over_the_range() -> None:
    velocities = SUITES["cheetah-vel"]
    kept = [velocities.contexts[i]["velocity"] for i in tasks_split(velocities, 10).train]
    assert (kept[0], kept[-1]) == (0.0, 3.0) and np.diff(kept).max() < 2 * 3.0 / 9
    for name in ("ant-dir", "ant-dir-macaw"):
        directions = SUITES[name]
        train = tasks_split(directions, 15).train
        angles = np.sort([directions.contexts[i]["direction"] for i in train])
        apart = np.diff([*angles, angles[0] + 2 * np.pi])
        assert apart.min() > 0.05 and apart.max() < 3 * 2 * np.pi / 15


@pytest.mark.parametrize(
    ("suite", "text", "message"),
    [
        (
            "ant-dir",
            "tasks:20",
            r"one of the numbers \[15, 25, 35, 45\] of ant-dir, got 'tasks:20'",
        ),
        ("ant-dir", "tasks:few", r"must have one of the numbers .* got 'tasks:few'"),
        ("cheetah-speed", "tasks", "tasks needs a suite with `test_ids`, cheetah-speed has none"),
    ],
)
def test_other_numbers_of_tasks_are_refused(suite: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rule_of(text, SUITES[suite])
    with pytest.raises(ValueError, match="must have a number exactly if it is tasks, got gap:3"):
        SplitRule(name="gap", size=3)


def tiny(*speeds: float) -> Suite:
    return Suite(name="t", env_id="ParamCheetah-v0", reward="track", grid={"speed": speeds})


ANT = family_of("ParamAnt-v0")
FIRST_SPLIT = (2, 4, 11, 23, 24, 27)
