import ast
import inspect

import numpy as np
import pytest
from scipy.stats import trim_mean

from zeroshot import statistics
from zeroshot.statistics import (
    iqm,
    iqm_interval,
    mean_interval,
    normalised_score,
    ratio,
    stratified_bootstrap,
)


def test_iqm_by_hand() -> None:
    assert iqm(np.array([9.0, 1.0, 2.0, 100.0])) == 5.5  # leaves out 1 and 100
    assert iqm(np.array([1.0, 2.0, 6.0])) == 3.0  # floor(3 / 4) = 0 are left out
    assert iqm(np.arange(8.0)) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_iqm_is_the_published_trimmed_mean() -> None:
    # rliable's aggregate_iqm is scipy.stats.trim_mean(scores, 0.25, axis=None)
    values = np.random.default_rng(0).normal(size=(7, 13))
    assert iqm(values) == pytest.approx(trim_mean(values, 0.25, axis=None), abs=1e-12)
    np.testing.assert_allclose(iqm(values, axis=0), trim_mean(values, 0.25, axis=0), atol=1e-12)
    np.testing.assert_allclose(iqm(values, axis=1), trim_mean(values, 0.25, axis=1), atol=1e-12)


def test_iqm_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold at least one number"):
        iqm(np.array([]))


def test_scores_are_0_for_the_blind_policy_and_1_for_the_expert() -> None:
    expert, blind = np.array([800.0, 500.0]), np.array([100.0, 0.0])
    np.testing.assert_array_equal(normalised_score(expert, expert, blind), [1.0, 1.0])
    np.testing.assert_array_equal(normalised_score(blind, expert, blind), [0.0, 0.0])
    np.testing.assert_allclose(
        normalised_score(np.array([450.0, 600.0]), expert, blind), [0.5, 1.2]
    )


def test_where_one_policy_solves_a_context_losses_count_in_tenths_of_the_expert() -> None:
    expert, blind = np.array([1000.0, 1000.0, 1000.0]), np.array([990.0, 1000.0, 1020.0])
    np.testing.assert_allclose(
        normalised_score(np.array([950.0, 950.0, 950.0]), expert, blind), [0.5, 0.5, 0.5]
    )


def test_scores_of_negative_returns() -> None:
    score = normalised_score(np.array([-60.0]), np.array([-20.0]), np.array([-100.0]))
    np.testing.assert_allclose(score, [0.5])


def test_a_score_without_a_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="got a gap of 0"):
        normalised_score(np.zeros(1), np.zeros(1), np.zeros(1))


def test_ratio_is_a_ratio_of_means() -> None:
    assert ratio(np.array([50.0, 900.0]), np.array([100.0, 900.0])) == pytest.approx(0.95)
    with pytest.raises(ValueError, match="mean return differs from 0"):
        ratio(np.ones(2), np.array([-1.0, 1.0]))


def test_the_bootstrap_never_crosses_strata() -> None:
    # Strata of constant values have nothing to redraw; mixing strata would spread the mean.
    values = np.array([[0.0, 10.0], [0.0, 10.0], [0.0, 10.0]])
    interval = stratified_bootstrap(
        values, lambda resamples: resamples.mean(axis=-1), np.random.default_rng(0)
    )
    assert interval == (5.0, 5.0)


def test_the_bootstrap_is_what_a_loop_gives() -> None:
    values = np.random.default_rng(1).normal(size=(6, 5))
    got = iqm_interval(values, np.random.default_rng(2))
    rng = np.random.default_rng(3)
    resampled = [
        trim_mean(np.stack([column[rng.integers(0, 6, 6)] for column in values.T]), 0.25, axis=None)
        for _ in range(5000)
    ]
    np.testing.assert_allclose(got, np.percentile(resampled, [2.5, 97.5]), atol=0.03)


def test_intervals_are_seeded_contain_the_estimate_and_cover() -> None:
    values = np.random.default_rng(4).normal(size=(30, 2))
    low, high = iqm_interval(values, np.random.default_rng(0))
    assert (low, high) == iqm_interval(values, np.random.default_rng(0))
    assert low < iqm(values) < high
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        low, high = mean_interval(rng.normal(3.0, 1.0, 40), rng)
        covered += low < 3.0 < high
    assert 0.88 <= covered / 200 <= 0.99


def test_bad_bootstrap_arguments() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"shape \(n_values, n_strata\), got \(3,\)"):
        stratified_bootstrap(np.ones(3), iqm, rng)
    with pytest.raises(ValueError, match=r"`confidence` must be in \(0, 1\), got 95"):
        iqm_interval(np.ones((2, 2)), rng, confidence=95.0)


def test_statistics_import_no_plots() -> None:
    tree = ast.parse(inspect.getsource(statistics))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
        )
    }
    assert imported <= {"__future__", "collections", "numpy"}
