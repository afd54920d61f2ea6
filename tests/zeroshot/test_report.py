"""The page as a whole: what a browser would be given, read with the standard library's parser."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from zeroshot.cli import main
from zeroshot.report import REPORT, write_report
from zeroshot.report.charts import method_style
from zeroshot.report.films import SideBySide
from zeroshot.report.markup import VOID, element, joined, slug
from zeroshot.report.origin import origin
from zeroshot.report.runs import read_run
from zeroshot.report.sections import bar_of, config_id, leaderboard
from zeroshot.suites import suite_of

WriteRun = Callable[..., Path]


class Walk(HTMLParser):
    """Checks that every element is closed in order; collects ids, links and table cells."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.exact: dict[str, list[str]] = {}
        self._table = self._row = ""
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.add(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id" and value is not None]
        self.links += [v for n, v in attrs if n in ("href", "src", "poster") and v is not None]
        if tag == "table":
            self._table = named.get("class") or ""
        elif tag == "tr":
            self._row = ""
        elif tag == "data" and self._table == "leaderboard":
            self.exact.setdefault(self._row, []).append(str(named["value"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "tbody" in self.open and "th" in self.open:
            self._row += data


def test_the_page_is_whole_and_needs_nothing_else(write_run: WriteRun, tmp_path: Path) -> None:
    runs = [
        write_run("one", methods=("mine", "mine-without-x", "yours"), shots=(1, 5)),
        write_run("two", suite="cheetah-speed-torso"),
        write_run("three"),
    ]
    film = SideBySide(
        context={"speed": -2.0}, panels=("expert", "mine"), returns=(1.0, None), seed=0, mp4=b"mp4"
    )
    out = write_report(runs, tmp_path / "new" / REPORT, films={runs[0]: [film], runs[2]: "no GPU."})
    text = out.read_text()
    walk = Walk(text)
    assert len(walk.ids) == len(set(walk.ids))
    assert "script" not in walk.tags and not any(
        name.startswith("on") for name, _ in walk.attributes
    )
    for link in walk.links:
        assert link.startswith("data:video/mp4;base64,") or link[1:] in walk.ids, link
    assert not re.search(r"url\(|@import|https?://", text)
    titles = re.findall(r"<h3>([^<]*)</h3>", text)
    assert titles == [
        "Leaderboard", "Return against each feature", "Ablation", "Few-shot",
        "Performance profiles", "Transfer between contexts", "Films", "Where the numbers come from",
        "Leaderboard", "Return against each feature", "Performance profiles",
        "Return over both features", "Transfer between contexts", "Where the numbers come from",
        "Leaderboard", "Return against each feature", "Performance profiles",
        "Transfer between contexts", "Films", "Where the numbers come from",
    ]  # fmt: skip
    assert "There are no films: no GPU." in text
    assert len(text) < 2_000_000


def test_every_number_of_the_leaderboard_is_the_summarys(
    write_run: WriteRun, tmp_path: Path
) -> None:
    run = write_run("run", methods=("mine", "yours"))
    walk = Walk(write_report([run], tmp_path / REPORT).read_text())
    methods = json.loads((run / "summary.json").read_text())["methods"]
    assert list(walk.exact) == sorted(methods, key=lambda name: name != "expert")
    for name, row in methods.items():
        expected = [row["return"], row["ratio"], row["score"], *row["ci"]]
        if row["kind"] == "method":
            expected.append(row["fit_seconds"])
        assert [float(value) for value in walk.exact[name]] == expected


def test_the_generalisation_gap_is_shown_where_there_is_one(
    write_run: WriteRun, tmp_path: Path
) -> None:
    run = write_run("run", methods=("mine",))
    assert "Generalisation gap" not in write_report([run], tmp_path / REPORT).read_text()
    path = run / "summary.json"
    gap = {"mine": {"ratio": 0.125, "score": None}}
    path.write_text(json.dumps({**json.loads(path.read_text()), "gap": gap}))
    text = write_report([run], tmp_path / REPORT).read_text()
    assert "Generalisation gap" in text and '<data value="0.125">+0.125</data>' in text


def test_surfaces_are_whole_where_training_contexts_were_played(
    write_run: WriteRun, tmp_path: Path
) -> None:
    run = write_run("run", suite="cheetah-speed-torso", methods=("mine",))
    text = write_report([run], tmp_path / REPORT).read_text()
    assert "contexts that no split held out are empty" in text and 'class="framed"' not in text
    rows = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    played = {tuple(row["context"].values()) for row in rows}
    (mine,) = [row for row in rows if row["method"] == "mine"][:1]
    learned = [
        {**mine, "split": "train", "context": dict(context), "return": 321.0}
        for context in suite_of("cheetah-speed-torso").contexts
        if tuple(context.values()) not in played
    ]
    assert learned
    with (run / "results.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in learned)
    text = write_report([run], tmp_path / "whole.html").read_text()
    assert "framed contexts were held out by a split" in text
    framed, maps = text.count('class="framed"'), text.count("over speed and torso")
    assert maps == 5 and framed == maps * len(played)
    assert text.count(": 321</title>") == len(learned)


def test_names_cannot_become_markup(write_run: WriteRun, tmp_path: Path) -> None:
    evil = '<script>alert("1")</script>&\'"'
    run = write_run("run", methods=(evil,), shots=(1,), command=f"zeroshot run {evil}")
    text = write_report([run], tmp_path / REPORT, films={run: evil}, command=evil).read_text()
    walk = Walk(text)
    assert "script" not in walk.tags and "<script" not in text
    assert "&lt;script&gt;alert(" in text


def test_provenance_is_in_the_page(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("run", command="/somewhere/bin/zeroshot run cheetah-speed --seeds 2")
    text = write_report([run], tmp_path / REPORT, command="zeroshot report run").read_text()
    assert "<code>zeroshot run cheetah-speed --seeds 2</code>" in text and "/somewhere" not in text
    for words in ("zeroshot report run", "c0ffee", "version of mujoco", "hidden", "SHA-256"):
        assert words in text
    assert 'href="#cheetah-speed-config-mine"' in text and 'id="cheetah-speed-config-mine"' in text


@pytest.mark.parametrize(
    ("rule", "shown"),
    [(None, True), ("random:0.85", True), ("random:0.2", False), ("tasks:15", False)],
)
def test_provenance_has_the_training_fraction_of_the_rule_alone(
    write_run: WriteRun, rule: str | None, shown: bool
) -> None:
    """The files have the suite's own beside any rule; runs of before had no rule but that one."""
    path = write_run("run")
    settings = {"suite": "cheetah-speed", "train_fraction": 0.85}
    settings |= {} if rule is None else {"split_rule": rule}
    (path / "run.json").write_text(json.dumps(settings))
    run = read_run(path)
    body = str(origin(run, "run").body)
    assert ("setting train_fraction" in body) is shown
    assert rule is None or f"<code>{rule}</code>" in body
    assert run.settings == settings


def test_an_unfinished_run_has_a_page_too(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("run", methods=())
    for name in ("transfer.npy", "run.json", "results.jsonl"):
        (run / name).unlink()
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "methods": {}, "complete": False}))
    text = write_report([run], tmp_path / REPORT).read_text()
    Walk(text)
    assert "No learned method has finished." in text and "The run is unfinished" in text


def test_a_suite_that_is_not_registered_has_a_page_too(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("run", name="my own suite")
    text = write_report([run], tmp_path / REPORT).read_text()
    Walk(text)
    assert 'id="my-own-suite-curves"' in text and "Return against speed." in text


def test_the_command_writes_the_page(
    write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run("run")
    assert main(["report", str(run)]) == 0
    assert str(run / REPORT) in capsys.readouterr().out
    Walk((run / REPORT).read_text())
    assert main(["report", str(run), "--out", str(tmp_path / "a.html")]) == 0
    assert (tmp_path / "a.html").exists()


def test_bad_usage_is_one_line(
    write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(write_run("run"))
    for words, text in (
        (["report"], "`runs` must name at least one folder, got none"),
        (["report", str(tmp_path)], "`runs` must be folders that `zeroshot run` wrote, no "),
        (["report", run, run], "`runs` must be distinct folders, at least one, got 2"),
        (["report", run, "--films", "13"], "`films` must be in [0, 12], got 13"),
        (["report", run, "--film-method", "film"], "`film_method` needs --films of at least 1"),
        (["report", run, "--films", "1", "--film-method", "no"], "unknown method 'no'"),
    ):
        assert main(words) == 2
        said = capsys.readouterr().err
        assert text in said and said.count("\n") == 1


@pytest.mark.parametrize("damage", [b"", b'{"suite": "cheet', b"\xff\xfe\xfd"])
def test_a_damaged_file_is_named(
    write_run: WriteRun, capsys: pytest.CaptureFixture[str], damage: bytes
) -> None:
    run = write_run("run")
    for name, cure in (
        ("run.json", ")\n"),
        ("summary.json", "); `zeroshot run ... --resume` writes it again\n"),
    ):
        (run / name).write_bytes(damage)
        assert main(["report", str(run)]) == 2
        said = capsys.readouterr().err
        assert f"zeroshot: error: {run / name}: not JSON (" in said
        assert said.endswith(cure) and said.count("\n") == 1


def test_markup_escapes_all_but_markup() -> None:
    assert element("p", "a<b", element("br"), 1.0, class_="x", title='"') == (
        '<p class="x" title="&quot;">a&lt;b<br>1</p>'
    )
    assert joined(None, ["&", ["<"]], -0.001) == "&amp;&lt;0"
    assert element("path", d=None, stroke_width=2) == '<path stroke-width="2"></path>'
    assert [slug(text) for text in ("A b/C", "mypkg.m:Mean", "..")] == [
        "a-b-c",
        "mypkg-m-mean",
        "x",
    ]


def test_methods_of_like_names_have_configs_of_their_own() -> None:
    names = ("my.method:A", "my_method:A", "эта", "та", "hyperzero")
    assert len({config_id("run", name) for name in names}) == len(names)
    assert config_id("run", "hyperzero") == "run-config-hyperzero"


def test_a_single_cell_is_a_point_without_an_interval(write_run: WriteRun) -> None:
    run = read_run(write_run("run"))
    mine = {**run.summary["methods"]["mine"], "ci": [None, None]}
    summary = {
        **run.summary,
        "methods": {**run.summary["methods"], "mine": mine},
        "score_ci": {"mine": [mine["score"]] * 2},
    }
    bar = bar_of(summary, "mine", method_style(0))
    assert bar.low == bar.value == bar.high
    section = leaderboard(replace(run, summary=summary), "run", {"mine": method_style(0)})
    assert "[-, -]" in str(section.body)


def test_experts_are_shown_by_all_their_episodes(write_run: WriteRun) -> None:
    """One unlucky episode of the transfer matrix does not stand for a context that was played."""
    path = write_run("run")
    np.save(path / "transfer.npy", np.full((40, 40), 7.0))
    run = read_run(path)
    mine = [row for row in run.test if row["method"] == "expert"]
    played = {run.key(row["context"]) for row in mine}
    assert played < set(run.expert_returns) and len(run.expert_returns) == 40
    for key, value in run.expert_returns.items():
        own = [row["return"] for row in mine if run.key(row["context"]) == key]
        assert value == pytest.approx(sum(own) / len(own) if own else 7.0)
