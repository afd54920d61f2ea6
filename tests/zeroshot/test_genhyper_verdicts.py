"""Sentences about GenHyper's results."""

import re
from typing import Any

import numpy as np
import pytest

from zeroshot.frozen import split_of
from zeroshot.reproduce.genhyper import SIZES, UNIFORM
from zeroshot.reproduce.genhyper_verdicts import (
    ahead_of_published,
    chance_of,
    distances,
    easy_choice,
    near_experts,
    td_verdict,
    tuning_verdict,
)
from zeroshot.splits import rule_of
from zeroshot.suites import suite_of


def line(**returns: float) -> dict[str, Any]:
    kinds = {"expert": "reference", "nearest": "reference"}
    return {
        "methods": {
            name: {"return": value, "kind": kinds.get(name, "method")}
            for name, value in returns.items()
        }
    }


def fits(**returns: list[float]) -> dict[str, Any]:
    """The same of returns fit by fit."""
    found = line(**{name: float(np.mean(own)) for name, own in returns.items()})
    for name, own in returns.items():
        found["methods"][name] |= {"returns": own, "own_seeds": list(range(len(own)))}
    return found


def tuning(
    start: str, returns: list[list[float]], *, expert: float = -20.0, **changes: Any
) -> dict[str, Any]:
    """A small file whose runs are evaluated every 1,000 steps."""
    found = {
        "suite": "cheetah-vel",
        "preset": "default",
        "td_weight": 0.1,
        "split_rule": "tasks:15",
        "steps": [1_000 * i for i in range(len(returns[0]))],
        "curves": {start: [{"context": "velocity=1", "expert": expert, "returns": returns}]},
        "starts": {start: {"runs": len(returns), "dipped": 0, "reached": len(returns)}},
    }
    return {**found, **changes}


def test_the_published_rows_are_beaten_or_not() -> None:
    found = {
        ("cheetah-vel", 10): line(expert=-10.0, hyplatent=-1.0, nearest=-1.0),  # not published
        ("cheetah-vel", 15): line(expert=-10.0, hyplatent=-40.0, nearest=-41.0),
        ("cheetah-vel", 25): line(expert=-10.0, hyplatent=-37.0, nearest=-30.0),
        ("ant-dir", 15): line(expert=600.0, hyplatent=452.0, nearest=600.0),
    }
    said = ahead_of_published(found)
    assert "HypLatent in 2 of 3 lines, the nearest training expert, left as it is in 2 of 3" in said
    assert "published are trained apart" in said and "`PLANS`" in said and "never run here" in said
    assert ahead_of_published({}) == "Ahead of the paper's HypLatent: not measured."


def test_near_is_five_per_cent_below_at_most_also_where_returns_are_negative() -> None:
    found = {
        ("cheetah-vel", 15): line(expert=-20.0, hyplatent=-21.1, hyperdistil=-20.9, nearest=-30.0),
        ("cheetah-vel", 25): line(expert=-20.0, hyplatent=-22.0, interpolation=-21.5),
        ("ant-dir", 15): line(expert=600.0, hyplatent=571.0, hyperzero=569.0, nearest=600.0),
        ("ant-dir", 25): line(expert=600.0, hyplatent=1.0, nearest=1.0),
    }
    first, *lines = near_experts(found).splitlines()
    assert first.startswith("Within 5% of the experts' return, by the median over fits of each fit")
    missed = "The aim, a method that learns and is within 5%, is missed on"
    assert lines == [
        "- cheetah-vel, 15 training tasks: hyperdistil",
        "- cheetah-vel, 25 training tasks: none; interpolation comes closest, at 92.5%, without "
        "learning anything; of those that learn hyplatent, at 90.0%",
        "- ant-dir, 15 training tasks: hyplatent, nearest",
        "- ant-dir, 25 training tasks: none; hyplatent comes closest, at 0.2%",
        "",
        f"{missed} cheetah-vel with 1 of 2 training sets: the best is 5.0 percentage points below "
        "95%.",
        "",
        f"{missed} ant-dir with 1 of 2 training sets: the best is 94.8 percentage points below "
        "95%.",
    ]
    assert near_experts({}).endswith("not measured.")


