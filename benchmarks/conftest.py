"""`pytest benchmarks/`: claims about speed as ratios within one run, and zero-shot leaderboards.

Absolute times depend on the machine and on what else runs on it; so each benchmark times the
library and its reference in turn, in many short rounds, and compares the best round of each, which
other processes disturbed least. The zero-shot benchmark fits methods on the shipped experts of
suites and prints a leaderboard of each at the end.

`--quick` runs all of it briefly, checks that the results are right, and judges no speed. `--full`
takes hours: every suite whose zoo is complete, five splits, and the training of experts to the end.
`--suite`, `--methods` and `--seeds` choose what is evaluated.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchmarks.leaderboards import Choice, shown

CHOICE = pytest.StashKey[Choice]()
SUMMARIES = pytest.StashKey[list[dict[str, Any]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="few short rounds, results checked, speed not judged"
    )
    parser.addoption(
        "--full", action="store_true", help="all suites, five splits, experts trained to the end"
    )
    parser.addoption("--suite", nargs="+", metavar="NAME", help="suites of the zero-shot benchmark")
    parser.addoption("--methods", nargs="+", metavar="NAME", help="methods, by name or import path")
    parser.addoption("--seeds", type=int, metavar="N", help="splits a suite")


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[CHOICE] = Choice.of_options(
            suites=config.getoption("--suite", None),
            methods=config.getoption("--methods", None),
            seeds=config.getoption("--seeds", None),
            quick=config.getoption("--quick", False),
            full=config.getoption("--full", False),
        )
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[SUMMARIES] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "suite_name" in metafunc.fixturenames:
        suites = metafunc.config.stash[CHOICE].suites
        metafunc.parametrize("suite_name", suites, scope="module")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    session = getattr(config, "_benchmarksession", None)
    found = [(b.name, b.extra_info) for b in session.benchmarks if b.extra_info] if session else []
    if found:
        terminalreporter.section("ratios, and what they are made of")
    for name, numbers in found:
        said = ", ".join(f"{key} {value:.4g}" for key, value in numbers.items())
        terminalreporter.write_line(f"{name}: {said}")
    summaries = config.stash[SUMMARIES]
    if summaries:
        terminalreporter.section("zero-shot leaderboards")
        terminalreporter.write_line(shown(summaries, quick=config.stash[CHOICE].quick))


@pytest.fixture(scope="session")
def quick(request: pytest.FixtureRequest) -> bool:
    """Whether speed is not judged."""
    return bool(request.config.getoption("--quick", False))


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether hours may pass."""
    return bool(request.config.getoption("--full", False))


@pytest.fixture(scope="session")
def choice(request: pytest.FixtureRequest) -> Choice:
    """What the zero-shot benchmark runs."""
    return request.config.stash[CHOICE]


@pytest.fixture(scope="session")
def summaries(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Summaries of runs, whose leaderboards are printed at the end."""
    return request.config.stash[SUMMARIES]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Keeps torch on one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Comparison:
    """Times a subject and its reference in turn.

    Attributes:
        benchmark: pytest-benchmark's fixture, which keeps the subject's times.
        quick: whether speed is not judged.
        reference_times: seconds of the reference, a round each.
    """

    benchmark: Any
    quick: bool
    reference_times: list[float] = field(default_factory=list)

    def measure(
        self,
        subject: Callable[[], Any],
        reference: Callable[[], Any],
        *,
        rounds: int,
        prepare: Callable[[], Any] | None = None,
        prepare_reference: Callable[[], Any] | None = None,
    ) -> None:
        """Runs both once to warm up and then `rounds` times (3 if quick), alternating.

        Args:
            subject: what is claimed to be fast.
            reference: what it is compared with.
            rounds: timed runs of each.
            prepare: called before each run of the subject, untimed.
            prepare_reference: called before each run of the reference, untimed.
        """

        def setup() -> None:
            if prepare_reference is not None:
                prepare_reference()
            start = time.perf_counter()
            reference()
            self.reference_times.append(time.perf_counter() - start)
            if prepare is not None:
                prepare()

        rounds = 3 if self.quick else rounds
        self.benchmark.pedantic(subject, setup=setup, rounds=rounds, warmup_rounds=1)
        del self.reference_times[0]

    @property
    def seconds(self) -> float:
        """Time of the subject's best round."""
        return float(self.benchmark.stats.stats.min)

    @property
    def reference_seconds(self) -> float:
        """Time of the reference's best round."""
        return min(self.reference_times)

    @property
    def speedup(self) -> float:
        """How many times the reference's time is the subject's."""
        return self.reference_seconds / self.seconds

    def record(self, **numbers: float) -> None:
        """Keeps numbers in the benchmark's record, which the summary at the end shows."""
        self.benchmark.extra_info.update(numbers)

    def require(self, condition: bool, claim: str) -> None:
        """Fails unless the claim holds; with `--quick` claims are not judged."""
        if not self.quick:
            assert condition, f"{claim}; measured {self.benchmark.extra_info}"


@pytest.fixture
def comparison(benchmark: Any, quick: bool) -> Comparison:
    """A comparison whose subject pytest-benchmark records."""
    return Comparison(benchmark, quick)
