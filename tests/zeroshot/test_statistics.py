import ast
import inspect

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, trim_mean

from zeroshot import statistics
from zeroshot.statistics import (
    difference_of_ratios,
    generalisation_gap,
    iqm,
    iqm_interval,
    mean_interval,
    normalised_score,
    percentile_interval,
    performance_profile,
    probability_of_improvement,
    ratio,
    resamples_of_clusters,
    resamples_within_contexts,
    stratified_bootstrap,
)

X = np.array([[0.9, 0.2, 0.5], [0.7, 0.4, 0.5]])
Y = np.array([[0.8, 0.4, 0.5], [0.6, 0.6, 0.5], [0.9, 0.1, 0.5]])
"""Runs by contexts, fixed: three contexts, two runs of X and three of Y."""


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


def test_profile_by_hand() -> None:
    taus = np.array([-1.0, 0.2, 0.45, 0.5, 0.9])
    # of 0.9 0.2 0.5 0.7 0.4 0.5; strictly above, as rliable's run_score_deviation
    np.testing.assert_allclose(performance_profile(X, taus), [1, 5 / 6, 4 / 6, 2 / 6, 0])


def test_profile_is_the_published_formula() -> None:
    # rliable: score_distributions(scores, taus)[t] = mean(scores > taus[t])
    scores, taus = np.random.default_rng(0).normal(size=(5, 7)), np.linspace(-2, 2, 9)
    published = [np.mean(scores > tau) for tau in taus]
    np.testing.assert_allclose(performance_profile(scores, taus), published, atol=1e-12)


def test_profile_leaves_out_what_was_not_played() -> None:
    np.testing.assert_allclose(
        performance_profile(np.array([[np.nan, 1.0], [0.0, np.nan]]), np.array([0.5])), [0.5]
    )
    with pytest.raises(ValueError, match="`scores` must hold at least one number"):
        performance_profile(np.full((2, 2), np.nan), np.array([0.5]))


def test_probability_of_improvement_by_hand() -> None:
    # context 1: 0.9 beats 0.8 and 0.6 and ties with 0.9, 0.7 beats 0.6: (2.5 + 1) / 6
    # context 2: 0.2 beats 0.1; 0.4 beats 0.1 and ties with 0.4: (1 + 1.5) / 6
    # context 3: all equal: 1 / 2
    expected = np.mean([3.5 / 6, 2.5 / 6, 0.5])
    assert probability_of_improvement(X, Y) == pytest.approx(expected)
    assert probability_of_improvement(Y, X) == pytest.approx(1 - expected)


def test_probability_of_improvement_is_the_published_formula() -> None:
    # rliable: mean over tasks of mannwhitneyu(x, y, alternative="greater") / (n_x * n_y)
    rng = np.random.default_rng(1)
    x, y = rng.normal(0.3, 1.0, (5, 6)).round(1), rng.normal(0.0, 1.0, (4, 6)).round(1)
    published = np.mean(
        [mannwhitneyu(x[:, m], y[:, m], alternative="greater").statistic / 20 for m in range(6)]
    )
    assert probability_of_improvement(x, y) == pytest.approx(published, abs=1e-12)


def test_probability_of_improvement_without_some_cells() -> None:
    x = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    y = np.array([[2.0, np.nan, 1.0], [np.nan, 4.0, 1.0]])
    # context 1: 1 and 3 against 2: a half; context 2: 5 against 4: sure; context 3: no run of X
    assert probability_of_improvement(x, y) == pytest.approx(0.75)
    with pytest.raises(ValueError, match="must share a context"):
        probability_of_improvement(x[:, 2:], y[:, 2:])
    with pytest.raises(ValueError, match=r"of the same contexts, got \(2, 3\) and \(2, 2\)"):
        probability_of_improvement(x, y[:, :2])


def test_generalisation_gap_by_hand() -> None:
    train, test = np.array([1.0, 0.9, 0.8, 0.0]), np.array([[0.5, 0.7], [9.0, -9.0]])
    assert generalisation_gap(train, test) == pytest.approx(0.85 - 0.6)
    with pytest.raises(ValueError, match="must hold at least one number"):
        generalisation_gap(train, np.array([]))


def test_more_is_better_where_experts_have_negative_returns() -> None:
    """10 % more of a loss is a ratio of 0.9, 10 % less one of 1.1."""
    expert, worse, better = (np.array([-20.0, -80.0]) * share for share in (1.0, 1.1, 0.9))
    assert ratio(worse, expert) == pytest.approx(0.9)
    assert ratio(better, expert) == pytest.approx(1.1)
    assert difference_of_ratios(better, worse, expert) == pytest.approx(0.2)


def test_difference_of_ratios_by_hand() -> None:
    x, y, expert = np.array([50.0, 90.0]), np.array([30.0, 100.0]), np.array([100.0, 100.0])
    assert difference_of_ratios(x, y, expert) == pytest.approx(0.05)
    np.testing.assert_allclose(
        difference_of_ratios(x[:, None], y[:, None], expert[:, None], axis=1), [0.2, -0.1]
    )
    assert difference_of_ratios(x, y, expert) == pytest.approx(ratio(x, expert) - ratio(y, expert))
    with pytest.raises(ValueError, match="mean return differs from 0"):
        difference_of_ratios(x, y, np.array([-1.0, 1.0]))


def test_runs_are_redrawn_within_their_context() -> None:
    ids = resamples_within_contexts(3, 4, np.random.default_rng(0), n_resamples=500)
    assert ids.shape == (500, 12)
    np.testing.assert_array_equal(ids % 4, np.tile(np.arange(4), (500, 3)))
    # every column is drawn on its own, as in rliable: two contexts seldom get the same runs
    runs = (ids // 4).reshape(500, 3, 4)
    assert 0.0 < (runs[:, :, 0] == runs[:, :, 1]).all(axis=1).mean() < 0.15
    np.testing.assert_allclose(np.bincount(ids.ravel(), minlength=12) / 500, 1.0, atol=0.15)


def test_clusters_are_redrawn_and_contexts_within_them() -> None:
    ids = resamples_of_clusters(3, 4, np.random.default_rng(0), n_resamples=2000)
    runs = (ids // 4).reshape(2000, 3, 4)
    assert (runs == runs[:, :, :1]).all(), "a drawn run gives all of a block's contexts"
    np.testing.assert_allclose(np.bincount(ids.ravel(), minlength=12) / 2000, 1.0, atol=0.15)
    # of runs that differ and contexts that do not, the spread is that of three drawn runs
    values = np.repeat([0.0, 1.0, 2.0], 4)
    assert values[ids].mean(axis=1).std() == pytest.approx(np.sqrt(2 / 3 / 3), rel=0.05)
    one = resamples_of_clusters(1, 4, np.random.default_rng(0), n_resamples=50)
    assert len({tuple(sorted(row)) for row in one.tolist()}) > 10, "of one run, contexts"


def test_percentiles_by_hand() -> None:
    np.testing.assert_allclose(percentile_interval(np.arange(101.0), confidence=0.9), [5, 95])
    pair = percentile_interval(np.stack([np.arange(101.0), np.zeros(101)], axis=1), confidence=0.8)
    np.testing.assert_allclose(pair, [[10, 0], [90, 0]])
    with pytest.raises(ValueError, match=r"`confidence` must be in \(0, 1\), got 1"):
        percentile_interval(np.zeros(3), confidence=1.0)


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
