"""The page written from committed results: docs/leaderboard.md."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.zeroshot.test_reproduce_docs import ROOT, record, save, script
from zeroshot.reproduce.records import read_results


@pytest.fixture(scope="module")
def leaderboard() -> ModuleType:
    return script("leaderboard")


def test_the_committed_leaderboard_is_what_the_script_writes(leaderboard: ModuleType) -> None:
    expected = leaderboard.page(read_results(ROOT / leaderboard.RESULTS))
    assert (ROOT / leaderboard.PAGE).read_text() == expected, "run `python docs/leaderboard.py`"


def test_the_committed_leaderboard_has_every_file_of_results(leaderboard: ModuleType) -> None:
    text = (ROOT / leaderboard.PAGE).read_text()
    found = read_results(ROOT / leaderboard.RESULTS)
    assert found
    for one in found:
        assert f"{one['suite']} v{one['suite_version']}, {one['split_rule']}" in text


def test_a_run_gone_on_with_names_all_commits_that_made_it(
    leaderboard: ModuleType, tmp_path: Path
) -> None:
    commits = ["1111111111112222", "3333333333334444"]
    save(record("cheetah-speed", {"expert": 1.0}, commits=commits), tmp_path, "two.json")
    save(record("finger-speed", {"expert": 1.0}), tmp_path, "older.json")
    text = leaderboard.write(tmp_path).read_text()
    assert "two: commits 111111111111, 333333333333, 2026-01-02" in text
    assert "older: commit 0123456789ab, 2026-01-02" in text


def test_files_of_the_same_suite_split_and_experts_are_one_section(
    leaderboard: ModuleType, tmp_path: Path
) -> None:
    few = record("cheetah-speed", {"expert": 1.0, "mine": 0.5, "nearest": 0.8})
    more = record("cheetah-speed", {"expert": 1.0, "mine": 0.9, "theirs": 0.4}, seeds=[0, 1, 2])
    other = record("cheetah-speed", {"expert": 1.0, "mine": 0.3}, experts="e2")
    save(few, tmp_path, "few.json")
    save(more, tmp_path, "deep/more.json")
    save(other, tmp_path, "other.json")
    save({"suite": "cheetah-speed", "regret": 1.0}, tmp_path, "audits/cheetah-speed.json")
    text = leaderboard.write(tmp_path).read_text()
    one, another = text.split("\n## ")[1:]
    assert one.startswith("cheetah-speed v1, random:0.85, experts e1")
    assert another.startswith("cheetah-speed v1, random:0.85, experts e2")
    rows = [line for line in one.splitlines() if line.startswith("| *")]
    names = [re.sub(r"[|* ]+(\S+?)\*+ .*", r"\1", line) for line in rows]
    assert names == ["expert", "mine", "nearest", "theirs"], "by their scores"
    (mine,) = [line for line in rows if "**mine**" in line]
    numbers = "| 900.0 | 0.900 | 0.90 | [0.80, 1.00] | 3 | 1800 s |  | [more](results/deep"
    assert numbers in mine
    (nearest,) = [line for line in rows if "nearest" in line]
    assert "| - | - | 0.80 |" in nearest and "[few](results/few.json)" in nearest, "other splits"
    assert "cheetah-speed-v1-random085-experts-e1" in text


def test_runs_from_other_policies_are_a_section_of_their_own(
    leaderboard: ModuleType, tmp_path: Path
) -> None:
    save(record("cheetah-vel", {"expert": 1.0, "mine": 0.5}), tmp_path, "alone.json")
    many = record("cheetah-vel", {"expert": 1.0, "mine": 0.9}, collection="c1")
    save(many, tmp_path, "many.json")
    one, another = leaderboard.write(tmp_path).read_text().split("\n## ")[1:]
    assert one.startswith("cheetah-vel v1, random:0.85\n") and "| 0.500 |" in one
    assert another.startswith("cheetah-vel v1, random:0.85, policies c1\n")
    assert "| 0.900 |" in another and "| 0.500 |" not in another


def test_splits_and_copies_are_the_methods_own(leaderboard: ModuleType, tmp_path: Path) -> None:
    """A run that was gone on with: one method on two of its three splits, the other on all."""
    found = record("cheetah-speed", {"expert": 1.0, "mine": 0.9, "theirs": 0.4}, seeds=[0, 1, 2])
    found["methods"]["mine"] |= {"returns": [890.0, 910.0], "copies": 0.25}
    found["methods"]["theirs"] |= {"returns": [400.0] * 3, "copies": 0.0}
    save(found, tmp_path, "run.json")
    text = leaderboard.write(tmp_path).read_text()
    assert "| 2 | 1800 s | 25% | [run](results/run.json) |" in text
    assert "| 3 | 1800 s | 0% | [run](results/run.json) |" in text
    assert "| 3 |  |  | [run](results/run.json) |" in text, "of the expert nothing is told"


def test_the_overview_says_where_learning_does_not_pay(
    leaderboard: ModuleType, tmp_path: Path
) -> None:
    ratios = {"expert": 1.0, "mine": 0.9, "nearest": 0.8, "interpolation": 0.89}
    pairs = {"mine": {"nearest": [0.1, 0.05, 0.15], "interpolation": [0.01, -0.05, 0.07]}}
    one = record("cheetah-speed", ratios, vs=pairs)
    one["methods"]["mine"]["copies"] = 0.25
    save(one, tmp_path, "a.json")
    beaten = {"mine": {"nearest": [0.1, 0.05, 0.15], "interpolation": [0.01, 0.005, 0.02]}}
    save(record("walker-speed", ratios, vs=beaten), tmp_path, "b.json")
    save(record("finger-speed", {**ratios, "nearest": 0.95}), tmp_path, "c.json")
    text = leaderboard.write(tmp_path).read_text()
    said = {
        name: next(line for line in text.splitlines() if line.startswith(f"| [{name}"))
        for name in ("cheetah-speed", "walker-speed", "finger-speed")
    }
    assert (
        "| mine | 0.900 | 25% | interpolation | 0.890 | does not surely beat interpolation |"
        in (said["cheetah-speed"])
    )
    assert said["walker-speed"].endswith("| pays |")
    assert said["finger-speed"].endswith("| does not beat nearest (no intervals recorded) |")


def test_no_results_and_damaged_ones(leaderboard: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "docs" / "results").mkdir(parents=True)
    assert leaderboard.NOTHING in leaderboard.write(tmp_path).read_text()
    before = (tmp_path / leaderboard.PAGE).read_text()
    path = save(record("cheetah-speed", {"mine": 0.9}, complete=False), tmp_path, "a.json")
    with pytest.raises(ValueError, match=r"a\.json: the run is not complete"):
        leaderboard.write(tmp_path)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"a\.json: not JSON"):
        leaderboard.write(tmp_path)
    assert (tmp_path / leaderboard.PAGE).read_text() == before


def line_of(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| *{name}*")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_ratios_are_of_the_splits_that_all_lines_share(
    leaderboard: ModuleType, tmp_path: Path
) -> None:
    """A third split, easier for the rows that were played on it, counts for none."""
    found = record("cheetah-speed", {"expert": 1.0, "mine": 0.9, "nearest": 0.95}, seeds=[0, 1, 2])
    found["methods"]["expert"]["returns"] = [1000.0, 1000.0, 100.0]
    found["methods"]["nearest"]["returns"] = [800.0, 900.0, 100.0]
    found["methods"]["mine"]["returns"] = [880.0, 920.0]
    save(found, tmp_path, "main.json")
    other = record("cheetah-speed", {"expert": 1.0, "mine": 0.99, "late": 0.5}, part="shots")
    other["methods"]["expert"]["returns"] = other["methods"]["mine"]["returns"] = [1000.0] * 2
    other["methods"]["late"]["returns"] = [400.0, 600.0]
    save(other, tmp_path, "shots.json")
    text = leaderboard.write(tmp_path).read_text()
    assert line_of(text, "nearest")[1:3] == ["850.0", "0.850"]
    assert line_of(text, "*mine*")[1:3] == ["900.0", "0.900"], "of the main file, not of the other"
    assert line_of(text, "*late*")[1:3] == ["500.0", "0.500"], "which only the other has"
    assert "returns and ratios of 2 splits that all lines have" in text


def test_the_best_learned_method_is_the_one_with_the_highest_ratio(
    leaderboard: ModuleType, tmp_path: Path
) -> None:
    """Not the highest score, and not one that lacks a part of another."""
    found = record("cheetah-speed", {"mine": 0.9, "mine-without-part": 0.95, "theirs": 0.8})
    found["methods"]["theirs"]["score"] = 0.99
    save(found, tmp_path, "a.json")
    assert "| mine | 0.900 |" in leaderboard.write(tmp_path).read_text()