def test_one_fall_of_an_expert_decides_nothing_and_is_told() -> None:
    experts = [-14.0, -14.0, -24.0, -14.0, -14.0]
    method = [-16.0, -16.1, -16.0, -15.9, -16.0]
    found = {("cheetah-vel", size): fits(expert=experts, hyperdistil=method) for size in (10, 15)}
    assert np.mean(method) >= np.mean(experts), "by the means it would be there"
    text = near_experts(found)
    assert "- cheetah-vel, 15 training tasks: none; hyperdistil comes closest, at 85.7%" in text
    assert "is missed on cheetah-vel with 2 of 2 training sets: the best is 9.3 percentage" in text
    fall = (
        "On cheetah-vel an expert fell on the starts of seed 2: there the experts return -24.0, in "
        "the median of the other fits -14.0. It moves their mean return in the table from -14.0 "
        "to -16.0."
    )
    assert text.endswith(fall) and text.count(fall) == 1
    assert "fell" not in near_experts({("ant-dir", 15): fits(expert=[633.0, 603.0], mine=[1.0, 2])})


def test_ratios_are_of_the_same_starts() -> None:
    record = fits(expert=[100.0, 200.0, 300.0], hyplatent=[200.0, 300.0])
    record["methods"]["hyplatent"]["own_seeds"] = [1, 2]
    assert near_experts({("ant-dir", 15): record}).splitlines()[1].endswith(": hyplatent")


@pytest.mark.parametrize("suite", UNIFORM)
def test_distances_are_those_of_the_frozen_splits(suite: str) -> None:
    asked = suite_of(suite)
    for size in SIZES[suite]:
        split = split_of(asked, rule_of(f"tasks:{size}", asked), seed=0)
        n = len(asked.contexts)
        step = 360.0 / (n - 1) if suite == "ant-dir" else 3.0 / (n - 1)
        apart = [min(abs(i - j) for j in split.train) * step for i in split.test]
        assert distances(suite, size) == pytest.approx(apart), "none is nearer the other way round"


def test_how_often_a_drawn_set_would_be_as_near() -> None:
    rng = np.random.default_rng(0)
    for suite, share in (("cheetah-vel", 0.12), ("ant-dir", 0.04)):
        said = easy_choice(suite)
        assert re.search(
            rf"among the 15, .* of these sizes {share:.0%}, .* and 100% have that", said
        )
        held_out, n = suite_of(suite).test_ids, len(suite_of(suite).contexts)
        kept = [i for i in range(n) if i not in held_out]
        drawn = [set(rng.choice(kept, 15, replace=False).tolist()) for _ in range(4_000)]
        near = [all({i - 1, i + 1} & train for i in held_out) for train in drawn]
        assert np.mean(near) == pytest.approx(share, abs=0.015)


@pytest.mark.parametrize(
    ("scratch", "said"),
    [
        ([[-300.0] * 9], ("at most", "does not within 8,000")),
        ([[-300.0] * 4], ("more than", "does not within 3,000")),
        ([[-300.0] * 3 + [-20.5], [-300.0] * 4], ("more than", "does after 3,000")),
    ],
    ids=["long", "short", "reaches"],
)
def test_steps_are_compared_with_those_from_scratch(
    scratch: list[list[float]], said: tuple[str, str]
) -> None:
    ours = tuning("hyplatent", [[-30.0, -21.0, -22.0], [-30.0, -25.0, -20.0]])
    text = tuning_verdict([ours, tuning("scratch", scratch)])
    share, does = said
    assert f"2 reach 95% of the expert, after 2,000 steps at most, {share} a quarter of" in text
    assert f"of what SAC from scratch takes, which {does}." in text


