import json
from pathlib import Path

import pytest

from zeroshot.results import ROWS, ResultsFolder, Unit, judged, open_results, read_rows

SETTINGS = {"suite": "tiny", "n_episodes": 2, "grid": (1, 2)}


def rows_of(method: str, seed: int, n: int = 2) -> list[dict[str, object]]:
    return [{"method": method, "seed": seed, "episode": i, "return": 0.1} for i in range(n)]


def test_rows_come_back_as_they_were_stored(tmp_path: Path) -> None:
    with open_results(tmp_path / "new" / "out", SETTINGS, resume=False) as folder:
        folder.append(rows_of("a", 0))
        folder.append(rows_of("b", 0))
        assert folder.read() == rows_of("a", 0) + rows_of("b", 0)
        assert folder.keep_whole_units(2) == {Unit("a", 0), Unit("b", 0)}


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / ROWS
    whole = "".join(json.dumps(row) + "\n" for row in rows_of("a", 0))
    for cut in range(1, len(whole) - 1):
        file.write_text(whole[:-cut])
        assert read_rows(file) == rows_of("a", 0)[: whole[:-cut].count("\n")]
    assert read_rows(tmp_path / "absent.jsonl") == []


@pytest.mark.parametrize("line", ["{broken", "[1, 2]"])
def test_a_broken_line_elsewhere_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / ROWS
    file.write_text(f'{{"a": 1}}\n{line}\n{{"a": 1}}\n')
    with pytest.raises(ValueError, match=r"results\.jsonl, line 2: not "):
        read_rows(file)


def test_a_unit_in_flight_is_dropped_and_the_rest_kept(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.append(rows_of("a", 0))
    folder.append(rows_of("b", 0, n=1))
    with (tmp_path / ROWS).open("a") as file:
        file.write('{"method": "b", "se')
    assert folder.keep_whole_units(2) == {Unit("a", 0)}
    assert (tmp_path / ROWS).read_text().count("\n") == 2
    folder.append(rows_of("b", 0))
    assert folder.read() == rows_of("a", 0) + rows_of("b", 0)


def test_a_folder_in_use_needs_resume(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty: use --resume to go on with it"):
        with open_results(tmp_path, SETTINGS, resume=False):
            pass
    with open_results(tmp_path, SETTINGS, resume=True) as folder:
        folder.append(rows_of("a", 0))
    with open_results(tmp_path, SETTINGS, resume=True) as folder:
        assert folder.read() == rows_of("a", 0)


def test_two_runs_cannot_share_a_folder(tmp_path: Path) -> None:
    with open_results(tmp_path, SETTINGS, resume=True):
        with pytest.raises(FileExistsError, match="another run is writing to"):
            with open_results(tmp_path, SETTINGS, resume=True):
                pass


def test_results_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    with open_results(tmp_path, SETTINGS, resume=False):
        pass
    with pytest.raises(ValueError, match=r"another `n_episodes` \(2, now 3\): use another --out"):
        with open_results(tmp_path, {**SETTINGS, "n_episodes": 3}, resume=True):
            pass
    (tmp_path / "run.json").unlink()
    (tmp_path / ROWS).write_text("")
    with pytest.raises(ValueError, match=r"has results\.jsonl but no run\.json"):
        with open_results(tmp_path, SETTINGS, resume=True):
            pass


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="`out` must be a folder"):
        with open_results(tmp_path / "file", SETTINGS, resume=False):
            pass


def test_returns_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float values"):
        ResultsFolder(tmp_path).append([{"return": float("nan")}])
    assert not (tmp_path / ROWS).exists()


def test_rows_of_a_context_are_judged_by_the_same_episodes_of_its_expert() -> None:
    """Not those of a resumption elsewhere, where the expert may have fallen."""

    def row(method: str, seed: int, own: float, expert: float, **also: object) -> dict[str, object]:
        context = {"speed": 1.0}
        found = {"method": method, "seed": seed, "split": "test", "context": context}
        return {**found, "return": own, "expert_return": expert, **also}

    rows = [
        row("expert", 0, 90.0, 95.0),
        row("expert", 0, 100.0, 95.0),
        row("mine", 0, 80.0, 60.0),
        row("mine", 0, 85.0, 60.0, shots=5),
        row("mine", 1, 80.0, 60.0),
        row("mine", 0, 80.0, 60.0) | {"split": "train"},
        row("expert", 1, 50.0, 60.0, shots=5),
    ]
    found = judged(rows)
    assert [one["expert_return"] for one in found] == [95.0, 95.0, 95.0, 95.0, 60.0, 60.0, 60.0]
    assert rows[2]["expert_return"] == 60.0, "what is stored stays"
    assert [one["return"] for one in found] == [one["return"] for one in rows]
