"""A plan is done, killed, resumed and estimated."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zeroshot.cli import main
from zeroshot.reproduce import PLANS
from zeroshot.reproduce.execution import outcomes, perform
from zeroshot.reproduce.folders import folder_of
from zeroshot.reproduce.plan import Figure, Part, Plan, PlannedFilm, PlannedRun, Preset
from zeroshot.reproduce.records import read_records, record_path
from zeroshot.reproduce.report import report
from zeroshot.results import REPORT, ROWS, SUMMARY, read_rows
from zeroshot.run_estimates import Measured
from zeroshot.suites import SUITES, Suite

GENERATED = """
from hyper.hyperzero import HyperZero, HyperZeroConfig


def three_updates():
    return HyperZero(HyperZeroConfig(embedding_sizes=(4,), hidden_size=8, updates=3))
"""


def make_plan(suite: Suite, method: str, *, slow: str | None = None) -> Plan:
    """Four runs: of the tiny suite, with a fraction and with shots, and of one without experts."""
    SUITES["tiny"] = suite
    SUITES["lacking"] = Suite(
        name="lacking", env_id=suite.env_id, reward="track", grid={"speed": (1.0, 2.0, 3.0)}
    )
    own, second = (method, "interpolation"), slow or method
    runs = (
        PlannedRun(part="main", suite="tiny", methods=own, seeds=2, published={method: 12.3}),
        PlannedRun(part="main", suite="lacking", methods=own, seeds=2),
        PlannedRun(part="shots", suite="tiny", methods=(method,), seeds=1, shots=(1,)),
        PlannedRun(part="fifth", suite="tiny", split="random:0.4", methods=(second,), seeds=1),
    )
    return Plan(
        name="tiny",
        title="A paper",
        parts=tuple(Part(name=p, title=f"On {p}", note="") for p in ("main", "shots", "fifth")),
        figures=(
            Figure(label="Figure 9", shows="it", part="main", suites=("tiny",), file="report.html"),
        ),
        presets={"laptop": Preset(doc="Less of all.", runs=runs)},
        sources="somebody.",
    )


@pytest.fixture
def plan(suite: Suite, zoo: Path, user_module: str, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr("experts.store.ZOO", zoo.parent)
    for name in ("tiny", "lacking"):  # so that both are gone afterwards
        monkeypatch.setitem(SUITES, name, suite)
    found = make_plan(suite, f"{user_module}:Mean")
    monkeypatch.setitem(PLANS, "tiny", found)
    return found


# --------------------------------------------------------------------------------- execution


def test_a_plan_is_done_and_what_lacks_experts_is_named(
    capsys: pytest.CaptureFixture[str], plan: Plan, tmp_path: Path
) -> None:
    out, method = tmp_path / "out", plan.presets["laptop"].runs[0].methods[0]
    words = ["reproduce", "tiny", "--out", str(out), "--workers", "1"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "Not run, the zoo is not complete: lacking (no experts are shipped)." in said

    summary = json.loads((out / SUMMARY).read_text())
    assert summary["states"] == {"finished": 3, "unfinished": 0, "skipped": 1, "failed": 0}
    assert summary["skipped_suites"] == {"lacking": "no experts are shipped"}
    assert not summary["complete"] and summary["preset_doc"] == "Less of all."
    (entry,) = [entry for entry in summary["work"] if entry["name"] == "main/tiny"]
    assert entry["state"] == "finished" and entry["seeds"] == 2
    assert entry["command"].startswith("zeroshot run tiny --methods")

    record = json.loads((out / "results" / "main" / "tiny.json").read_text())
    rows = read_rows(out / "runs" / "main" / "tiny" / ROWS)
    mine = record["methods"][method]
    for seed in (0, 1):
        own = [r["return"] for r in rows if (r["method"], r["seed"]) == (method, seed)]
        assert mine["returns"][seed] == pytest.approx(np.mean(own), abs=1e-3)
    assert record["split_rule"] == "random:0.7" and record["part"] == "main"
    assert record["vs"][method]["nearest"][1] <= record["vs"][method]["nearest"][2]
    assert "profile" not in record

    text = (out / "tables.md").read_text()
    spread = np.std(mine["returns"], ddof=1)
    assert f"{mine['return']:.1f} ± {spread:.1f} (12.3)" in text
    assert (
        "[main/tiny](runs/main/tiny/report.html)" in text and "| Figure 9 | it | 1 of 1 |" in text
    )
    for name in ("main/tiny", "fifth/tiny-random-0.4", "shots/tiny"):
        assert (out / "runs" / name / "report.html").exists()
    assert (out / "runs/main/tiny/return-versus-context.png").exists()
    assert "k = 0 | k = 1" in text and "were changed" not in text
    page = (out / "tables.html").read_text()
    assert "Less of all." in page and 'href="runs/main/tiny/report.html"' in page


def test_the_top_says_where_nothing_has_to_be_learned(plan: Plan, tmp_path: Path) -> None:
    preset = plan.presets["laptop"].chosen(suites=["tiny"], parts=["main"], seeds=1)
    found = perform(preset, tmp_path)
    records = read_records(found, tmp_path)
    record = records["main/tiny"]
    record["as_good_as_learned"] = [
        {"row": "nearest", "learned": "mine", "difference": -0.1, "ci": [-0.2, -0.05]},
        {"row": "best-single", "learned": "mine", "difference": 0.0, "ci": [-0.1, 0.1]},
    ]
    path = record_path(preset.runs[0], tmp_path)
    path.write_text(json.dumps(record))
    (written, _) = report(plan, "laptop", preset, found, tmp_path)
    text = written.read_text()
    assert "Less of all. Its parts, suites, methods or splits were changed: " in text
    first = text.index("## Read this first")
    assert text.index("In 1 of 1 finished runs a row that learns nothing") > first
    assert "main/tiny: nearest (better), best-single (as good), against mine." in text
    assert text.index("nearest (better)") > text.index("## Commands"), "at the end"
    summary = json.loads((tmp_path / SUMMARY).read_text())
    assert list(summary["as_good_as_learned"]) == ["main/tiny"]


def test_what_is_finished_is_not_done_again(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = plan.presets["laptop"].chosen(parts=["main", "fifth"], seeds=1)
    states = [outcome.state for outcome in perform(preset, tmp_path)]
    assert states == ["finished", "skipped", "finished"]
    done, run = [], "zeroshot.reproduce.execution.run"
    monkeypatch.setattr(run, lambda *args, **words: done.append(words["out"]))
    perform(preset, tmp_path)
    assert done == []
    (folder_of(preset.runs[0], tmp_path) / REPORT).unlink()  # killed before it was written
    perform(preset, tmp_path)
    assert done == [folder_of(preset.runs[0], tmp_path)]
    rows = folder_of(preset.runs[2], tmp_path) / ROWS
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:-1]))  # as a kill may
    more = plan.presets["laptop"].chosen(parts=["main", "fifth"], seeds=2)
    assert [o.state for o in outcomes(preset, tmp_path)] == ["finished", "skipped", "unfinished"]
    assert [o.state for o in outcomes(more, tmp_path)] == ["unfinished", "skipped", "unfinished"]


def test_what_was_made_otherwise_is_not_finished_and_not_mixed(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = plan.presets["laptop"].chosen(parts=["fifth"])
    assert [outcome.state for outcome in perform(preset, tmp_path)] == ["finished"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zeroshot.run.config_of", lambda method: {"updates": 1})
        (outcome,) = perform(preset, tmp_path)
    assert outcome.state == "failed" and "with another config (seconds, updates" in outcome.reason
    monkeypatch.setitem(SUITES, "tiny", replace(SUITES["tiny"], version=2))
    (outcome,) = perform(preset, tmp_path)
    assert outcome.state == "failed" and "suite_version" in outcome.reason


def test_runs_on_the_same_experts_share_the_transfer_matrix(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zeroshot.run

    calls = []
    original = zeroshot.run.transfer_matrix
    monkeypatch.setattr(
        zeroshot.run, "transfer_matrix", lambda *a, **k: calls.append(1) or original(*a, **k)
    )
    preset = plan.presets["laptop"].chosen(suites=["tiny"], seeds=1)
    perform(preset, tmp_path)
    matrices = [np.load(folder_of(run, tmp_path) / "transfer.npy") for run in preset.runs]
    assert len(calls) == 1 and len(matrices) == 3
    assert all((matrix == matrices[0]).all() for matrix in matrices)


def test_a_run_that_fails_is_named_and_the_others_are_done(
    capsys: pytest.CaptureFixture[str],
    suite: Suite,
    plan: Plan,
    user_module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PLANS, "tiny", make_plan(suite, f"{user_module}:Raises"))
    changed = PLANS["tiny"].presets["laptop"].runs
    good = PlannedRun(part="fifth", suite="tiny", methods=(f"{user_module}:Mean",), seeds=1)
    preset = Preset(doc="", runs=(changed[0], good))
    found = perform(preset, tmp_path)
    assert [outcome.state for outcome in found] == ["failed", "finished"]
    assert found[0].reason == "RuntimeError: no luck today"
    words = ["reproduce", "tiny", "--out", str(tmp_path), "--workers", "1", "--parts", "main"]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "Failed: main/tiny (RuntimeError: no luck today)." in said
    assert "Traceback" in said


def test_results_of_other_experts_are_not_passed_off_as_these(plan: Plan, tmp_path: Path) -> None:
    preset = plan.presets["laptop"].chosen(suites=["tiny"], parts=["main"], seeds=1)
    perform(preset, tmp_path)
    settings = folder_of(preset.runs[0], tmp_path) / "run.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "experts": "others"}))
    (found,) = perform(preset, tmp_path)
    assert found.state == "failed" and "was made with another `experts`" in found.reason


def test_a_film_is_made_once_of_what_the_plan_says(
    plan: Plan, user_module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []

    def film(family: Any, policies: Any, context: Any, path: Path, *, reward: str) -> None:
        shown.append((family.env_id, dict(context), reward, policies.action.shape))
        path.parent.mkdir(parents=True)
        path.write_bytes(b"film")

    monkeypatch.setattr("zeroshot.film.film", film)
    work = PlannedFilm(suite="tiny", context=("speed=2.5",), method=f"{user_module}:Mean")
    preset = Preset(doc="", runs=(), films=(work, replace(work, suite="lacking")))
    for _ in range(2):
        assert [o.state for o in perform(preset, tmp_path)] == ["finished", "skipped"]
    assert shown == [("ParamCheetah-v0", {"speed": 2.5, "torso": 0.5}, "track", (6,))]
    figure = Figure(label="Figure 6", shows="films", part="films", suites=("tiny",), file="")
    report(replace(plan, figures=(figure,)), "laptop", preset, perform(preset, tmp_path), tmp_path)
    assert f"| 1 of 1 | [{work.name}]({work.name}.mp4) |" in (tmp_path / "tables.md").read_text()


@pytest.mark.slow
def test_a_learned_method_goes_through(
    plan: Plan, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "generated.py").write_text(GENERATED)
    monkeypatch.syspath_prepend(str(tmp_path))
    tiny = make_plan(suite, "generated:three_updates").presets["laptop"]
    found = perform(tiny, tmp_path / "out")
    assert [outcome.state for outcome in found] == ["finished", "skipped", "finished", "finished"]
    records = read_records(found, tmp_path / "out")
    curves = records["shots/tiny"]["few_shot"]["demonstrations"]["generated:three_updates"]
    assert [point["shots"] for point in curves] == [0, 1]


# -------------------------------------------------------------------------- command and kills


def test_the_estimate_starts_nothing(
    capsys: pytest.CaptureFixture[str],
    plan: Plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fit takes an hour on 6 training contexts, and two thirds of it on 4; playing nothing."""
    measured, cores = [], os.cpu_count() or 1

    def measure(bench: Any, names: list[str], **_: Any) -> dict[str, Measured]:
        measured.append((str(bench.rule), bench.shots, list(names)))
        return {name: Measured(seconds=3600.0 * (":" in name)) for name in names}

    monkeypatch.setattr("zeroshot.reproduce.estimate.measure", measure)
    method, out = plan.presets["laptop"].runs[0].methods[0], tmp_path / "out"
    words = ["reproduce", "tiny", "--out", str(out), "--workers", "1", "--estimate"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert measured == [("random:0.7", (), ["expert", "cloning", method, "interpolation"])]
    assert "skipped: lacking (no experts are shipped)" in said and "nothing was started" in said
    # main: 6 references and 2 methods, twice; shots: one more reference, 1 method; fifth: 6 and 1.
    assert _estimated(said) == {
        "main": ["1", "16", f"{2 * cores:.2f}", "2:00:00"],
        "shots": ["1", "8", f"{cores:.2f}", "1:00:00"],
        "fifth": ["1", "7", f"{2 / 3 * cores:.2f}", "0:40:00"],
        "all": ["3", "31", f"{11 / 3 * cores:.2f}", "3:40:00"],
    }
    assert not out.exists()
    perform(plan.presets["laptop"].chosen(parts=["main"]), out)
    assert main(words) == 0
    assert list(_estimated(capsys.readouterr().out)) == ["shots", "fifth", "all"]
    assert main([*words, "--parts", "main"]) == 0
    assert "runs: nothing to do" in capsys.readouterr().out


def _estimated(said: str) -> dict[str, list[str]]:
    """The lines of the table: part to its numbers."""
    lines = [line.strip("│ ").split("│") for line in said.splitlines() if line.startswith("│")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_describing_starts_nothing(
    capsys: pytest.CaptureFixture[str], plan: Plan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert main(["reproduce", "tiny", "--out", str(out), "--describe"]) == 0
    said = capsys.readouterr().out
    assert "Less of all." in said and "unfinished: shots/tiny" in said
    assert "skipped: main/lacking (no experts are shipped)" in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["nope"], "unknown paper 'nope', allowed are ['genhyper', 'hyperzero'"),
        (["hyperzero", "--preset", "huge"], "`preset` must be one of ['laptop', 'paper'], got"),
        (["hyperzero", "--suites", "nope"], "`suites` must be among"),
        (["hyperzero", "--workers", "-1"], "`workers` must be at least 0, got -1"),
    ],
)
def test_bad_usage_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], text: str
) -> None:
    assert main(["reproduce", *words, "--out", str(tmp_path / "out")]) == 2
    complained = capsys.readouterr().err
    assert complained.count("\n") == 1 and text in complained
    assert not (tmp_path / "out").exists()