def test_one_that_never_arrives_has_no_steps() -> None:
    ours = tuning("hyplatent", [[-30.0, -19.0], [-30.0, -25.0]])
    ours["starts"]["hyplatent"] |= {"reached": 1, "dipped": 2}
    text = tuning_verdict([ours])
    assert "0 of 2 runs stay within 10% of the start; 1 reach 95% of the expert. At" in text


def test_how_free_the_policy_is_at_the_end_is_told() -> None:
    steps = [2_000, 22_000]
    ours = tuning("hyplatent", [[-30.0, -19.0]], steps=steps)
    assert "is 67% through, the anchor's weight is 0.50 of 1 at first." in tuning_verdict([ours])
    paper = tuning("hyplatent", [[-30.0, -19.0]], steps=[5_000, 30_000], preset="paper")
    assert "is 100% through; nothing ties the policy to its start." in tuning_verdict([paper])
    assert "preset paper" in tuning_verdict([paper])


def test_without_hyplatent_nothing_is_measured() -> None:
    assert tuning_verdict([tuning("scratch", [[-300.0, -200.0]])]) == (
        "What fine-tuning does to HypLatent's policy: not measured."
    )


def test_other_starts_that_are_there_as_soon_are_told() -> None:
    ours = tuning("hyplatent", [[-22.0, -20.0], [-22.0, -21.5]])
    ours["episodes"] = 10
    for start, returns in {"nearest": [[-20.5, -30.0]] * 2, "hyperzero": [[-30.0, -20.0]]}.items():
        ours["curves"] |= tuning(start, returns)["curves"]
        ours["starts"] |= tuning(start, returns)["starts"]
    text = tuning_verdict([ours])
    assert "1 of the 4 tasks of figure 6, with 2 runs a line. Every point is a mean of 10" in text
    came = "nearest 0, 0; hyperzero 1,000; hyplatent 1,000, never."
    assert f"- cheetah-vel, 1,000 steps, TD weight 0.1: {came}" in text
    assert "From nearest and hyperzero it takes no more steps in any run" in text
    begins = "begins 1.0 below the target, where a point's standard error over its episodes is"
    assert begins not in text
    text = tuning_verdict([{**ours, "errors": {"hyplatent": 0.6}}])
    assert f"{begins} 0.6 in the median, so it may be there from the beginning." in text
    text = tuning_verdict([{**ours, "errors": {"hyplatent": 0.4}}])
    assert text.split(begins)[1].startswith(" 0.4 in the median.\n")


def test_the_td_term_adds_something_where_all_runs_say_so() -> None:
    with_it, without = [[-30.0, -20.0, -19.0]] * 2, [[-30.0, -40.0, -20.0]] * 2
    runs = [
        tuning("hyplatent", returns, td_weight=weight, suite=suite)
        for suite in UNIFORM
        for weight, returns in ((0.1, with_it), (0.0, without))
    ]
    text = td_verdict(runs)
    assert text.startswith("The TD term adds something: on 2 of 2 suites all runs")
    said = "steps to 95% 1,000, 1,000 against 2,000, 2,000; return at the end -19.0, -19.0 against"
    assert f"- ant-dir, 2,000 steps, weight 0.1 against 0: {said} -20.0, -20.0;" in text
    mixed = tuning("hyplatent", [with_it[0], without[0]], td_weight=0.0)
    text = td_verdict([runs[0], mixed])
    assert text.startswith("The TD term adds nothing that these runs show: on 0 of 1 suites")
    assert "all without, on 0 in more." in text and "probability of 0.17 a suite." in text
    other = {**mixed, "split_rule": "tasks:25"}
    assert td_verdict([runs[0], other]) == "Whether the TD term adds something: not measured."


def test_one_sure_interval_among_many_is_chance() -> None:
    assert chance_of(0, 9) == pytest.approx(1.0)
    assert chance_of(1, 9) == pytest.approx(1.0 - 0.975**9)
    assert chance_of(9, 9) == pytest.approx(0.025**9)
    assert chance_of(2, 9) < 0.05 < chance_of(1, 9)
