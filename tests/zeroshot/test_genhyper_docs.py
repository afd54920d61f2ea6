"""docs/genhyper.md's numbers: from committed results, or called not measured."""

import json
import lzma
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.zeroshot.test_reproduce_docs import record, save, script, without_results
from zeroshot.methods import config_of, make_method
from zeroshot.references import REFERENCES
from zeroshot.reproduce.genhyper import CHOICES as CHOSEN_OTHERWISE
from zeroshot.reproduce.genhyper import GENHYPER
from zeroshot.reproduce.genhyper import METHODS as PLANNED
from zeroshot.results import ROWS, SETTINGS


@pytest.fixture(scope="module")
def genhyper() -> ModuleType:
    return script("genhyper")


@pytest.fixture
def root(genhyper: ModuleType, tmp_path: Path) -> Path:
    return without_results(genhyper, tmp_path)


def line(text: str, start: str) -> list[str]:
    (found,) = [line for line in text.splitlines() if line.startswith(start)]
    return found.strip("| ").split(" | ")


def test_without_results_nothing_is_measured(genhyper: ModuleType, root: Path) -> None:
    text = genhyper.write(root).read_text()
    assert text.startswith("above\n") and text.endswith("below\n") and "former" not in text
    assert line(text, "| 45 |")[:4] == ["45", "7.3, 7.3", "505.64", "-"]
    assert line(text, "| 10 |")[:2] == ["10", "0.14, 0.15"]
    assert (
        text.count("| not measured |") == 2 * len(genhyper.CHOICES) + 2
    )  # and fine-tuning, samples
    assert "Runs: not measured." in text
    assert "Whether the adversarial loss adds something: not measured." in text


def test_returns_stand_beside_the_published_ones(genhyper: ModuleType, root: Path) -> None:
    ratios = {"hyplatent": 0.9, "weight-regression": 0.8, "expert": 1.0}
    pair = {"hyplatent": {"weight-regression": [0.1, 0.05, 0.15]}}
    run = {"split_rule": "tasks:15", "vs": pair}
    save(record("ant-dir", ratios, **run), root, "a.json")
    save(record("ant-dir", {**ratios, "hyplatent": 0.1}, **run, seeds=[0]), root, "fewer.json")
    worse = {"hyplatent": {"weight-regression": [-0.2, -0.3, -0.1]}}
    save(record("ant-dir", ratios, split_rule="tasks:25", vs=worse), root, "b.json")
    choices = {**run, "part": "choices", "date": "2027-01-01"}
    save(record("ant-dir", {**ratios, "hyplatent": 0.3}, **choices), root, "later.json")
    save(record("cheetah-vel", ratios, split_rule="random:0.85"), root, "other.json")
    spread = record("cheetah-vel", {"expert": 1.0}, split_rule="tasks:15")
    spread["methods"]["expert"]["returns"] = [990.0, 1010.0]
    save(spread, root, "spread.json")
    text = genhyper.write(root).read_text()
    tables = text.split("| ant-dir: training tasks")[1]
    cells = line(tables, "| 15 |")
    assert cells[:4] == ["15", "7.3, 7.3", "452.32", "900.0"] and cells[-1] == "2"
    assert "| cheetah-vel: training tasks | nearest training task, m/s: mean, largest |" in text
    assert "| best-single | fits |" in text
    assert "800.0" in cells and "1000.0" in cells
    assert "| 1000.0 ± 14.1 |" in text
    regression = [row for row in text.splitlines() if "plain regression | ant-dir" in row]
    assert regression[0].endswith("| ant-dir | 2 | -0.050 | 1 | 1 |")
    assert "at commit 0123456789ab, 2026-01-02 to 2027-01-01, 2 cores, MuJoCo 4.0.0." in text


@pytest.mark.parametrize(
    ("low", "adds"), [(0.05, "adds something"), (-0.05, "adds nothing that these runs show")]
)
def test_the_page_says_whether_the_adversary_adds_anything(
    genhyper: ModuleType, root: Path, low: float, adds: str
) -> None:
    pair = {"hyplatent": {"hyplatent-without-adversary": [0.1, low, 0.15]}}
    run = record("ant-dir", {"hyplatent": 0.9}, split_rule="tasks:15", vs=pair)
    save(run, root, "a.json")
    save(record("walker-speed", {"hyplatent": 0.9}, vs=pair), root, "other.json")
    said = f"better in {int(low > 0)} of 1 runs, surely worse in 0. What is left out there {adds}."
    assert said in genhyper.write(root).read_text()


