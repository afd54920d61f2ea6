"""The first lines of a page of results."""

from typing import Any

from tests.zeroshot.test_reproduce_docs import record
from zeroshot.reproduce.in_short import hyperzero_in_short


def told(suite: str, ratios: dict[str, float], **changes: Any) -> dict[str, Any]:
    found = record(suite, ratios, **changes)
    for row in found["methods"].values():
        row |= {"splits": 2, "own_seeds": [0, 1]}
    return found


def test_means_over_suites_and_sure_ones_are_told() -> None:
    ratios = {"hyperzero": 0.9, "hyperdistil": 0.95, "conditioned": 0.8, "nearest": 0.9}
    one, two = (told(name, ratios) for name in ("finger-speed", "walker-speed"))
    for found, ahead in ((one, 0.1), (two, 0.2)):
        pair = [ahead, ahead - 0.15, ahead + 0.1]
        found["vs"] = {
            "hyperzero": {"conditioned": pair, "nearest": pair, "hyperzero-without-td": pair},
            "hyperdistil": {"hyperzero": pair, "nearest": pair},
            "hyperzero-without-td": {"hyperzero": [-0.01, -0.02, 0.0]},
        }
    two["vs"]["hyperzero"]["hyperdistil"] = [-0.2, -0.3, -0.1]
    text = hyperzero_in_short([one, two], [])
    assert "- 2 suites, 85 % of the contexts for training, 2 splits each" in text
    assert "HyperZero is ahead of conditioned by 0.15. `pearl` alone" in text
    assert "owes little to its TD loss (-0.010 without it)" in text
    assert "HyperDistil is ahead of HyperZero by 0.15. It plays episodes" in text
    assert "HyperZero by +0.150, surely on 1; HyperDistil by +0.150, surely on 1 of 2" in text
    assert "quadrant" not in text


def test_quadrants_are_told_beside_the_nearest_expert() -> None:
    ratios = {"hyperzero": 0.3, "conditioned": 0.4, "interpolation": 0.7, "nearest": 0.8}
    quadrant = told("walker-speed-torso", ratios, split_rule="quadrant")
    gap = told("walker-speed", ratios, split_rule="gap")
    text = hyperzero_in_short([told("walker-speed", ratios)], [quadrant, gap])
    assert text.endswith(
        "reaches 0.40 on walker-speed-torso (conditioned, the nearest expert 0.80)."
    )


def test_without_results_nothing_is_told() -> None:
    assert hyperzero_in_short([], []) == "- The comparison: not measured."
