"""Tables of ratios, and pictures, that documents take from results."""

from pathlib import Path
from typing import Any

import pytest

from zeroshot.reproduce.pages import copy_pictures
from zeroshot.reproduce.ratios import against_table, copies_line, fewest_splits, ratio_table


def run(suite: str, ratios: dict[str, float], **pairs: list[float]) -> dict[str, Any]:
    """A run in which `mine` is compared with the others."""
    methods = {
        name: {"kind": "reference" if name == "nearest" else "method", "ratio": ratio, "splits": 2}
        for name, ratio in ratios.items()
    }
    return {"suite": suite, "methods": methods, "vs": {"mine": pairs}}


AHEAD, BEHIND, LEVEL = [0.1, 0.02, 0.2], [-0.04, -0.06, -0.01], [0.03, -0.01, 0.07]


def test_a_ratio_is_marked_where_the_interval_leaves_out_zero() -> None:
    runs = [
        run("one", {"mine": 0.9, "yours": 0.8, "nearest": 0.94}, yours=AHEAD, nearest=BEHIND),
        run("two", {"mine": 0.9, "yours": 0.87}, yours=LEVEL),
    ]
    assert ratio_table(
        runs,
        ("mine", "absent", "yours", "nearest"),
        compared="mine",
        beside={"splits": fewest_splits},
    ).splitlines() == [
        "| suite | mine | yours | nearest | splits |",
        "|---|--:|--:|--:|--:|",
        "| one | 0.900 | 0.800 < | 0.940 > | 2 |",
        "| two | 0.900 | 0.870 | - | 2 |",
    ]


def test_a_method_is_compared_where_both_are() -> None:
    runs = [
        run("one", {"mine": 0.9, "yours": 0.8, "nearest": 0.94}, yours=AHEAD, nearest=BEHIND),
        run("two", {"mine": 0.9, "yours": 0.87}, yours=LEVEL),
    ]
    assert against_table(runs, "mine", ("yours", "absent", "nearest")).splitlines()[2:] == [
        "| yours | 2 | +0.065 | +0.030 | 1 |  |",
        "| nearest | 1 | -0.040 | -0.040 | 0 | one |",
    ]


def test_fewest_splits_are_of_what_is_fitted() -> None:
    one = run("one", {"mine": 0.9, "yours": 0.8, "nearest": 0.9})
    one["methods"]["mine"]["splits"] = 5
    one["methods"]["nearest"]["splits"] = 1
    assert fewest_splits(one) == "2"


def test_experts_handed_out_are_counted() -> None:
    runs = [run("one", {"mine": 0.9, "yours": 0.8}) for _ in range(2)]
    assert copies_line(runs) == (
        "Training experts handed out as they are, the share of held-out contexts: not measured."
    )
    for one, share in zip(runs, (0.1, 0.4), strict=True):
        one["methods"]["mine"]["copies"] = share
        one["methods"]["yours"]["copies"] = 0.0
    assert copies_line(runs).endswith("mine 25 % in 2 runs, yours 0 % in 2 runs.")


@pytest.mark.parametrize("there", [True, False])
def test_pictures_are_copied_where_they_are(there: bool, tmp_path: Path) -> None:
    (tmp_path / "runs" / "main" / "one").mkdir(parents=True)
    if there:
        (tmp_path / "runs" / "main" / "one" / "drawn.png").write_bytes(b"picture")
    copy_pictures(tmp_path, {"main/one/drawn.png": "one.png"}, tmp_path / "images")
    assert (tmp_path / "images" / "one.png").exists() == there
