from pathlib import Path

import numpy as np
import pytest

from experts.minari import from_minari
from zeroshot.cli import main
from zeroshot.suites import SUITES, Suite


@pytest.fixture(autouse=True)
def tiny(suite: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(SUITES, "tiny", suite)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))  # never the home


def words(zoo: Path, folder: Path, *more: str) -> list[str]:
    fixed = ["--zoo", str(zoo), "--folder", str(folder), "--steps", "6"]
    return ["data", "export", "tiny", "--to", "mine/tiny-v0", *fixed, *more]


def test_export_and_show(capsys: pytest.CaptureFixture[str], zoo: Path, tmp_path: Path) -> None:
    options = ("--noise", "0", "0.2", "--episodes", "3", "--seed", "4", "--value", "critic")
    assert main(words(zoo, tmp_path, *options)) == 0
    assert "tiny-v0: 8 contexts, 24 episodes, 144 steps, " in capsys.readouterr().out
    data = from_minari("mine/tiny-v0", folder=tmp_path)
    assert data.contexts == SUITES["tiny"].contexts and data.features == ("speed",)
    np.testing.assert_array_equal(data.noise, np.array([0.0, 0.2, 0.0], np.float32))
    observed = data.observations[:, 0].sum(axis=-1)
    np.testing.assert_allclose(data.values[:, 0], observed, rtol=1e-4, atol=1e-4)

    assert main(["data", "show", "mine/tiny-v0", "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    last = "ParamCheetah-v0, reward track, discount 0.99, experts unknown here; 8 contexts, 24 epi"
    assert last in said
    assert f"{data.rewards[7].sum(axis=1).mean():.1f}" in said.splitlines()[-3]


def test_the_default_folder_is_minaris(zoo: Path, tmp_path: Path) -> None:
    command = [word for word in words(zoo, tmp_path) if word not in ("--folder", str(tmp_path))]
    assert main([*command, "--noise", "0"]) == 0
    assert (tmp_path / "minari" / "mine" / "tiny-v0" / "data" / "metadata.json").is_file()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--noise", "-1"], "`noise` must be one number >= 0 an episode"),
        (["--noise"], "`noise` must be at least one number, got none"),
        (["--episodes", "0"], "`episodes` must be at least 1, got 0"),
        (["--seed", "-1"], "`seed` must be at least 0, got -1"),
        (["--value", "guess"], "guess"),
        (["--to", "tiny"], "`name` must look like cheetah/experts-v0, got 'tiny'"),
    ],
)
def test_bad_usage_is_one_line(
    capsys: pytest.CaptureFixture[str], zoo: Path, tmp_path: Path, more: list[str], text: str
) -> None:
    command = words(zoo, tmp_path)
    if more[0] == "--to":
        command[command.index("--to") + 1] = more[1]
    else:
        command += more
    assert main(command) == 2
    assert_one_line(capsys, text)
    assert not (tmp_path / "mine").exists()


def test_a_dataset_is_never_overwritten(
    capsys: pytest.CaptureFixture[str], zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "tiny-v0").mkdir(parents=True)
    monkeypatch.setattr("experts.collect", None)  # it is noticed before anything is played
    assert main(words(zoo, tmp_path)) == 2
    assert_one_line(capsys, "tiny-v0 exists already: use another name or version, or delete it")


def test_absent_and_damaged_datasets_are_named(
    capsys: pytest.CaptureFixture[str], zoo: Path, tmp_path: Path
) -> None:
    show = ["data", "show", "mine/tiny-v0", "--folder", str(tmp_path)]
    assert main(show) == 2
    assert_one_line(capsys, f"there is no dataset 'mine/tiny-v0' in {tmp_path}")
    assert main(words(zoo, tmp_path, "--noise", "0")) == 0
    capsys.readouterr()
    path = tmp_path / "mine" / "tiny-v0" / "data" / "main_data.hdf5"
    path.write_bytes(path.read_bytes()[:-1])
    assert main(show) == 2
    assert_one_line(capsys, f"{path}: checksum differs")


def test_without_minari_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experts.minari.layout.find_spec", lambda name: None)
    assert main(words(zoo, tmp_path)) == 2
    complained = assert_one_line(capsys, "pip install 'param-envs[minari]'")
    assert complained.count("pip install") == 1


def assert_one_line(capsys: pytest.CaptureFixture[str], text: str) -> str:
    complained = capsys.readouterr().err
    assert complained.startswith("zeroshot: error: ") and complained.count("\n") == 1
    assert text in complained
    return complained
