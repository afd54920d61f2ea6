import json
from pathlib import Path

from experts import load_experts, save_expert
from experts.assessment import assess
from tests.experts.factories import untrained


def test_shortfalls_say_why(tmp_path: Path) -> None:
    for speed, total, mean in ((2.0, 950.0, 1.9), (8.0, 700.0, 5.0), (3.0, 600.0, 1.5)):
        evaluation = {"return_mean": total, "velocity_mean": mean}
        save_expert(untrained({"speed": speed}, evaluation=evaluation), tmp_path)
    said = assess(tmp_path)
    assert set(said) == {"speed=8_torso=0.5", "speed=3_torso=0.5"}
    assert "8 asks for more than the 5.00" in said["speed=8_torso=0.5"]
    assert "within reach: improvable" in said["speed=3_torso=0.5"]
    records = {record["context"]["speed"]: record for record in load_experts(tmp_path).records}
    assert records[2.0]["shortfall"] is None
    assert records[8.0]["shortfall"] == said["speed=8_torso=0.5"]


def test_assessing_again_changes_no_file(tmp_path: Path) -> None:
    evaluation = {"return_mean": 100.0, "velocity_mean": 0.1}
    path = save_expert(untrained({"speed": 2.0}, evaluation=evaluation), tmp_path)
    assess(tmp_path)
    before = path.stat().st_mtime_ns
    assert json.loads(path.read_text())["shortfall"]
    assess(tmp_path)
    assert path.stat().st_mtime_ns == before


def test_families_without_a_speed_are_left_alone(tmp_path: Path) -> None:
    evaluation = {"return_mean": 1.0, "x_velocity_mean": 0.1}
    path = save_expert(untrained({"speed": 2.0}, evaluation=evaluation), tmp_path)
    before = path.read_bytes()
    assert assess(tmp_path) == {}
    assert path.read_bytes() == before


def test_limits_of_the_own_body_count_where_they_are_known(tmp_path: Path) -> None:
    """Another body is faster, but no policy makes this one so."""
    for torso, total, mean in ((0.5, 950.0, 4.0), (0.3, 700.0, 2.0), (0.4, 700.0, 2.0)):
        evaluation = {"return_mean": total, "velocity_mean": mean}
        save_expert(untrained({"speed": 4.0, "torso": torso}, evaluation=evaluation), tmp_path)
    said = assess(tmp_path, {"speed=4_torso=0.3": 2.5})
    assert "4 asks for more than the 2.50 that any policy" in said["speed=4_torso=0.3"]
    assert "within reach: improvable" in said["speed=4_torso=0.4"]
