"""The page written from committed results: docs/hyperzero.md."""

import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from zeroshot.references import REFERENCES
from zeroshot.reproduce.hyperzero import HYPERZERO
from zeroshot.reproduce.pages import IN_SHORT, publish
from zeroshot.results import ROWS, SETTINGS

ROOT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    path = ROOT / "docs" / f"{name}.py"
    specification = importlib.util.spec_from_file_location(f"docs_{name}", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[module.__name__] = module  # where dataclasses look for it
    specification.loader.exec_module(module)
    return module


def test_every_effect_is_measured_by_a_run_of_the_full_plan() -> None:
    for effect in script("hyperzero").EFFECTS:
        both = {effect.ours, effect.other} - set(REFERENCES)
        found = [
            run
            for run in HYPERZERO.preset("paper").runs
            if both <= set(run.methods) and run.split in ("random", "random:0.85")
        ]
        assert found or not both, effect.choice


def without_results(module: ModuleType, root: Path) -> Path:
    """A repository that has a page for a script to write, and no results."""
    (root / "docs" / "results").mkdir(parents=True)
    short = "\n".join(IN_SHORT)
    text = f"above\n\n{short}\n\n{module.BEGIN}\nformer\n{module.END}\n\nbelow\n"
    (root / module.PAGE).write_text(text)
    return root


@pytest.fixture(scope="module")
def hyperzero() -> ModuleType:
    return script("hyperzero")


def record(suite: str, methods: dict[str, float], **changes: Any) -> dict[str, Any]:
    """A small file of results, with the ratios of methods; returns are 1000 times those."""
    trivial = ("expert", "nearest", "best-single", "best-of-direction")
    return {
        "suite": suite,
        "suite_version": 1,
        "split_rule": "random:0.85",
        "n_test": 6,
        "episodes": 10,
        "seeds": [0, 1],
        "complete": True,
        "methods": {
            name: {
                "kind": "reference" if name in trivial else "method",
                "return": 1000.0 * ratio,
                "ratio": ratio,
                "score": ratio,
                "ci": [ratio - 0.01, ratio + 0.01],
                "fit_seconds": 1800.0 if name not in trivial else 0.0,
            }
            for name, ratio in methods.items()
        },
        "score_ci": {name: [ratio - 0.1, ratio + 0.1] for name, ratio in methods.items()},
        "vs": {},
        "as_good_as_learned": [],
        "experts": "e1",
        "collection": None,
        "part": "main",
        "commit": "0123456789abcdef",
        "date": "2026-01-02T03:04:05",
        "machine": {"cores": 2},
        "versions": {"mujoco": "4.0.0"},
        **changes,
    }


def save(found: dict[str, Any], root: Path, name: str) -> Path:
    path = root / "docs" / "results" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return path


def test_ratios_of_all_suites_stand_beside_their_goals(hyperzero: ModuleType) -> None:
    assert hyperzero.main_table([]) == "On the suites' own splits: not measured."
    one = record("finger-speed", {"hyperzero": 0.95, "hyperdistil": 0.97999, "nearest": 0.9})
    two = record("walker-speed-torso", {"hyperzero": 0.89, "hyperdistil": 0.951})
    assert hyperzero.goals_said([record("finger-speed", {"film": 0.9})]) == ""
    fifth = record("cheetah-speed", {"hyperzero": 0.1}, split_rule="random:0.2")
    for run in (one, two, fifth):
        for row in run["methods"].values():
            row |= {"splits": 2, "own_seeds": [0, 1], "copies": 0.5}
    text = hyperzero.main_table([one, two, fifth])
    assert "| finger-speed | 0.950 | 0.980 | 0.900 | 50% | 2 |" in text
    assert "| walker-speed-torso | 0.890 | 0.951 | - | 50% | 2 |" in text
    assert (
        "with two) on 1 of 2 suites, not on walker-speed-torso (0.890); hyperdistil reaches its "
        "goal (0.98 with one feature, 0.95 with two) on 1 of 2 suites, not on finger-speed (just "
        "below 0.980)."
    ) in text


def test_what_a_method_is_compared_with_stands_in_tables_of_its_own(hyperzero: ModuleType) -> None:
    """Each has the splits that all in it were played on; goals are told behind the first."""
    run = record(
        "finger-speed", {"hyperzero": 0.9, "hyperdistil": 0.8, "film": 0.7, "interpolation": 0.6}
    )
    for name, row in run["methods"].items():
        seeds = [0] if name == "film" else [0, 1]
        row |= {"splits": len(seeds), "own_seeds": seeds, "copies": 0.0}
    text = hyperzero.main_table([run])
    assert "| finger-speed | 0.900 | 0.800 | 0% | 2 |" in text
    assert "| suite | hyperzero | hyperdistil | film | splits |" in text
    assert "| suite | hyperzero | interpolation | splits |" in text
    places = [text.index(said) for said in ("| 0% |", "reaches its goal", "film", "interpolation")]
    assert places == sorted(places)


@pytest.fixture
def root(hyperzero: ModuleType, tmp_path: Path) -> Path:
    return without_results(hyperzero, tmp_path)


def measured(root: Path, choice: str) -> str:
    text = (root / "docs" / "hyperzero.md").read_text()
    (line,) = [line for line in text.splitlines() if choice in line]
    return line.strip("| ").split(" | ")[-1]


@pytest.mark.parametrize("name", ["hyperzero", "genhyper"])
def test_the_committed_page_is_what_the_script_writes(name: str, tmp_path: Path) -> None:
    module = script(name)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    written = module.write(tmp_path).read_text()
    assert (ROOT / module.PAGE).read_text() == written, f"run `python docs/{name}.py`"


def test_without_results_nothing_is_measured(hyperzero: ModuleType, root: Path) -> None:
    text = hyperzero.write(root).read_text()
    assert text.startswith("above\n") and text.endswith("below\n") and "former" not in text
    for effect in hyperzero.EFFECTS:
        assert f"| {effect.choice} | not measured |" in text
    assert f"| {hyperzero.FINGER_CHOICE} | not measured |" in text
    assert "Rows that learn nothing, by paired intervals: not measured." in text
    assert "Cost of the fits: not measured." in text
    assert "| walker-torso-reach | - (0.38) |" in text
    hyperzero.write(root)
    assert (root / hyperzero.PAGE).read_text() == text, "writing again changes nothing"


def test_effects_are_differences_in_the_same_runs(hyperzero: ModuleType, root: Path) -> None:
    ratios = {"hyperzero": 0.9, "hyperzero-without-td": 0.85, "nearest": 0.95}
    pairs = {"hyperzero": {"hyperzero-without-td": [0.05, 0.01, 0.09]}}
    save(record("cheetah-speed", ratios, vs=pairs), root, "a.json")
    save(record("cheetah-speed", {**ratios, "hyperzero": 0.1}, seeds=[0]), root, "fewer.json")
    save(record("cheetah-speed", ratios, split_rule="gap"), root, "gap.json")
    hyperzero.write(root)
    assert measured(root, "without (figure 7)") == (
        "cheetah-speed, random:0.85, 2 splits: 0.900 against 0.850, difference +0.050, 95 % "
        "interval [+0.010, +0.090]"
    )
    assert measured(root, "against the nearest expert") == "not measured", "that is under reach"
    save(record("cheetah-speed-reach", ratios), root, "b.json")
    hyperzero.write(root)
    assert measured(root, "against the nearest expert") == (
        "cheetah-speed-reach, random:0.85, 2 splits: 0.900 against 0.950, no interval"
    )


def test_experts_in_the_released_fingers(
    hyperzero: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = script("released_finger")
    with pytest.raises(ValueError, match=r"EPISODES must be .* at least 1, got '0'"):
        released.main(["0"], root)
    monkeypatch.setattr(released, "SUITES", ("finger-length",))
    made = json.loads(released.main(["1"], root).read_text())
    (row,) = made["bodies"]
    assert row["released"]["touched_long"] < 0.01 < row["ours"]["touched_long"]
    assert row["released"]["return"] < row["ours"]["return"], "the experts rely on what they feel"
    hyperzero.write(root)
    said = measured(root, hyperzero.FINGER_CHOICE)
    assert said.startswith("finger-length, 31 contexts: return ")


def test_the_usual_finger_is_the_released_one() -> None:
    released = script("released_finger")
    for length in (0.16, 0.4):
        ours, theirs = released.Touching(), released.Released()
        models = [family.model(family.context(length=length)) for family in (ours, theirs)]
        same = [(model.site_pos == models[0].site_pos).all() for model in models]
        assert same == [True, length == 0.16]


def test_many_runs_are_counted(hyperzero: ModuleType, root: Path) -> None:
    for i, suite in enumerate(("cheetah-speed", "cheetah-torso", "finger-speed", "finger-length")):
        low = 0.1 * i - 0.15  # -0.15, -0.05, 0.05, 0.15
        pairs = {"hyperzero": {"hyperzero-without-td": [low + 0.04, low, low + 0.08]}}
        ratios = {"hyperzero": 0.9, "hyperzero-without-td": 0.86 - low}
        save(record(suite, ratios, vs=pairs), root, f"{suite}.json")
    hyperzero.write(root)
    assert measured(root, "without (figure 7)") == (
        "4 suites: difference of the ratios +0.040 on average, -0.110 to +0.190; surely better in "
        "2, surely worse in 1"
    )


def test_results_of_a_reproduction_are_copied(hyperzero: ModuleType, root: Path) -> None:
    folder = root / "made"
    one = record(
        "walker-torso-reach",
        {"hyperzero": 0.7, "nearest": 0.8},
        split_rule="random:0.2",
        part="fifth",
        as_good_as_learned=[
            {"row": "nearest", "learned": "hyperzero", "difference": -0.1, "ci": [-0.2, -0.05]}
        ],
    )
    path = folder / "results" / "fifth" / "walker-torso-reach-random-0.2.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**one, "run_command": f"zeroshot run a --out {folder}/runs/a"}))
    run = folder / "runs" / "fifth" / "walker-torso-reach-random-0.2"
    run.mkdir(parents=True)
    (run / SETTINGS).write_text("{}")
    (run / ROWS).write_text("")
    assert publish(folder, root / hyperzero.COPIES) == "1 files copied, 1 runs packed"
    packed = root / hyperzero.COPIES / "rows" / "fifth"
    assert [path.name for path in packed.iterdir()] == [f"{run.name}.jsonl.xz"]
    copy = root / "docs/results/hyperzero/fifth/walker-torso-reach-random-0.2.json"
    told = json.loads(copy.read_text())["run_command"]
    assert told == "zeroshot run a --out results/hyperzero/runs/a"
    text = hyperzero.write(root).read_text()
    (row,) = [line for line in text.splitlines() if line.startswith("| walker-torso-reach |")]
    assert "| - (0.06) | 0.70 (0.72) | - (0.79) |" in row and row.endswith("| - | 0.80 | 2 |")
    assert (
        "Ahead of all published methods: hyperzero on 0 of the 1 suites that are measured, "
        "nearest on 1 of the 1 suites"
    ) in text
    assert "in 1 of 1 runs one of them is as good as the best learned method, or better:" in text
    assert "- walker-torso-reach, random:0.2 (fifth): nearest, against hyperzero" in text
    assert "Cost of the fits of 1 runs: 1.0 hours" in text, "two seeds of half an hour"
    with pytest.raises(FileNotFoundError, match="no results in"):
        publish(root / "nowhere", root)


def test_suites_ahead_of_the_published_ones_are_counted(hyperzero: ModuleType, root: Path) -> None:
    """Method by method, and what learns nothing, too: the best of several is not one's merit."""
    for suite, ratios in (
        (
            "finger-speed-reach",
            {"hyperzero": 0.6, "hyperdistil": 0.9, "nearest": 0.5, "conditioned": 0.7},
        ),
        ("walker-speed-reach", {"hyperzero": 0.6, "hyperdistil": 0.5, "nearest": 0.9}),
    ):
        save(record(suite, ratios, split_rule="random:0.2", part="fifth"), root, f"{suite}.json")
    later = {"split_rule": "random:0.2", "part": "distilled", "date": "2026-02-02T03:04:05"}
    save(record("finger-speed-reach", {"hyperzero": 0.99}, **later), root, "distilled.json")
    text = hyperzero.write(root).read_text()
    said = "hyperzero on 0 of the 2 suites that are measured, hyperdistil on 1 of the 2 suites"
    assert f"Ahead of all published methods: {said}" in text
    assert "nearest on 1 of the 2 suites that are measured." in text
    assert "Here hyperzero is ahead of conditioned on 0 of 1 suites." in text


def test_the_page_shows_the_pictures_that_there_are(hyperzero: ModuleType, root: Path) -> None:
    assert "![" not in hyperzero.write(root).read_text()
    (root / hyperzero.IMAGES).mkdir()
    (root / hyperzero.IMAGES / "hyperzero-finger-length-reach.png").write_bytes(b"picture")
    text = hyperzero.write(root).read_text()
    assert text.count("![") == 1
    shown = "![finger-length-reach, main](images/hyperzero-finger-length-reach.png)"
    assert shown in text


def test_a_page_without_markers_is_refused(hyperzero: ModuleType, root: Path) -> None:
    (root / hyperzero.PAGE).write_text("no markers")
    with pytest.raises(ValueError, match="must contain"):
        hyperzero.write(root)


def test_effects_name_methods_and_sections_that_there_are(hyperzero: ModuleType) -> None:
    text = (ROOT / hyperzero.PAGE).read_text()
    asked = {name for run in HYPERZERO.presets["paper"].runs for name in run.methods}
    asked |= {"nearest", "best-of-direction"}
    for effect in hyperzero.EFFECTS:
        assert {effect.ours, effect.other} <= asked, "the plan would never measure it"
        assert re.search(rf"^{effect.section}\. \*\*", text, re.MULTILINE)
    for part in HYPERZERO.parts:
        assert f"| `{part.name}` |" in text