def test_many_policies_a_task_are_a_table_of_their_own(genhyper: ModuleType, root: Path) -> None:
    assert "From many policies of each task: not measured." in genhyper.write(root).read_text()
    run: dict[str, Any] = {"split_rule": "tasks:15", "date": "2026-01-01"}
    save(record("ant-dir", {"hyplatent": 0.9}, **run), root, "genhyper/shipped.json")
    run |= {"experts": "e2", "date": "2027-01-01", "train_fraction": 0.3}

    def fitted(ratio: float, **changes: Any) -> dict[str, Any]:
        found = record("ant-dir", dict.fromkeys(genhyper.LEARNING, ratio), **run, **changes)
        for row in found["methods"].values():
            row["returns"] = [1000.0 * ratio - 10.0, 1000.0 * ratio + 10.0]
        return found

    save(fitted(0.6), root, "genhyper-alone/alone.json")
    pair = {"hyplatent": {"weight-regression": [0.1, 0.05, 0.15]}}
    save(fitted(0.7, collection="c1", vs=pair), root, "genhyper-policies/many.json")
    text = genhyper.write(root).read_text()
    above, rest = text.split("learned from a zoo that has many policies of each task")
    many, alone = rest.split("from experts alone of that zoo")
    for part, returned in ((above, "900.0"), (many, "700.0"), (alone, "600.0")):
        assert [n for n in ("900.0", "700.0", "600.0") if n in part] == [returned]
    assert line(alone, "| ant-dir, 15 |")[1:] == ["+100.0 ± 14.1"] * 4
    assert "From many policies: HypLatent with noise and adversary" in alone


def test_what_a_reproduction_made_goes_where_it_belongs(
    genhyper: ModuleType, root: Path, tmp_path: Path
) -> None:
    for name in ("genhyper", "genhyper-policies", "genhyper-alone"):
        folder = tmp_path / name
        made = record("ant-dir", {"hyplatent": 0.9})
        path = folder / "results" / "table" / "ant-dir-tasks-15.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(made))
        run = folder / "runs" / "table" / "ant-dir-tasks-15"
        run.mkdir(parents=True)
        (run / SETTINGS).write_text("{}")
        (run / ROWS).write_text("")
        (run / "return-versus-context.png").write_bytes(name.encode())
        (root / genhyper.IMAGES).mkdir(exist_ok=True)
        assert genhyper.take(folder, root) == "1 files copied, 1 runs packed"
    results = root / "docs" / "results"
    for name in ("genhyper", "genhyper-policies", "genhyper-alone"):
        assert (results / name / "table" / "ant-dir-tasks-15.json").exists()
        assert (results / name / "rows" / "table" / "ant-dir-tasks-15.jsonl.xz").exists()
    assert (root / genhyper.IMAGES / "ant-dir-tasks-15.png").read_bytes() == b"genhyper"
    with pytest.raises(ValueError, match=r"`folder` must be called one of .*, got .*/other"):
        genhyper.take(tmp_path / "other", root)


def test_samples_have_a_line_an_answer(genhyper: ModuleType, root: Path) -> None:
    sampled = {
        "suite": "ant-dir",
        "split_rule": "tasks:15",
        "method": "hyplatent",
        "command": "zeroshot samples ant-dir",
        "commit": "0123456789abcdef-dirty",
        "date": "2026-02-01T01:02:03",
    }
    found = {**sampled, "returns": {"mean policy": 600.04, "oracle: best 1 of 9": 640.0}}
    save(found, root, "genhyper/samples/ant-dir.json")
    text = genhyper.write(root).read_text()
    label = "| ant-dir, tasks:15, hyplatent |"
    assert f"{label} mean policy | 600.0 |" in text
    assert f"{label} oracle: best 1 of 9 | 640.0 |" in text
    made = "`zeroshot samples ant-dir` at commit 0123456789ab-dirty, 2026-02-01"
    assert f"\n- ant-dir, tasks:15, hyplatent: {made}\n" in text


