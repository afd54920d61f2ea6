import pytest

from zeroshot.splits import Split, random_split
from zeroshot.suites import SUITES, Suite


@pytest.mark.parametrize("name", SUITES)
@pytest.mark.parametrize("seed", range(20))
def test_no_context_leaks_and_none_is_lost(name: str, seed: int) -> None:
    suite = SUITES[name]
    split = random_split(suite, seed=seed)
    assert not set(split.train) & set(split.test)
    assert sorted(split.train + split.test) == list(range(len(suite.contexts)))
    assert len(split.test) == suite.n_test == int(0.15 * len(suite.contexts))


def test_a_seed_decides_the_split_and_seeds_differ() -> None:
    suite = SUITES["cheetah-speed"]
    assert random_split(suite, seed=3) == random_split(suite, seed=3)
    assert len({random_split(suite, seed=seed).test for seed in range(20)}) == 20


def test_splits_stay_what_published_results_used() -> None:
    assert random_split(SUITES["cheetah-speed"], seed=0).test == FIRST_SPLIT


def test_a_leaking_or_empty_split_is_refused() -> None:
    with pytest.raises(ValueError, match=r"may not share contexts, both parts have \[1\]"):
        Split(train=(0, 1), test=(1, 2))
    tiny = Suite(name="t", env_id="ParamCheetah-v0", reward="track", grid={"speed": (1.0, 2.0)})
    with pytest.raises(ValueError, match="needs training and test contexts, got 2 and 0"):
        random_split(tiny, seed=0)


FIRST_SPLIT = (2, 4, 11, 23, 24, 27)
