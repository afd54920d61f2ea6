import importlib.util
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from experts import load_experts
from experts.audit import Audit
from experts.store import load_expert, save_expert
from tests.zeroshot.conftest import QUICK_AUDIT, make_zoo
from zeroshot.audit import check_experts, print_audit, summary_lines
from zeroshot.audit_figures import audit_figure
from zeroshot.audit_record import audit_record, load_audit, policies_fingerprint, save_audit
from zeroshot.cli import main
from zeroshot.figures import save_figure
from zeroshot.suites import SUITES, Suite

ROOT = Path(__file__).parents[2]

JOINT = Suite(
    name="joint",
    env_id="ParamCheetah-v0",
    reward="reach",
    grid={"speed": (-2.0, -1.0, 1.0, 2.0), "torso": (0.4, 0.5, 0.6)},
)


def made_up(suite: Suite, *, ids: Sequence[int] | None = None, beaten: int = 1) -> Audit:
    """An audit in which the first `beaten` experts lose by 5 %."""
    contexts = tuple(suite.contexts[i] for i in ids or range(len(suite.contexts)))
    n = len(contexts)
    encoded = suite.family.encode(contexts)
    distances = np.linalg.norm(encoded[:, None] - encoded[None], axis=-1)
    returns = 800.0 * np.exp(-distances)
    return Audit(
        family=suite.family,
        reward=suite.reward,
        contexts=contexts,
        returns=returns,
        own=np.linspace(700.0, 800.0, n),
        regret=np.where(np.arange(n) < beaten, 40.0, -10.0),
        regret_error=np.full(n, 2.0),
        rivals=(Path("zoos/other/speed=1_torso=0.5.json"),) * n,
        velocities=np.array([0.95 * context["speed"] for context in contexts]),
        limits=np.full(n, 3.0),
        threshold=0.02,
        finding_episodes=1,
        confirming_episodes=3,
        deciding_episodes=5,
        decided=np.arange(n) < beaten,
        seed=4,
    )


# ------------------------------------------------------------------------------------ command


def test_a_feature_named_velocity_has_its_column(capsys: pytest.CaptureFixture[str]) -> None:
    suite = SUITES["cheetah-vel"]
    made = made_up(SUITES["cheetah-speed"])
    of_suite = {"family": suite.family, "reward": suite.reward, "contexts": suite.contexts}
    print_audit(replace(made, **of_suite, velocities=None, limits=None), suite, Console(width=120))
    header = next(line for line in capsys.readouterr().out.splitlines() if "best rival" in line)
    names = [name.strip() for name in header.strip("┃").split("┃")]
    assert names[:3] == ["velocity", "own", "best rival"]


