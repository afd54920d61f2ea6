"""Commands in the README and in docs are such as `zeroshot` takes; Python in them compiles."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from zeroshot.cli import _BadUsage, _parse

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(zeroshot\s[^`]+)`")
ASSIGNED = re.compile(r'^(\w+)="([^"]*)"', re.MULTILINE)
MADE_IN_LOOPS = ("forwards", "backwards", "slow")
MEANT = {"SUITE": "cheetah-speed", "FOLDER": "some-folder", "NAME": "hyperzero"}


def blocks(page: str, *languages: str) -> list[str]:
    found = BLOCK.findall((ROOT / page).read_text())
    return [text for language, text in found if language in languages]


def words_of(command: str) -> tuple[str, ...]:
    """The words after `zeroshot`, with examples for what is written in capitals."""
    command = re.sub(r"\b[A-Z]{3,}\b", lambda match: MEANT.get(match[0], match[0]), command)
    words = shlex.split(command, comments=True)
    ends = [i for i, word in enumerate(words) if word in (">", "|", "&&", ";")]
    return tuple(words[1 : min(ends, default=len(words))])


def commands_in_blocks(page: str) -> list[tuple[str, ...]]:
    """Of shell blocks, with their variables' values in place."""
    found = []
    for block in blocks(page, "", "bash"):
        text = block.replace("\\\n", " ")
        values = {name: " ".join(value.split()) for name, value in ASSIGNED.findall(text)}
        values |= dict.fromkeys(MADE_IN_LOOPS, "speed=1,torso=0.3")
        for line in text.splitlines():
            if line.startswith("zeroshot "):
                line = re.sub(r"\$(\w+)", lambda match, known=values: known[match[1]], line)
                found.append(words_of(line))
    return found


def commands_in_sentences(page: str) -> list[tuple[str, ...]]:
    text = BLOCK.sub("", (ROOT / page).read_text())
    return [words_of(" ".join(command.split())) for command in INLINE.findall(text)]


@cache
def complaint(words: tuple[str, ...]) -> str:
    """What the command line says against a command, empty for nothing."""
    try:
        assert callable(_parse(list(words)))
    except _BadUsage as error:
        return str(error)
    return ""


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_blocks_are_understood(page: str) -> None:
    wrong = {words: said for words in commands_in_blocks(page) if (said := complaint(words))}
    assert not wrong


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_sentences_are_understood(page: str) -> None:
    """They may leave out what is needed, but not have what there is not."""
    for words in commands_in_sentences(page):
        said = complaint(words)
        short = said.startswith("Missing from zeroshot") and "Unrecognized" not in said
        assert not said or short, (words, said)


def test_pages_have_commands() -> None:
    for page in ("README.md", "docs/zoo.md", "docs/report.md"):
        assert len(commands_in_blocks(page)) > 2
    assert ("experts", "show", "cheetah-speed") in commands_in_sentences("docs/zoo.md")
    assert ("--tyro-print-completion", "bash") in commands_in_blocks("README.md")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("run", "cheetah-speed", "--out", "o", "--sedes", "3"), "Unrecognized options: --sedes"),
        (("run", "cheetah-speed", "--sedes", "3"), "Unrecognized options: --sedes"),
        (("run", "cheetah-speed"), "Missing from zeroshot run: --out"),
        (("experts", "mend", "cheetah-speed"), "Unrecognized options: mend, cheetah-speed"),
        (("rapport",), "Unrecognized options: rapport"),
    ],
)
def test_a_wrong_command_would_be_seen(words: tuple[str, ...], text: str) -> None:
    assert text in complaint(words)


@pytest.mark.parametrize("page", PAGES)
def test_python_in_pages_compiles(page: str) -> None:
    for block in blocks(page, "python"):
        compile(block, page, "exec")