def test_fine_tunings_have_a_line_a_start(genhyper: ModuleType, root: Path) -> None:
    row = {
        "runs": 2,
        "start_return": -20.0,
        "end_return": -16.0,
        "expert_return": -17.0,
        "reached": 1,
        "median_steps": 12000,
        "largest_dip": 1.0,
        "dipped": 0,
    }
    never = {**row, "reached": 0, "median_steps": None}
    tuned = {
        "suite": "cheetah-vel",
        "split_rule": "tasks:15",
        "preset": "default",
        "td_weight": 0.1,
        "steps": [0, 2000, 40000],
        "commits": ["0000000000001111", "2222222222223333"],
        "date": "2026-02-01",
        "machine": {"cores": 2},
        "versions": {"mujoco": "4.0.0"},
        "starts": {"scratch": never, "scratch-standardised": row, "hyplatent": row},
        "curves": {
            start: [{"context": "velocity=1", "expert": -17.0, "returns": [[-20.0, -19.0, end]]}]
            for start, end in (("scratch", -18.0), ("hyplatent", -16.0))
        },
    }
    save(tuned, root, "genhyper/finetuning/cheetah-vel-tasks-15.json")
    save({**tuned, "td_weight": 0.0}, root, "genhyper/finetuning/without.json")
    save({**tuned, "preset": "paper"}, root, "genhyper/finetuning/paper.json")
    text = genhyper.write(root).read_text()
    label = "| cheetah-vel, 15, 40,000 |"
    assert f"{label} scratch | 2 | -20.0 | -16.0 | -17.0 | 0 | never | 1.0 | 0 |" in text
    tail = "| 2 | -20.0 | -16.0 | -17.0 | 1 | 12,000 | 1.0 | 0 |"
    assert f"{label} hyplatent, TD weight 0.1 {tail}" in text
    assert f"{label} scratch-standardised {tail}" in text, "it has no TD term"
    assert f"{label} hyplatent, TD weight 0 {tail}" in text
    assert f"40,000, preset paper | hyplatent, TD weight 0.1 {tail}" in text
    assert "- cheetah-vel, 40,000 steps, TD weight 0: 2 of 2 runs stay within 10% of" in text
    assert "at commits 000000000000, 222222222222, 2026-02-01 to 2026-02-01, 2 cores" in text


def test_how_sure_a_point_of_fine_tuning_is_comes_from_the_packed_runs(
    genhyper: ModuleType, root: Path
) -> None:
    curve = {"context": "velocity=1", "expert": -17.0, "returns": [[-20.0, -16.0]]}
    numbers = dict.fromkeys(("start_return", "end_return", "expert_return", "largest_dip"), -20.0)
    row = {**numbers, "runs": 1, "reached": 1, "median_steps": 2_000, "dipped": 0}
    tuned = {
        "suite": "cheetah-vel",
        "split_rule": "tasks:15",
        "preset": "default",
        "td_weight": 0.1,
        "steps": [0, 2_000],
        "commit": "0000000000001111",
        "date": "2026-02-01",
        "machine": {"cores": 2},
        "versions": {"mujoco": "4.0.0"},
        "starts": {"nearest": row, "hyplatent": row},
        "curves": {"nearest": [curve], "hyplatent": [curve]},
    }
    save(tuned, root, "genhyper/finetuning/run.json")
    assert "standard error over" not in genhyper.write(root).read_text()
    runs = [
        {"settings": {}, "fine_tuning": True},
        {"start": "hyplatent", "returns": [[-22.0, -18.0], [-19.0, -13.0]]},
        {"start": "nearest", "returns": [[-30.0, -10.0], [-19.0, -13.0]]},
    ]
    packed = save({}, root, "genhyper/rows/finetuning/run.jsonl.xz")
    packed.write_bytes(lzma.compress("\n".join(map(json.dumps, runs)).encode()))
    text = genhyper.write(root).read_text()
    assert "Every point is a mean of 2 episodes." in text
    assert (
        "begins 2.1 below the target, where a point's standard error over its episodes is 2.5"
        in text
    )


def test_no_autoencoder_is_trained_for_codes() -> None:
    config = config_of(make_method("hyplatent-latents"))
    assert (config["space"], config["autoencoder_updates"]) == ("latents", 0)


def test_every_column_is_of_the_plan(genhyper: ModuleType) -> None:
    asked = {name for run in GENHYPER.presets["laptop"].runs for name in run.methods}
    assert asked == {*PLANNED, *CHOSEN_OTHERWISE}
    assert {choice.other for choice in genhyper.CHOICES} <= asked | set(REFERENCES)
    assert set(genhyper.BESIDE) <= set(REFERENCES) | {"expert"}


def test_rows_that_learn_nothing_are_told_on_the_page_of_their_paper(
    genhyper: ModuleType, root: Path
) -> None:
    equal = [{"row": "nearest", "learned": "hyplatent", "kind": "as good"}]
    for suite in ("ant-dir", "walker-speed"):
        one = record(suite, {"hyplatent": 0.9}, split_rule="tasks:15", as_good_as_learned=equal)
        save(one, root, f"{suite}.json")
    text = genhyper.write(root).read_text()
    assert "Rows that learn nothing, by paired intervals: in 1 of 1 runs" in text
    assert "\n- ant-dir, tasks:15" in text and "- walker-speed" not in text

    hyperzero = script("hyperzero")
    other = without_results(hyperzero, root / "other")
    save(record("ant-dir", {"hyplatent": 0.9}, as_good_as_learned=equal), other, "ant.json")
    assert (
        "Rows that learn nothing, by paired intervals: not measured."
        in hyperzero.write(other).read_text()
    )
