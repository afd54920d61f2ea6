"""Tables of ratios, and pictures, that documents take from results."""

from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
import pytest

from zeroshot.grid_figures import GAP, NAME_HEIGHT
from zeroshot.reproduce.pages import copy_pictures, film_strip, publish_page
from zeroshot.reproduce.plan import PlannedFilm
from zeroshot.reproduce.ratios import (
    against_table,
    copies_line,
    cost_line,
    interval_over_bodies,
    ratio_table,
)
from zeroshot.reproduce.split_returns import common_ratios


def run(suite: str, ratios: dict[str, float], **pairs: list[float]) -> dict[str, Any]:
    """A run in which `mine` is compared with the others."""
    methods = {
        name: {
            "kind": "reference" if name in ("nearest", "expert") else "method",
            "ratio": ratio,
            "splits": 2,
            "own_seeds": [0, 1],
            "fit_seconds": 1800.0,
        }
        for name, ratio in ratios.items()
    }
    return {"suite": suite, "methods": methods, "vs": {"mine": pairs}, "machine": {"cores": 2}}


AHEAD, BEHIND, LEVEL = [0.1, 0.02, 0.2], [-0.04, -0.06, -0.01], [0.03, -0.01, 0.07]


def test_a_ratio_is_marked_where_the_interval_leaves_out_zero() -> None:
    runs = [
        run("one", {"mine": 0.9, "yours": 0.8, "nearest": 0.94}, yours=AHEAD, nearest=BEHIND),
        run("two", {"mine": 0.9, "yours": 0.87}, yours=LEVEL),
    ]
    columns, beside = ("mine", "absent", "yours", "nearest"), {"more": lambda one: one["suite"][0]}
    assert ratio_table(runs, columns, compared="mine", beside=beside).splitlines() == [
        "| suite | mine | yours | nearest | more | splits |",
        "|---|--:|--:|--:|--:|--:|",
        "| one | 0.900 | 0.800 < | 0.940 > | o | 2 |",
        "| two | 0.900 | 0.870 | - | t | 2 |",
    ]


def test_ratios_are_of_the_splits_that_all_were_played_on() -> None:
    one = run("one", {"expert": 1.0, "mine": 0.7, "yours": 0.9})
    told = {"expert": [100.0, 200.0, 900.0], "mine": [90.0, 30.0], "yours": [180.0, 850.0]}
    seeds = {"expert": [0, 1, 4], "mine": [0, 1], "yours": [1, 4]}
    for name, row in one["methods"].items():
        row |= {"returns": told[name], "own_seeds": seeds[name]}
    assert common_ratios(one, ("mine", "yours", "absent")) == (
        {"mine": pytest.approx(0.15), "yours": pytest.approx(0.9)},
        1,
    )
    assert common_ratios(one, ("mine",)) == ({"mine": pytest.approx(0.4)}, 2)
    del one["methods"]["expert"]["returns"]
    assert common_ratios(one, ("mine", "yours")) == ({"mine": 0.7, "yours": 0.9}, 1)


def test_a_method_is_compared_where_both_are() -> None:
    runs = [
        run("one", {"mine": 0.9, "yours": 0.8, "nearest": 0.94}, yours=AHEAD, nearest=BEHIND),
        run("two", {"mine": 0.9, "yours": 0.87}, yours=LEVEL),
    ]
    assert against_table(runs, "mine", ("yours", "absent", "nearest")).splitlines()[2:] == [
        "| yours | 2 | +0.065 | [+0.030, +0.100] | +0.030 | 1 |  |",
        "| nearest | 1 | -0.040 | [-0.040, -0.040] | -0.040 | 0 | one |",
    ]


def test_a_suite_and_its_twin_are_redrawn_together() -> None:
    """As one body: two values that only their bodies differ in have the interval of one."""
    low, high = interval_over_bodies({"a": 0.0, "a-reach": 0.0, "b": 1.0, "b-reach": 1.0})
    assert (low, high) == (0.0, 1.0)
    alone = interval_over_bodies({name: float(i > 3) for i, name in enumerate("abcdefgh")})
    assert 0.0 < alone[0] < 0.5 < alone[1] < 1.0
    assert interval_over_bodies({"a": 0.25, "a-reach": 0.75}) == (0.5, 0.5)


