"""Runs packed into a file each, and gone on with."""

import json
import lzma
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zeroshot.cli import main
from zeroshot.finetune_results import read_records
from zeroshot.reproduce import PLANS
from zeroshot.reproduce.execution import perform
from zeroshot.reproduce.packed import pack, unpack
from zeroshot.reproduce.plan import Part, Plan, PlannedRun, Preset
from zeroshot.results import ROWS, SETTINGS, read_rows
from zeroshot.run import TRANSFER
from zeroshot.suites import SUITES, Suite

ROW = {"method": "mine", "seed": 0, "return": 20.0 / 3.0, "config": {"rate": 1.0 / 3.0}}
ROW |= {"outcome": {"velocity": 1.23449}}
PACKED = {**ROW, "return": 6.667, "outcome": {"velocity": 1.234}}


def make_run(out: Path, name: str, **settings: Any) -> Path:
    folder = out / "runs" / name
    folder.mkdir(parents=True)
    (folder / SETTINGS).write_text(json.dumps({"suite": "tiny", **settings}))
    (folder / ROWS).write_text(json.dumps(ROW) + "\n")
    return folder


def test_a_run_is_packed_and_unpacked_to_three_decimals(tmp_path: Path) -> None:
    whole = make_run(tmp_path / "out", "main/tiny", contexts=2)
    transfer = np.array([[1.0 / 3.0, 2.0], [np.pi, -0.0]])
    np.save(whole / TRANSFER, transfer)
    make_run(tmp_path / "out", "fifth/tiny-random-0.2")
    (tmp_path / "out" / "runs" / "main" / "begun").mkdir()  # a folder without settings is no run

    files = pack(tmp_path / "out", tmp_path / "packed")
    assert [file.relative_to(tmp_path / "packed").as_posix() for file in files] == [
        "fifth/tiny-random-0.2.jsonl.xz",
        "main/tiny.jsonl.xz",
    ]
    assert unpack(tmp_path / "packed", tmp_path / "new") == ["fifth/tiny-random-0.2", "main/tiny"]
    made = tmp_path / "new" / "runs" / "main" / "tiny"
    assert json.loads((made / SETTINGS).read_text()) == {"suite": "tiny", "contexts": 2}
    assert read_rows(made / ROWS) == [PACKED]
    np.testing.assert_array_equal(np.load(made / TRANSFER), [[0.333, 2.0], [3.142, 0.0]])
    assert not (tmp_path / "new" / "runs" / "fifth" / "tiny-random-0.2" / TRANSFER).exists()


