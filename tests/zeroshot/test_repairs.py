import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experts import load_experts
from experts.jobs import Job, manifest_path
from experts.rebuild import CANDIDATES, RepairSettings, Round
from experts.store import load_expert, save_expert
from param_envs import Context
from tests.zeroshot.conftest import QUICK_AUDIT, make_zoo
from tests.zeroshot.test_audit import made_up
from zeroshot.audit_record import load_audit, policies_fingerprint
from zeroshot.cli import main
from zeroshot.suites import Suite


def train_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[Context]:
    """Makes successors copies of the experts in `directory`; returns whose, as they come."""
    trained: list[Context] = []

    def run_jobs(jobs: Sequence[Job], *_: Any, directory: Path, **__: Any) -> None:
        for job in jobs:
            trained.append(job.context)
            save_expert(load_expert(manifest_path(mine, job.context)), directory)

    mine = directory
    monkeypatch.setattr("experts.rebuild.run_jobs", run_jobs)
    return trained


def test_repair_from_the_command_line(
    capsys: pytest.CaptureFixture[str],
    tiny: str,
    suite: Suite,
    zoo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Successors are the old experts here, so that only donors can win."""
    mine, donors = make_zoo(suite, tmp_path / "mine", contexts=[0, 4]), zoo

    train_nothing(mine, monkeypatch)
    words = ["experts", "audit", tiny, "--zoo", str(mine), "--donors", str(donors), "--repair"]
    assert main([*words, "--rounds", "2", "--out", str(tmp_path / "out"), *QUICK_AUDIT]) == 0
    said = capsys.readouterr().out
    rounds = [line for line in said.splitlines() if "of repair:" in line]
    assert len(rounds) == 1 and "of 2 are beaten" in said
    _, record = load_audit(tmp_path / "out" / "tiny.json")
    assert record["donors"] == ["tiny"] and record["n_experts"] == 2
    assert record["experts"] == policies_fingerprint(load_experts(mine))
    copied = [r for r in load_experts(mine).records if r["recipe"].endswith("-copied")]
    assert 0 < len(copied) <= said.count("kept: donor"), "a round may copy one again"
    assert not (mine / ".repair").exists()


@pytest.fixture
def audited(tiny: str, suite: Suite, zoo: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A zoo of two, and an audit of it with the donors of `zoo`."""
    mine, out = make_zoo(suite, tmp_path / "mine", contexts=[0, 4]), tmp_path / "out"
    words = ["experts", "audit", tiny, "--zoo", str(mine), "--donors", str(zoo)]
    assert main([*words, "--out", str(out), *QUICK_AUDIT]) == 0
    return mine, out / "tiny.json"


def repaired_from(found: Path, mine: Path, *words: str) -> int:
    command = ["experts", "audit", "tiny", "--zoo", str(mine), "--repair", "--found", str(found)]
    return main([*command, "--rounds", "1", *QUICK_AUDIT, *words])


def test_a_repair_begins_with_what_an_audit_found(
    capsys: pytest.CaptureFixture[str],
    audited: tuple[Path, Path],
    zoo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file is made to say that the second context alone is beaten, by the donors' seventh."""
    mine, found = audited
    record = json.loads(found.read_text())
    record["rows"][0].update(regret=-1.0)
    record["rows"][1].update(
        regret=abs(record["rows"][1]["own"]), rival=f"{zoo.name}/speed=4_torso=0.5"
    )
    found.write_text(json.dumps(record))
    trained = train_nothing(mine, monkeypatch)
    assert repaired_from(found, mine, "--donors", str(zoo), "--decide", "0") == 0
    assert [context["speed"] for context in trained] == [record["rows"][1]["context"]["speed"]]
    said = capsys.readouterr().out
    assert "1 of 2 are beaten" in said
    kept = re.findall(r"kept: (\w+), from (\S+)\n", said)
    assert kept == [("old", f"{zoo.name}/speed=4_torso=0.5")], "neither it nor a copy is better"
    assert policies_fingerprint(load_experts(mine)) == record["experts"]


def test_a_higher_threshold_than_the_audits_counts(
    capsys: pytest.CaptureFixture[str],
    audited: tuple[Path, Path],
    zoo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine, found = audited
    trained = train_nothing(mine, monkeypatch)
    assert repaired_from(found, mine, "--donors", str(zoo), "--threshold", "1e6") == 0
    assert not trained and "0 of 2 are beaten" in capsys.readouterr().out


def test_an_audit_of_something_else_is_refused(
    capsys: pytest.CaptureFixture[str], audited: tuple[Path, Path], suite: Suite, zoo: Path
) -> None:
    mine, found = audited
    assert repaired_from(found, mine) == 2
    assert f"was made with the donors {zoo.name} too: name them" in capsys.readouterr().err
    make_zoo(suite, mine, contexts=[1])
    assert repaired_from(found, mine, "--donors", str(zoo)) == 2
    complained = capsys.readouterr().err
    assert f"{found}: is of experts" in complained and "audit anew" in complained
    record = json.loads(found.read_text())
    found.write_text(json.dumps({**record, "suite": "cheetah-speed"}))
    assert repaired_from(found, mine, "--donors", str(zoo)) == 2
    assert "is of suite cheetah-speed" in capsys.readouterr().err


def test_the_estimate_of_a_repair_is_of_the_jobs_that_it_does(
    tiny: str, suite: Suite, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are beaten, the second by an expert of a context that is always held out."""
    lenders = [manifest_path(zoo, suite.contexts[i]) for i in (1, 2)]
    found = made_up(suite, beaten=2)
    found = replace(found, rivals=(*lenders, *found.rivals[2:]))
    monkeypatch.setattr(Suite, "held_out", (suite.contexts[2],))
    monkeypatch.setattr(RepairSettings, "audit", lambda *_: found)
    estimated: list[Job] = []
    monkeypatch.setattr(
        "zeroshot.expert_builds.print_build_estimate",
        lambda suite, jobs, **_: estimated.extend(jobs) or 0,
    )
    mine = make_zoo(suite, tmp_path / "mine")
    words = ["experts", "repair", tiny, "--out", str(mine), "--seed", "3"]
    assert main([*words, "--estimate"]) == 0
    assert [job.context for job in estimated] == [suite.contexts[0]]
    assert not (mine / CANDIDATES).exists()
    done: list[Job] = []

    def decide(directory: Path, settings: RepairSettings, planned: Round, **_: Any) -> None:
        done.extend(planned.jobs)

    monkeypatch.setattr("experts.rebuild._decide", decide)
    assert main(words) == 0
    assert estimated == done