def test_an_audit_is_printed_and_written(
    capsys: pytest.CaptureFixture[str], tiny: str, zoo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "audits"
    words = [
        "experts",
        "audit",
        tiny,
        "--zoo",
        str(zoo),
        "--out",
        str(out),
        "--whole",
        *QUICK_AUDIT,
    ]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "tiny: 8 experts, mean return" in said and "context relevance" in said
    assert "beaten by more than 2 %" in said and "the best expert of each direction loses" in said
    assert "playing: 50 %" in said
    assert sorted(path.name for path in out.iterdir()) == ["tiny.json", "tiny.npz", "tiny.png"]
    audit, record = load_audit(out / "tiny.json")
    assert record["experts"] == policies_fingerprint(load_experts(zoo))
    assert record["n_experts"] == record["n_contexts"] == 8
    assert set(record) > {"command", "commit", "versions", "machine", "date", "seed"}
    assert record["beaten"] == int(audit.beaten.sum())
    assert record["finding_episodes"] == 1 and record["confirming_episodes"] == 3
    assert record["deciding_episodes"] == 5
    assert imread(out / "tiny.png").std() > 0.01
    np.testing.assert_allclose(record["context_relevance"], audit.context_relevance, atol=1e-3)
    assert f"mean return {audit.own.mean():.1f}" in said


def test_some_of_a_suites_experts_can_be_audited(
    capsys: pytest.CaptureFixture[str], tiny: str, suite: Suite, tmp_path: Path
) -> None:
    some = make_zoo(suite, tmp_path / "some", contexts=[1, 2, 6])
    assert main(["experts", "audit", tiny, "--zoo", str(some), *QUICK_AUDIT]) == 0
    assert "tiny: 3 of 8 experts" in capsys.readouterr().out


def test_help_has_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experts", "audit", "--help"]) == 0
    said = capsys.readouterr().out
    for name in (
        "zoo",
        "donors",
        "out",
        "episodes",
        "confirm",
        "threshold",
        "seed",
        "repair",
        "found",
    ):
        assert f"--{name}" in said
    only_repair = "rounds", "recipe", "warm-steps", "adopt", "workers", "engine", "address"
    for name in (*only_repair, "whole"):
        assert f"--{name}" in said


BAD_USAGE = [
    (["nope"], "unknown suite 'nope'"),
    (["finger-length-reach", "--zoo", "{out}"], "no experts in {out}"),
    (["cheetah-speed", "--repair"], "name their folder with --zoo"),
    (["cheetah-speed", "--found", "x.json"], "`found` begins a repair: use it with --repair"),
    (["cheetah-speed", "--adopt"], "`adopt` is a way of repair: use it with --repair"),
    (["tiny"], "no zoo 'tiny' is shipped"),
    (["tiny", "--zoo", "{zoo}", "--threshold", "-1"], "`threshold` must be at least 0, got -1"),
    (["tiny", "--zoo", "{zoo}", "--confirm", "1"], "`confirm` must be at least 2, got 1"),
    (["cheetah-speed", "--episodes", "0"], "`episodes` must be at least 1, got 0"),
    (["cheetah-speed", "--decide", "1"], "`decide` must be 0 or at least 2, got 1"),
    (["tiny", "--zoo", "{zoo}", "--recipe", "magic"], "`recipe` must be one of"),
    (["tiny", "--zoo", "{zoo}", "--donors", "{out}"], "no experts in {out}"),
    (["tiny", "--zoo", "{zoo}", "--donors", "{zoo}"], "must have different names, by which rivals"),
    (["cheetah-torso", "--zoo", "{zoo}"], "7 experts are of contexts that cheetah-torso does not"),
    (["cheetah-speed-reach", "--zoo", "{zoo}"], "the experts' reward is 'track'"),
]


@pytest.mark.parametrize(("words", "text"), BAD_USAGE, ids=lambda value: str(value)[:50])
def test_bad_usage_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    tiny: str,
    zoo: Path,
    tmp_path: Path,
    words: list[str],
    text: str,
) -> None:
    places = {"out": str(tmp_path / "out"), "zoo": str(zoo)}
    assert main(["experts", "audit", *(word.format(**places) for word in words)]) == 2
    complained = capsys.readouterr().err
    assert complained.startswith("zeroshot: error: ") and complained.count("\n") == 1
    assert text.format(**places) in complained


def test_the_summary_says_what_was_found(suite: Suite) -> None:
    lines = summary_lines(made_up(suite, beaten=2), suite)
    assert lines[0] == "tiny: 8 experts, mean return 750.0"
    assert lines[1].startswith("beaten by more than 2 %: 2 of 8; largest regret 5.7 %")
    assert "the best expert of each direction loses" in lines[3]
    # speeds up to 3 / 0.9 count as reached; each of those is missed by 5 %
    assert lines[4].startswith(
        "|v - v*| / |v*|: mean 0.050, largest 0.050, above 0.1 in 0 of the 6"
    )


# ------------------------------------------------------------------------------------ on disk


def test_a_saved_audit_is_read_again(suite: Suite, zoo: Path, tmp_path: Path) -> None:
    audit = made_up(suite)
    experts = load_experts(zoo)
    record = audit_record(audit, suite, experts=experts, donors=["other"], seconds=1.234)
    path = save_audit(audit, record, tmp_path)
    assert path.stat().st_size + path.with_suffix(".npz").stat().st_size < 10_000
    found, again = load_audit(path)
    assert again == json.loads(json.dumps(record))
    for name in ("returns", "own", "regret", "decided", "velocities", "limits"):
        np.testing.assert_allclose(getattr(found, name), getattr(audit, name), rtol=1e-4)
    assert found.contexts == audit.contexts and found.rivals[0].stem == "speed=1_torso=0.5"
    assert (found.beaten == audit.beaten).all()
    assert found.context_relevance == pytest.approx(audit.context_relevance, abs=1e-4)