def test_a_fine_tuning_is_packed_and_unpacked(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "runs" / "finetuning" / "tiny"
    records = [
        {"start": start, "context": "speed=1", "seed": seed, "returns": [[0.1, 0.2]]}
        for start in ("a:Start", "scratch")
        for seed in (0, 1)
    ]
    (folder / "runs").mkdir(parents=True)
    (folder / SETTINGS).write_text(json.dumps({"suite": "tiny"}))
    for i, record in enumerate(records):
        (folder / "runs" / f"{i}.json").write_text(json.dumps(record) + "\n")

    pack(tmp_path / "out", tmp_path / "packed")
    assert unpack(tmp_path / "packed", tmp_path / "new") == ["finetuning/tiny"]
    made = tmp_path / "new" / "runs" / "finetuning" / "tiny"
    assert json.loads((made / SETTINGS).read_text()) == {"suite": "tiny"}
    assert read_records(made) == records
    assert (made / "runs" / "scratch_speed=1_seed=1.json").exists()
    assert not (made / ROWS).exists()


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    make_run(tmp_path / "out", "main/tiny")
    pack(tmp_path / "out", tmp_path / "packed")
    newer = make_run(tmp_path / "new", "main/tiny", contexts=9)
    (newer / ROWS).write_text("")
    assert unpack(tmp_path / "packed", tmp_path / "new") == []
    assert json.loads((newer / SETTINGS).read_text())["contexts"] == 9
    assert read_rows(newer / ROWS) == []


def test_a_kill_while_unpacking_loses_nothing(tmp_path: Path) -> None:
    make_run(tmp_path / "out", "main/tiny")
    pack(tmp_path / "out", tmp_path / "packed")
    unpack(tmp_path / "packed", tmp_path / "new")
    made = tmp_path / "new" / "runs" / "main" / "tiny"
    (made / SETTINGS).unlink()  # the last that is written
    (made / ROWS).write_text("")
    assert unpack(tmp_path / "packed", tmp_path / "new") == ["main/tiny"]
    assert read_rows(made / ROWS) == [PACKED]


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"none", "not a packed run"),
        (lzma.compress(b"{}\n" * 1000)[:-20], "not a packed run"),
        (lzma.compress(b""), "lines must be JSON objects"),
        (lzma.compress(b"{}\n[1]\n"), "lines must be JSON objects"),
        (lzma.compress(b'{"suite": "tiny"}\n'), "no settings"),
        (lzma.compress(b'{"settings": \n'), "not a packed run"),
        (lzma.compress(b"\xff\n"), "not a packed run"),
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_made(
    payload: bytes, why: str, tmp_path: Path
) -> None:
    make_run(tmp_path / "out", "main/tiny")
    pack(tmp_path / "out", tmp_path / "packed")
    damaged = tmp_path / "packed" / "main" / "walker.jsonl.xz"
    damaged.write_bytes(payload)
    with pytest.raises(ValueError, match=f"walker.jsonl.xz: .*{why}"):
        unpack(tmp_path / "packed", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_nothing_to_pack_and_nothing_to_unpack(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no runs in "):
        pack(tmp_path, tmp_path / "packed")
    with pytest.raises(FileNotFoundError, match="no packed runs, PART/RUN"):
        unpack(tmp_path, tmp_path / "new")


def test_a_reproduction_goes_on_from_packed_runs(
    capsys: pytest.CaptureFixture[str],
    suite: Suite,
    zoo: Path,
    user_module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("experts.store.ZOO", zoo.parent)
    monkeypatch.setitem(SUITES, "tiny", suite)
    run = PlannedRun(part="main", suite="tiny", methods=(f"{user_module}:Mean",), seeds=1)
    plan = Plan(
        name="tiny",
        title="A paper",
        parts=(Part(name="main", title="All", note=""),),
        figures=(),
        presets={"laptop": Preset(doc="Less.", runs=(replace(run, seeds=2),))},
        sources="somebody.",
    )
    monkeypatch.setitem(PLANS, "tiny", plan)
    perform(Preset(doc="Least.", runs=(run,)), tmp_path / "out")
    before = read_rows(tmp_path / "out" / "runs" / "main" / "tiny" / ROWS)
    pack(tmp_path / "out", tmp_path / "packed")

    def twice(*_: object, **__: object) -> None:
        raise AssertionError("the transfer matrix was packed, and is played again")

    monkeypatch.setattr("zeroshot.run.transfer_matrix", twice)
    words = ["reproduce", "tiny", "--out", str(tmp_path / "new"), "--workers", "1"]
    assert main([*words, "--packed", str(tmp_path / "packed")]) == 0
    said = "".join(capsys.readouterr().out.splitlines())
    assert f"runs unpacked from {tmp_path / 'packed'}: 1" in said
    rows = read_rows(tmp_path / "new" / "runs" / "main" / "tiny" / ROWS)
    assert {row["seed"] for row in rows} == {0, 1}
    for row, old in zip(rows, before, strict=False):
        assert {**row, "return": 0, "expert_return": 0, "outcome": 0} == {
            **old, "return": 0, "expert_return": 0, "outcome": 0,
        }  # fmt: skip
        assert row["return"] == pytest.approx(old["return"], abs=1e-3)
    record = json.loads((tmp_path / "new" / "results" / "main" / "tiny.json").read_text())
    assert record["seeds"] == [0, 1] and record["commits"] == [before[0]["commit"]]
