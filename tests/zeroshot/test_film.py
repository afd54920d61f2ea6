import subprocess
from itertools import pairwise
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray

from param_envs import Family, family_of
from zeroshot.cli import main
from zeroshot.film import film, generate, play_frames
from zeroshot.references import ConstantPolicies
from zeroshot.run import experts_of
from zeroshot.suites import SUITES, Suite


@pytest.fixture
def cheetah() -> Family:
    return family_of("ParamCheetah-v0")


def decoded(path: Path, *, height: int, width: int) -> NDArray[np.uint8]:
    """All frames; an mp4 by ffmpeg itself, since imageio's reader leaves pipes open."""
    if path.suffix == ".gif":
        return iio.imread(path)
    command = [get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


@pytest.mark.parametrize(("suffix", "n_frames"), [(".gif", 5), (".mp4", 20)])
def test_a_film_can_be_decoded_and_moves(
    cheetah: Family, tmp_path: Path, suffix: str, n_frames: int
) -> None:
    path = tmp_path / "new" / f"film{suffix}"
    said = film(
        cheetah,
        ConstantPolicies([1.0, -1.0, 1.0, -1.0, 1.0, -1.0]),
        cheetah.context(speed=3.3, torso=0.61),
        path,
        reward="track",
        n_steps=20,
        size=(96, 64),
    )
    frames = decoded(path, height=64, width=96)
    assert frames.shape == (n_frames, 64, 96, 3) and said["frames"] == n_frames
    assert said["seconds"] == pytest.approx(0.2)
    assert np.abs(frames[-1].astype(float) - frames[0]).mean() > 1.0
    assert list(path.parent.iterdir()) == [path]


def test_policies_with_memory_are_told_of_every_step_shown_or_not(cheetah: Family) -> None:
    class Memory(ConstantPolicies):
        def __init__(self) -> None:
            super().__init__([0.5] * 6)
            self.seen: list[tuple[NDArray[np.floating], ...]] = [()]

        def reset(self) -> None:
            self.seen = []

        def observe(self, *step: NDArray[np.floating]) -> None:
            self.seen.append(step)

    policies = Memory()
    frames: list[NDArray[np.uint8]] = []
    total = play_frames(
        cheetah,
        policies,
        cheetah.context(speed=2.0),
        reward="track",
        seed=0,
        n_steps=6,
        size=(32, 24),
        every=2,
        show=frames.append,
        n_shown=3,
    )
    assert len(frames) == 2 and len(policies.seen) == 6
    shapes = [part.shape for part in policies.seen[0]]
    assert shapes == [(1, 1, 17), (1, 1, 6), (1, 1), (1, 1, 17), (1, 1)]
    assert total == pytest.approx(sum(step[2][0, 0] for step in policies.seen))
    for one, other in pairwise(policies.seen):
        np.testing.assert_array_equal(one[3], other[0])


def test_the_command_films_a_context_between_grid_points(
    suite: Suite,
    zoo: Path,
    user_module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(SUITES, "tiny", suite)
    path = tmp_path / "film.gif"
    words = ["film", "tiny", "--method", f"{user_module}:Mean", "--context", "speed=3.3"]
    words += ["torso=0.6", "--zoo", str(zoo), "--steps", "8", "--width", "64", "--height", "48"]
    assert main([*words, "--out", str(path)]) == 0
    assert iio.imread(path).shape == (2, 48, 64, 3)
    assert str(path) in capsys.readouterr().out


def test_the_filmed_contexts_own_expert_is_left_out(
    suite: Suite, zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Spy:
        def fit(self, data, *, seed, progress=None):  # type: ignore[no-untyped-def]
            seen.append(data.contexts)
            return self

        def policies(self, contexts):  # type: ignore[no-untyped-def]
            return ConstantPolicies([0.0] * 6)

    monkeypatch.setattr("zeroshot.film.make_method", lambda name: Spy())
    experts = experts_of(suite, zoo)
    generate(suite, experts, "spy", suite.contexts[2])
    generate(suite, experts, "spy", suite.family.context(speed=2.5))
    assert seen[0] == suite.contexts[:2] + suite.contexts[3:]
    assert seen[1] == suite.contexts