@pytest.mark.parametrize(
    "damage",
    ["truncate", "no matrix", "empty matrix", "torn matrix", "bad bit", "other format", "other"],
)
def test_a_damaged_audit_is_named(suite: Suite, zoo: Path, tmp_path: Path, damage: str) -> None:
    audit = made_up(suite)
    record = audit_record(audit, suite, experts=load_experts(zoo), donors=[], seconds=1.0)
    path = save_audit(audit, record, tmp_path)
    if damage == "truncate":
        path.write_text(path.read_text()[:100])
    elif damage == "no matrix":
        path.with_suffix(".npz").unlink()
    elif damage in ("empty matrix", "torn matrix", "bad bit"):
        whole = path.with_suffix(".npz").read_bytes()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        torn = {"empty matrix": b"", "torn matrix": whole[:middle], "bad bit": flipped}[damage]
        path.with_suffix(".npz").write_bytes(torn)
    elif damage == "other format":
        path.write_text(json.dumps({**record, "format": 0}))
    else:
        np.savez(path.with_suffix(".npz"), returns=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"tiny\.json: not a whole audit"):
        load_audit(path)


def test_the_fingerprint_is_of_policies_and_not_of_critics(zoo: Path, tmp_path: Path) -> None:
    before = policies_fingerprint(load_experts(zoo))
    copy = tmp_path / "copy"
    shutil.copytree(zoo, copy)
    path = sorted(copy.glob("*.json"))[0]
    expert = load_expert(path)
    for weight in expert.critic.weights:
        weight += 1.0
    save_expert(expert, copy)
    assert policies_fingerprint(load_experts(copy)) == before
    expert.policy.weights[0][0, 0, 0] += 1.0
    save_expert(expert, copy)
    assert policies_fingerprint(load_experts(copy)) != before


# ----------------------------------------------------------------------------------- pictures


def test_one_feature_has_a_curve_and_a_matrix(suite: Suite, tmp_path: Path) -> None:
    audit = made_up(suite)
    figure = audit_figure(audit, suite)
    curve, matrix = figure.axes[:2]
    assert curve.get_xlabel() == "speed (m/s)" and curve.get_ylabel() == "return of an episode"
    handles, labels = curve.get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    assert set(shown) >= {"expert of each context", "a rival more than 2 % better"}
    assert not [label for label in labels if "published" in label], "nobody published this suite"
    triangles = shown["a rival more than 2 % better"]
    assert triangles.get_xdata().tolist() == [-3.0] and triangles.get_ydata().tolist() == [740.0]
    drawn = [
        np.sign(x.get_xdata()) for x in curve.lines if x.get_linestyle() not in ("None", "none")
    ]
    directions = {tuple(np.unique(signs)) for signs in drawn if len(signs) > 2}
    assert directions == {(-1.0,), (1.0,)}, "both are drawn, each by curves of its own"
    np.testing.assert_allclose(matrix.images[0].get_array(), audit.returns)
    assert [tick.get_text() for tick in matrix.get_xticklabels()] == [
        "-3", "-2", "-1", "1", "2", "3", "4", "5",
    ]  # fmt: skip
    save_figure(figure, tmp_path / "audit.png")
    assert (tmp_path / "audit.png").stat().st_size < 150_000


def test_two_features_have_a_heat_map_and_a_grouped_matrix() -> None:
    audit = made_up(JOINT, ids=[0, 1, 2, 3, 4, 5, 6, 7, 8])
    figure = audit_figure(audit, JOINT)
    heat, matrix = figure.axes[:2]
    assert heat.get_xlabel() == "speed (m/s)" and heat.get_ylabel() == "torso (m)"
    cells = np.asarray(heat.images[0].get_array(), dtype=float)
    assert cells.shape == (3, 4)
    assert (
        cells[0, 0] == audit.own[0] and cells[2, 0] == audit.own[2] and cells[1, 1] == audit.own[4]
    )
    texts = [text.get_text() for text in heat.texts]
    assert len(texts) == 9 and texts.count("700*") == 1, "no text where there is no expert"
    assert [tick.get_text() for tick in matrix.get_xticklabels()] == ["-2", "-1", "1"]
    assert matrix.get_xticks().tolist() == [1.0, 4.0, 7.0]
    assert "within each group torso 0.4 to 0.6" in matrix.get_xlabel()
    assert "joint, 9 of 12" in figure.get_suptitle()


def test_the_published_mean_is_drawn_where_there_is_one() -> None:
    suite = SUITES["cheetah-torso-reach"]
    curve = audit_figure(made_up(suite, beaten=0), suite).axes[0]
    labels = curve.get_legend_handles_labels()[1]
    assert "published experts' mean, 963.1" in labels
    assert not [label for label in labels if "rival" in label]


# ---------------------------------------------------------------------------------- docs/zoo.md


