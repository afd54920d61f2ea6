import json

import pytest

from zeroshot.cli import main
from zeroshot.methods import METHODS
from zeroshot.suites import SUITES

COLUMNS = 100


def lines_of(capsys: pytest.CaptureFixture[str], command: str) -> list[str]:
    assert main([command]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert "…" not in "".join(lines), "nothing is cut"
    return lines


def test_every_method_is_listed_in_the_registrys_order(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(capsys, "methods")
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert [name for name, *_ in cells if name] == list(METHODS)
    told = {name: settings for name, settings, _ in cells if name}
    assert (told["hyperzero"], told["hyperzero-paper"]) == ("package", "paper")
    assert told["pearl-paper-500-updates-leaking"] == told["hyplatent-paper"] == "paper"
    words = " ".join(doc for *_, doc in cells)
    for record in METHODS.values():
        assert record.doc in words


def test_methods_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert records == [
        {"name": name, "settings": record.settings, "doc": record.doc}
        for name, record in METHODS.items()
    ]


def test_suites_are_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(capsys, "suites")
    for name, suite in SUITES.items():
        (line,) = [line for line in lines if f" {name} " in line]
        assert f" {suite.env_id} " in line and ", ".join(suite.features) in line
