"""Contexts from words: what a suite fixes, values as they are printed, and what is refused."""

import pytest

from experts.store import expert_name
from zeroshot.context_words import grid_contexts, suite_context
from zeroshot.suites import SUITES


def test_what_a_suite_fixes_needs_no_word() -> None:
    suite = SUITES["cheetah-torso"]
    assert suite_context(suite, ["torso=0.5"]) == {"speed": 4.0, "torso": 0.5}
    assert suite_context(suite, ["speed=1e0", "torso=0.4"]) == {"speed": 1.0, "torso": 0.4}
    assert suite_context(SUITES["cheetah-speed"], ["speed=-3.3"]) == {"speed": -3.3, "torso": 0.5}
    assert suite_context(SUITES["walker-torso"], ["torso=0.25"]) in SUITES["walker-torso"].contexts


@pytest.mark.parametrize("name", ["cheetah-vel", "cheetah-vel-macaw", "ant-dir", "walker-torso"])
def test_every_context_is_found_by_its_name(name: str) -> None:
    """Names have six digits, values more; the last direction is beyond 2π when it is rounded."""
    suite = SUITES[name]
    words = [expert_name(context).replace("_", ",") for context in suite.contexts]
    assert grid_contexts(suite, words) == suite.contexts


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("speed", "must be feature=value once a feature, got 'speed'"),
        ("speed=1,speed=2", "once a feature, got 'speed=2'"),
        ("speed=nan", r"`speed` must be in \[-10, 10\] without 0"),
        ("speed=", "`speed` must be a number in"),
        ("mass=1", "unknown feature `mass`"),
        ("mass=x", "`mass` must be a number of the family"),
        ("speed=2.2", r"'speed=2.2' is not a context of cheetah-speed, which has speed in \(-10, "),
    ],
)
def test_what_is_no_context_is_refused(words: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        grid_contexts(SUITES["cheetah-speed"], [words])


def test_a_context_may_be_named_once() -> None:
    with pytest.raises(ValueError, match=r"contexts must be distinct, got 'speed=3\.0' twice"):
        grid_contexts(SUITES["cheetah-speed"], ["speed=3", "speed=3.0"])