@pytest.fixture
def generator() -> ModuleType:
    specification = importlib.util.spec_from_file_location("zoo", ROOT / "docs" / "zoo.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def root(
    tmp_path: Path,
    tiny: str,
    suite: Suite,
    generator: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A repository with a zoo of 7 of the suite's 8 experts, and its audit."""
    zoo = make_zoo(suite, tmp_path / "zoos" / "tiny", contexts=range(7))
    monkeypatch.setattr("experts.store.ZOO", zoo.parent)
    for i, path in enumerate(sorted(zoo.glob("*.json"))):
        record = json.loads(path.read_text())
        record |= {"commit": "0123456789abcdef", "date": "2026-01-02T03:04:05", "seconds": 1800.0}
        record |= {"machine": "x86_64", "versions": {"mujoco": "4.0.0"}, "steps": 500_000}
        record["shortfall"] = "0.5 of it: improvable" if i == 0 else None
        path.write_text(json.dumps(record))
    docs = tmp_path / "docs"
    (docs / "builds").mkdir(parents=True)
    (docs / "builds" / "tiny.sh").write_text("#!/bin/sh\nzeroshot experts build tiny\n")
    (docs / "zoo.md").write_text(f"above\n{generator.BEGIN}\nold\n{generator.END}\nbelow\n")
    audit = made_up(suite, ids=range(7))
    experts = check_experts(suite, zoo)
    record = audit_record(audit, suite, experts=experts, donors=["other"], seconds=12.0)
    save_audit(audit, record, tmp_path / generator.AUDITS)
    return tmp_path


def test_the_page_is_written_between_the_markers(generator: ModuleType, root: Path) -> None:
    assert generator.write(root=root) == ["tiny"]
    text = (root / "docs" / "zoo.md").read_text()
    assert text.startswith("above\n") and text.endswith("below\n") and "old" not in text
    (row,) = [line for line in text.splitlines() if line.startswith("| [`tiny`]")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:6] == ["7 of 8", "4.0", "", "7", "1"], "mean of 1 to 7; nothing is published"
    assert cells[7] == "0.050"
    assert "### tiny" in text and "7 made-up; 3.5 million steps and 3.5 core-hours" in text
    assert "2026-01-02, x86_64, MuJoCo 4.0.0; commits 0123456789ab." in text
    assert "```bash\nzeroshot experts build tiny\n```" in text
    assert "](results/audits/tiny.png)" in text
    assert (root / "docs" / "results" / "audits" / "tiny.png").stat().st_size > 10_000
    assert "rivals from other too, 1 to find, 3 episodes to confirm and 5 to decide in 1" in text
    assert "improvable: " in text
    before = text
    generator.write(root=root)
    assert (root / "docs" / "zoo.md").read_text() == before, "writing again changes nothing"


def test_a_zoo_without_an_audit_is_listed(generator: ModuleType, root: Path) -> None:
    shutil.rmtree(root / generator.AUDITS)
    generator.write(root=root)
    text = (root / "docs" / "zoo.md").read_text()
    assert "| not audited |" in text and "png" not in text and "### tiny" in text


def test_what_does_not_fit_is_refused(generator: ModuleType, root: Path, suite: Suite) -> None:
    page = root / "docs" / "zoo.md"
    before = page.read_text()
    page.write_text("no markers")
    with pytest.raises(ValueError, match="must contain"):
        generator.write(root=root)
    page.write_text(before)
    sorted((root / "zoos" / "tiny").glob("*.json"))[0].unlink()
    with pytest.raises(ValueError, match="is of other experts than those shipped: repeat"):
        generator.write(root=root)
    assert page.read_text() == before


def test_the_committed_page_is_what_the_script_writes(
    generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experts.store import ZOO

    for folder in (generator.AUDITS, generator.BUILDS):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    page = Path("docs/zoo.md")
    shutil.copyfile(ROOT / page, tmp_path / page)
    monkeypatch.setattr(generator, "audit_figure", lambda *_: None)
    monkeypatch.setattr(generator, "save_figure", lambda *_: None)
    written = generator.write(tmp_path)
    assert set(written) == {path.name for path in ZOO.iterdir() if path.is_dir()}
    assert (ROOT / page).read_text() == (tmp_path / page).read_text(), "run `python docs/zoo.py`"


def test_shipped_experts_of_a_suite_have_one_discount_and_one_critic() -> None:
    """Or no rollouts can be had of them."""
    from experts.store import ZOO

    for path in sorted(ZOO.iterdir()):
        records = [json.loads(file.read_text()) for file in path.glob("*.json")]
        assert len({(record["discount"], record["critic"]) for record in records}) == 1, path.name
