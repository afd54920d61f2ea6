import json
from dataclasses import replace
from pathlib import Path

import pytest

from zeroshot.cli import main
from zeroshot.frozen import FRACTIONS, FROZEN, SEEDS, checksum, frozen_bytes, read_splits, split_of
from zeroshot.frozen import write_splits as write
from zeroshot.splits import draw, random_split, rule_of
from zeroshot.suites import SUITES, Suite

SPEEDS = SUITES["cheetah-speed"]


@pytest.mark.parametrize("name", SUITES)
def test_drawing_again_gives_the_shipped_bytes(name: str) -> None:
    assert (FROZEN / f"{name}.json").read_bytes() == frozen_bytes(SUITES[name])


def test_there_is_a_file_a_suite_and_no_other() -> None:
    assert {path.stem for path in FROZEN.iterdir()} == set(SUITES)


@pytest.mark.parametrize("name", SUITES)
def test_published_results_keep_their_splits(name: str) -> None:
    suite = SUITES[name]
    for seed in SEEDS:
        assert split_of(suite, rule_of("random", suite), seed=seed) == random_split(
            suite, seed=seed
        )


def test_a_frozen_split_says_which_values_were_held_out() -> None:
    content = read_splits(FROZEN / "cheetah-speed.json")
    assert content["features"] == ["speed"]
    assert content["test"]["random:0.85"]["0"] == [[-9.0], [-8.0], [-4.5], [2.0], [2.5], [4.0]]
    rules = {f"random:{fraction}" for fraction in FRACTIONS} | {"gap", "extrapolation"}
    assert set(content["test"]) == rules
    joint = read_splits(FROZEN / "walker-speed-torso.json")
    assert set(joint["test"]) == rules | {"quadrant"}
    assert list(joint["test"]["quadrant"]) == ["any"]


def test_smaller_sets_of_training_tasks_are_frozen_too() -> None:
    suite = SUITES["ant-dir-macaw"]
    content = read_splits(FROZEN / "ant-dir-macaw.json")
    assert set(content["train"]) == {"tasks:15", "tasks:25", "tasks:35"}
    assert content["test"]["tasks:15"] == content["test"]["tasks:45"]
    for size in suite.train_sizes:
        rule = rule_of(f"tasks:{size}", suite)
        assert split_of(suite, rule, seed=4) == draw(suite, rule, seed=0)


def test_the_file_decides_and_not_the_rule(tmp_path: Path) -> None:
    write(SPEEDS, tmp_path)
    content = json.loads((tmp_path / "cheetah-speed.json").read_text())
    content["test"]["gap"]["any"] = [[3.0], [-3.0]]
    content["sha256"] = checksum(content)
    (tmp_path / "cheetah-speed.json").write_text(json.dumps(content))
    split = split_of(SPEEDS, rule_of("gap", SPEEDS), seed=7, directory=tmp_path)
    assert [SPEEDS.contexts[i]["speed"] for i in split.test] == [-3.0, 3.0]
    assert len(split.train) == 38


def test_what_is_not_frozen_is_drawn(tmp_path: Path) -> None:
    rule = rule_of("random:0.4", SPEEDS)
    assert split_of(SPEEDS, rule, seed=9) == draw(SPEEDS, rule, seed=9)
    own = replace(SPEEDS, name="own")
    assert split_of(own, rule_of("gap", own), seed=0) == draw(own, rule_of("gap", own), seed=0)


@pytest.mark.parametrize(
    ("old", "new"), [("[4.0]", "[4.5]"), ('"random:0.85"', '"random:0.8"'), ("-10.0", "-9.9")]
)
def test_a_changed_file_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = write(SPEEDS, tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=r"cheetah-speed\.json: the checksum is not that of the"):
        split_of(SPEEDS, rule_of("gap", SPEEDS), seed=0, directory=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not JSON"), ("[]", "not a file of splits in format 1")]
)
def test_another_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "cheetah-speed.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        split_of(SPEEDS, rule_of("gap", SPEEDS), seed=0, directory=tmp_path)


@pytest.mark.parametrize(
    "changed",
    [replace(SPEEDS, version=2), replace(SPEEDS, grid={"speed": SPEEDS.grid["speed"][1:]})],
)
def test_the_file_of_another_version_or_grid_is_refused(changed: Suite) -> None:
    with pytest.raises(ValueError, match="of another version or grid than cheetah-speed has now"):
        split_of(changed, rule_of("gap", changed), seed=0)


def test_the_command_writes_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["suites", "--write-splits", str(tmp_path / "new")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(SUITES)
    for path in FROZEN.iterdir():
        assert (tmp_path / "new" / path.name).read_bytes() == path.read_bytes()
