import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zeroshot.cli import FAILED, main
from zeroshot.results import ROWS, SUMMARY, read_rows
from zeroshot.suites import SUITES, Suite


@pytest.fixture
def tiny(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(SUITES, "tiny", suite)
    return "tiny"


def test_suites_as_json(capsys: pytest.CaptureFixture[str], tiny: str) -> None:
    assert main(["suites", "--json"]) == 0
    records = {record["name"]: record for record in json.loads(capsys.readouterr().out)}
    assert set(records) == set(SUITES)
    record = records["cheetah-speed"]
    assert record["family"] == "ParamCheetah-v0" and record["features"] == ["speed"]
    assert len(record["contexts"]) == 40
    assert record["contexts"][0] == {"speed": -10.0, "torso": 0.5}
    assert records["tiny"]["expert_return"] is None, "no zoo of that name is shipped"


def test_suites_with_a_zoo_have_its_mean_return(
    capsys: pytest.CaptureFixture[str], tiny: str, zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experts.store.ZOO", zoo.parent)
    assert main(["suites", "--json"]) == 0
    records = {record["name"]: record for record in json.loads(capsys.readouterr().out)}
    assert records["tiny"]["expert_return"] == pytest.approx(4.5)  # mean of 1 .. 8
    assert main(["suites"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if " tiny " in line]
    assert "4.5" in line and "track" in line


def test_run_writes_results_summary_and_figures(
    capsys: pytest.CaptureFixture[str], tiny: str, zoo: Path, user_module: str, tmp_path: Path
) -> None:
    method = f"{user_module}:Mean"
    words = ["run", tiny, "--methods", method, "--seeds", "2", "--workers", "1"]
    words += ["--zoo", str(zoo), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert method in said and "best-single" in said and "95 % interval" in said
    assert len(read_rows(tmp_path / "out" / ROWS)) == 7 * 2 * 6
    summary = json.loads((tmp_path / "out" / SUMMARY).read_text())
    assert summary["suite"] == "tiny" and summary["train_fraction"] == 0.7
    assert set(summary) > {"suite", "train_fraction", "methods", "seeds", "episodes", "command"}
    assert set(summary) > {"commit", "versions", "machine", "date"}
    for name, row in summary["methods"].items():
        assert set(row) == {"kind", "return", "ratio", "score", "ci", "fit_seconds", "copies"}
        assert row["kind"] == ("method" if name == method else "reference")
        assert len(row["ci"]) == 2 and row["ci"][0] <= row["ci"][1]
    assert summary["methods"]["expert"]["ratio"] == pytest.approx(1.0)
    assert summary["methods"]["expert"]["score"] == pytest.approx(1.0)
    assert (tmp_path / "out" / "return-versus-context.png").stat().st_size > 10_000

    assert main(words) == 2
    assert_one_line(capsys, "is not empty: use --resume to go on with it, or another --out")
    assert main([*words, "--resume"]) == 0
    assert "0 units to do" in capsys.readouterr().out


def test_a_method_in_the_current_folder_is_found(
    tiny: str,
    zoo: Path,
    user_module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = Path(sys.path[0])
    monkeypatch.setattr(sys, "path", sys.path[1:])
    monkeypatch.chdir(folder)
    words = ["run", tiny, "--methods", f"{user_module}:Mean", "--seeds", "1", "--workers", "1"]
    assert main([*words, "--zoo", str(zoo), "--out", str(tmp_path / "out")]) == 0


BAD_USAGE = [
    (
        [],
        "Expected one of {suites, methods, run, report, reproduce, film, experts, data, finetune, "
        "samples}",
    ),
    (["bogus"], "Unrecognized options: bogus"),
    (["run"], "Missing from zeroshot run"),
    (["run", "cheetah-speed", "--out", "{out}", "--bogus"], "Unrecognized options"),
    (["run", "cheetah-speed", "--out", "{out}", "--seeds", "x"], "seeds"),
    (["run", "nope", "--out", "{out}"], "unknown suite 'nope', allowed are ['"),
    (
        ["run", "cheetah-speed", "--methods", "hyperzero,nope", "--out", "{out}"],
        "unknown method 'nope', allowed are ['conditioned'",
    ),
    (
        ["run", "cheetah-speed", "--methods", "nopkg.mod:Mine", "--out", "{out}"],
        "there is no module 'nopkg'",
    ),
    (["run", "cheetah-speed", "--methods", ",", "--out", "{out}"], "at least one method"),
    (["run", "cheetah-speed", "--seeds", "0", "--out", "{out}"], "`seeds` must be at least 1"),
    (["run", "cheetah-speed", "--workers", "-1", "--out", "{out}"], "`workers` must be at least 0"),
    (["run", "cheetah-speed", "--zoo", "{out}", "--out", "{out}"], "no experts in {out}"),
    (["film", "nope", "--context", "speed=1", "--out", "a.gif"], "unknown suite 'nope'"),
    (["film", "cheetah-speed", "--context", "speed=1", "--out", "a.avi"], ".mp4 or .gif"),
    (
        ["film", "cheetah-speed", "--context", "speed=30", "--out", "a.gif"],
        "`speed` must be in [-10, 10] without 0 (m/s), got 30",
    ),
    (["film", "cheetah-speed", "--context", "mass=3", "--out", "a.gif"], "unknown feature `mass`"),
    (["film", "cheetah-speed", "--context", "speed", "--out", "a.gif"], "feature=value"),
    (["film", "cheetah-speed", "--context", "speed=fast", "--out", "a.gif"], "must be a number in"),
    (
        ["film", "cheetah-speed", "--context", "speed=1", "--width", "5", "--out", "a.mp4"],
        "`width` must be even for an mp4, got 5",
    ),
    (["experts", "build", "nope", "--out", "{out}"], "unknown suite 'nope'"),
    (
        ["experts", "build", "cheetah-speed", "--recipe", "magic", "--out", "{out}"],
        "`recipe` must be one of",
    ),
    (
        ["experts", "build", "cheetah-speed", "--anchors", "speed=4", "--out", "{out}"],
        "`anchors`, `anchor_zoo`, `along` and `handed_on` must come with --chain",
    ),
    (
        ["experts", "build", "cheetah-speed", "--handed-on", "0", "--out", "{out}"],
        "`anchors`, `anchor_zoo`, `along` and `handed_on` must come with --chain",
    ),
    (
        ["experts", "build", "cheetah-speed", "--chain", "--anchors", "all", "--out", "{out}"],
        "`anchors` all must come with `anchor_zoo`: nothing would be chained",
    ),
    (
        ["experts", "turn", "ant-dir", "--home", "direction=5", "--zoo", ".", "--out", "{out}"],
        "'direction=5' is not a context of ant-dir",
    ),
    (
        [*"experts turn ant-dir --home direction=0.769369629 --zoo . --out".split(), "{out}"],
        "`home` must not be a context that is always held out, got Context(direction=0.769",
    ),
    (
        ["experts", "turn", "cheetah-vel", "--home", "velocity=3", "--zoo", ".", "--out", "{out}"],
        "`frames` needs a family whose tasks are one, turned; CheetahVel() is none",
    ),
    (
        [
            *"experts turn ant-dir --home direction=5 --zoo . --as-it-is --seed 1 --out".split(),
            "{out}",
        ],
        "`seed` must not come with --as-it-is: nothing is trained",
    ),
    (
        [
            *"experts turn ant-dir --home direction=5 --zoo . --as-it-is".split(),
            *"--checkpoint-last 3 --out {out}".split(),
        ],
        "`checkpoint_last` must not come with --as-it-is: nothing is trained",
    ),
    (
        [*"experts turn ant-dir --home direction=5 --zoo . --seam 5 --out".split(), "{out}"],
        "`seam` must come with --as-it-is",
    ),
    *(
        (
            [*words.split(), *"--zoo . --as-it-is --out".split(), "{out}"],
            f"`home` must not be a context that is always held out, by {suite}, got Context(dir",
        )
        for words, suite in (
            ("experts turn ant-dir --home direction=0.769369629", "ant-dir"),
            ("experts turn ant-dir-macaw --home direction=0.769369629", "ant-dir"),
            ("experts turn ant-dir-macaw --home direction=0.76937", "ant-dir"),
            ("experts turn ant-dir-macaw --home direction=0.904175", "ant-dir-macaw"),
        )
    ),
    *(
        (
            [
                *f"experts turn ant-dir-macaw --home direction=5 --seam {seam}".split(),
                *("--zoo", ".", "--as-it-is", "--out", "{out}"),
            ],
            f"`seam` must be in [0, 6.03681), with a `direction` beyond it, got {seam}",
        )
        for seam in ("nan", "9.0", "6.1")
    ),
    (
        ["experts", "build", "cheetah-speed", "--batched", "--out", "{out}"],
        "`recipe` must be of TD3 or SAC for a batched build, one of ['sac-fast',",
    ),
    (
        ["experts", "build", "cheetah-speed", "--batched", "--chain", "--out", "{out}"],
        "`chain` must not come with --batched: all its agents begin at once, in one process",
    ),
    (
        ["experts", "build", "cheetah-speed", "--batched", "--workers", "2", "--out", "{out}"],
        "`workers` must not come with --batched",
    ),
    (
        ["experts", "build", "cheetah-speed", "--device", "cpu", "--out", "{out}"],
        "`device` must come with --batched",
    ),
    (
        ["experts", "build", "cheetah-speed", "--batched", "--batch-size", "0", "--out", "{out}"],
        "`batch_size` must be at least 1, got 0",
    ),
    (["experts", "repair", "cheetah-speed", "--out", "{out}"], "no experts in {out}"),
    (["experts", "show", "cheetah-speed", "--zoo", "{out}"], "no experts in {out}"),
]


@pytest.mark.parametrize(("words", "text"), BAD_USAGE, ids=lambda value: str(value)[:60])
def test_bad_usage_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], text: str
) -> None:
    out = str(tmp_path / "out")
    assert main([word.format(out=out) for word in words]) == 2
    assert_one_line(capsys, text.replace("{out}", out))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_method_that_raises_leaves_its_traceback_and_exit_code_1(
    capsys: pytest.CaptureFixture[str],
    tiny: str,
    zoo: Path,
    user_module: str,
    tmp_path: Path,
    workers: str,
) -> None:
    words = ["run", tiny, "--methods", f"{user_module}:Raises", "--seeds", "1"]
    words += ["--workers", workers, "--zoo", str(zoo), "--out", str(tmp_path)]
    assert main(words) == 1
    complained = capsys.readouterr().err
    assert "RuntimeError: no luck today" in complained and "mymodule.py" in complained
    kept = len(read_rows(tmp_path / ROWS))
    lost = 6 * 6 - kept  # what another worker was at when it happened
    assert lost in range(0, 6 * int(workers), 6), "the reference rows are kept"


def test_help_has_every_option_and_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    options = {
        "run": ["--methods", "--seeds", "--out", "--resume", "--workers", "--zoo", "--train-rows"],
        "film": ["--method", "--context", "--out", "--seed", "--steps", "--width", "--height"],
        "experts build": [
            *("--recipe", "--out", "--workers", "--chain", "--anchors", "--anchor-zoo"),
            "--handed-on",
            *("--batched", "--batch-size", "--device", "--checkpoint-every", "--checkpoint-last"),
        ],
        "experts turn": [
            *("--home", "--zoo", "--out", "--recipe", "--warm-steps", "--seed"),
            *("--checkpoint-every", "--checkpoint-from", "--checkpoint-last"),
        ],
        "experts repair": ["--recipe", "--out", "--workers", "--donors", "--threshold", "--seed"],
        "suites": ["--json"],
    }
    for command, names in options.items():
        assert main([*command.split(), "--help"]) == 0
        said = capsys.readouterr().out
        for name in names:
            assert name in said
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "130 interrupted" in said and "--tyro-print-completion" in said
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("zeroshot 0.")


def test_turned_trainings_are_told_what_to_keep(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        "experts.turned_build.build_turned", lambda *_, **given: asked.append(given["checkpoints"])
    )
    words = ["experts", "turn", "ant-dir", "--home", "direction=1.410510987", "--zoo", "somewhere"]
    words += ["--out", str(tmp_path)]
    assert main(words) == 0
    assert main([*words, "--checkpoint-every", "5000", "--checkpoint-last", "3"]) == 0
    assert asked[0] is None
    assert (asked[1].directory, asked[1].every) == (tmp_path / "checkpoints", 5000)
    assert (asked[1].start, asked[1].last) == (0, 3)
    assert main([*words, "--checkpoint-last", "3"]) == 2


def test_experts_are_turned_as_they_are_or_there_is_nothing_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    homes = []

    def turned(*_: object, home: Any, **__: object) -> int:
        homes.append(home["direction"])
        return 50 if len(homes) == 1 else 0

    monkeypatch.setattr("experts.turned_build.turn_as_it_is", turned)
    words = "experts turn ant-dir-macaw --home direction=1.410510987 --zoo experts/zoo/ant-dir"
    words = [*words.split(), "--as-it-is", "--out", str(tmp_path)]
    assert main(words) == 0
    assert "nothing" not in capsys.readouterr().out
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "nothing to do, all are there; experts of ant-dir-macaw:" in said
    assert homes == [1.410510987] * 2


def test_shell_completion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tyro-print-completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert "complete" in script and "film" in script


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(suite: Suite) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zeroshot.commands.suite_record", interrupt)
    assert main(["suites"]) == 130


def test_listing_suites_does_not_load_torch() -> None:
    code = (
        "import sys; from zeroshot.cli import main; main(['suites', '--json']); "
        "print([name for name in ('torch', 'matplotlib', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_show_experts(capsys: pytest.CaptureFixture[str], tiny: str, zoo: Path) -> None:
    assert main(["experts", "show", tiny, "--zoo", str(zoo)]) == 0
    said = capsys.readouterr().out
    assert "mean return 4.5" in said and said.count("made-up") == 8


def assert_one_line(capsys: pytest.CaptureFixture[str], text: str) -> None:
    complained = capsys.readouterr().err
    assert complained.startswith("zeroshot: error: ") and complained.count("\n") == 1
    assert text in complained


def test_what_nobody_foresaw_leaves_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A ValueError that no line raised on purpose is no bad usage."""

    def broken(words: list[str]) -> Callable[[], int]:
        return lambda: int("seven")

    monkeypatch.setattr("zeroshot.cli._parse", broken)
    assert main(["suites"]) == FAILED
    said = capsys.readouterr().err
    assert "Traceback" in said and "invalid literal" in said