SCRIPT = """
import sys
from pathlib import Path

import experts.store
from zeroshot.cli import main
from zeroshot.reproduce import PLANS
from zeroshot.suites import Suite

sys.path.insert(0, {folder!r})
from test_reproduce import make_plan

if __name__ == "__main__":
    experts.store.ZOO = Path({zoo!r})
    PLANS["tiny"] = make_plan(Suite(**{suite!r}), {mean!r}, slow={slow!r})
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_killed_and_started_again_it_ends_as_if_it_had_not_been(
    plan: Plan, suite: Suite, zoo: Path, user_module: str, tmp_path: Path
) -> None:
    record = {
        name: getattr(suite, name)
        for name in ("name", "env_id", "reward", "grid", "train_fraction", "n_episodes", "n_steps")
    }
    script = tmp_path / "script.py"
    script.write_text(
        SCRIPT.format(
            folder=str(Path(__file__).parent),
            zoo=str(zoo.parent),
            suite=record,
            mean=f"{user_module}:Mean",
            slow=f"{user_module}:Slow",
        )
    )
    out = tmp_path / "killed"
    words = ["reproduce", "tiny", "--out", str(out), "--workers", "1", "--seeds", "1"]
    command = [sys.executable, str(script), *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[:1] + sys.path[1:2])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    rows = out / "runs" / "fifth" / "tiny-random-0.4" / ROWS
    end = time.monotonic() + 90.0
    while not rows.exists():  # the last run has begun, its method is not fitted yet
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(read_rows(rows)) < 7 * 4 * 3
    state = json.loads((out / SUMMARY).read_text())["states"]
    assert state == {"finished": 2, "unfinished": 1, "skipped": 1, "failed": 0}
    first = out / "runs" / "main" / "tiny" / SUMMARY
    before = (first.read_bytes(), first.stat().st_mtime_ns)

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert "4 of 4: fifth/tiny-random-0.4" in done.stdout
    assert "main/tiny" not in done.stdout.split("4 of 4")[0]
    assert (first.read_bytes(), first.stat().st_mtime_ns) == before
    state = json.loads((out / SUMMARY).read_text())["states"]
    assert state == {"finished": 3, "unfinished": 0, "skipped": 1, "failed": 0}

    whole = make_plan(suite, f"{user_module}:Mean", slow=f"{user_module}:Slow")
    perform(whole.presets["laptop"].chosen(parts=["fifth"], seeds=1), tmp_path / "whole")
    expected = read_rows(tmp_path / "whole" / "runs" / "fifth" / "tiny-random-0.4" / ROWS)
    assert _comparable(read_rows(rows)) == _comparable(expected)


def _comparable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        row.pop("fit_seconds")
    return sorted(rows, key=json.dumps)
