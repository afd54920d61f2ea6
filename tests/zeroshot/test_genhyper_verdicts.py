"""Sentences about GenHyper's results."""

from typing import Any

import pytest

from zeroshot.reproduce.genhyper_verdicts import (
    ahead_of_published,
    chance_of,
    near_experts,
    tuning_verdict,
)


def line(**returns: float) -> dict[str, Any]:
    kinds = {"expert": "reference", "nearest": "reference"}
    return {
        "methods": {
            name: {"return": value, "kind": kinds.get(name, "method")}
            for name, value in returns.items()
        }
    }


def tuning(
    start: str, returns: list[list[float]], *, expert: float = -20.0, **changes: Any
) -> dict[str, Any]:
    """A small file whose runs are evaluated every 1,000 steps."""
    found = {
        "suite": "cheetah-vel",
        "preset": "default",
        "td_weight": 0.1,
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
    assert ahead_of_published({}) == "Ahead of the paper's HypLatent: not measured."


def test_near_is_five_per_cent_below_at_most_also_where_returns_are_negative() -> None:
    found = {
        ("cheetah-vel", 15): line(expert=-20.0, hyplatent=-21.1, hyperdistil=-20.9, nearest=-30.0),
        ("ant-dir", 15): line(expert=600.0, hyplatent=571.0, hyperzero=569.0, nearest=600.0),
        ("ant-dir", 25): line(expert=600.0, hyplatent=1.0, nearest=1.0),
    }
    assert near_experts(found).splitlines() == [
        "Within 5% of the experts' return:",
        "- cheetah-vel, 15 training tasks: hyperdistil",
        "- ant-dir, 15 training tasks: hyplatent, nearest",
        "- ant-dir, 25 training tasks: none",
    ]
    assert near_experts({}).endswith("not measured.")


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
    (_, text) = tuning_verdict([ours]).splitlines()
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


def test_one_sure_interval_among_many_is_chance() -> None:
    assert chance_of(0, 9) == pytest.approx(1.0)
    assert chance_of(1, 9) == pytest.approx(1.0 - 0.975**9)
    assert chance_of(9, 9) == pytest.approx(0.025**9)
    assert chance_of(2, 9) < 0.05 < chance_of(1, 9)