def test_fits_cost_what_each_method_took_on_its_splits() -> None:
    runs = [run("one", {"mine": 0.9, "yours": 0.8, "nearest": 0.9}) for _ in range(2)]
    runs[1]["methods"]["mine"] |= {"splits": 1, "fit_seconds": 3600.0}
    said = cost_line(runs)
    assert said.startswith("Cost of the fits of 2 runs: 4.0 hours, one after another, on a machine")
    assert "Median seconds of a fit: mine 1800, yours 1800." in said
    assert "As shares of hyperzero's in the same runs, medians: not measured." in said
    for seconds, one in zip((1200.0, 3600.0), runs, strict=True):
        one["methods"]["hyperzero"] = {**one["methods"]["yours"], "fit_seconds": seconds}
    assert "in the same runs, medians: mine 1.25, yours 1.00." in cost_line(runs)
    assert cost_line([]) == "Cost of the fits: not measured."


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


def test_the_page_of_all_tables_leads_to_what_is_published(tmp_path: Path) -> None:
    folder, target = tmp_path / "made", tmp_path / "docs" / "tiny"
    for name in ("one", "two"):
        run = folder / "runs" / "main" / name
        run.mkdir(parents=True)
        (run / "report.html").write_text(f"of {name}: zeroshot run --out {run}")
    links = (
        "runs/main/one/report.html",
        "runs/main/two/report.html",
        "runs/main/one/drawn.png",
        "films/run.mp4",
        "#top",
    )
    (folder / "tables.html").write_text("".join(f'<a href="{link}">' for link in links))
    page = publish_page(
        folder,
        target,
        reports=["main/one", "main/absent"],
        pictures={"main/one/drawn.png": "../images/one.png", "films/run.mp4": "../images/run.jpg"},
    )
    assert page is not None and page.read_text() == (
        '<a href="reports/main-one.html"><a href="main/two.json"><a href="../images/one.png">'
        '<a href="../images/run.jpg"><a href="#top">'
    )
    (report,) = (target / "reports").iterdir()
    assert report.read_text() == "of one: zeroshot run --out results/tiny/runs/main/one"
    assert publish_page(tmp_path / "nowhere", target, pictures={}) is None


def test_a_film_becomes_frames_side_by_side(tmp_path: Path) -> None:
    film, dark = tmp_path / "grey.gif", tmp_path / "dark.gif"
    shades = [np.full((16, 8, 3), 10 * i, np.uint8) for i in range(1, 13)]
    imageio.mimwrite(film, shades)
    imageio.mimwrite(dark, [shade // 10 for shade in shades])
    picture = tmp_path / "docs" / "strip.png"
    strip = imageio.imread(film_strip([film, dark], picture, n_frames=3, side=8))
    first, second, step = NAME_HEIGHT + 4, 2 * NAME_HEIGHT + 8 + 4, 4 + GAP
    assert strip.shape == (2 * (NAME_HEIGHT + 8) + GAP, 3 * step + GAP, 3)
    assert strip[first, GAP + 2 :: step, 0].tolist() == [10, 50, 90]
    assert strip[second, GAP + 2 :: step, 0].tolist() == [1, 5, 9], "a row a film"
    with pytest.raises(ValueError, match=r"grey\.gif: must have 99 frames, it has 12"):
        film_strip([film], tmp_path / "strip.png", n_frames=99)
    with pytest.raises(ValueError, match="`names` must be one a row, got 1 for 2"):
        film_strip([film, dark], picture, names=["grey"], n_frames=3)


def test_a_strip_names_the_method_of_every_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [
        tmp_path / f"{PlannedFilm(suite='s', context=('speed=1',), method=method).name}.gif"
        for method in ("hyperzero", "hyperdistil", "conditioned")
    ]
    made[0].parent.mkdir()
    for film in made:
        imageio.mimwrite(film, [np.full((8, 8, 3), 10 * i, np.uint8) for i in range(6)])
    named = []

    def draw(names: Any, rows: Any, *, side: int) -> Any:
        named.append(list(names))
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr("zeroshot.grid_figures.film_rows", draw)
    film_strip(made, tmp_path / "strip.png")
    film_strip(made, tmp_path / "strip.png", names=["a", "b", "c"])
    assert named == [["hyperzero", "hyperdistil", "conditioned"], ["a", "b", "c"]]
