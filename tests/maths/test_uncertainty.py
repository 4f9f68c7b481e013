"""Standard errors of accuracies against naive double loops and simulations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import chi2_contingency, norm

from imagefec.maths import uncertainty


def naive_error(values, clusters):
    residuals = np.array(values, float) - np.mean(values)
    total = sum(
        residuals[i] * residuals[j]
        for i in range(len(values))
        for j in range(len(values))
        if set(clusters[i]) & set(clusters[j])
    )
    return (max(total, np.sum(residuals**2)) / (len(values) * (len(values) - 1))) ** 0.5


@settings(max_examples=60, deadline=None)
@given(
    clusters=hnp.arrays(
        np.int64, st.tuples(st.integers(2, 12), st.integers(1, 3)), elements=st.integers(0, 6)
    ),
    seed=st.integers(0, 2**31),
)
def test_the_error_equals_a_loop_over_all_pairs_that_share_a_cluster(clusters, seed):
    values = np.random.default_rng(seed).random(len(clusters)) < 0.6
    assert uncertainty.clustered_standard_error(values, clusters) == pytest.approx(
        naive_error(values, clusters.tolist())
    )


def test_without_shared_clusters_the_error_is_the_usual_standard_error():
    values = np.array([1, 0, 1, 1, 0, 1, 0, 1])
    expected = values.std(ddof=1) / 8**0.5
    assert uncertainty.clustered_standard_error(
        values, np.arange(24).reshape(8, 3)
    ) == pytest.approx(expected)


def test_copies_of_each_triplet_do_not_lower_the_error():
    values = np.random.default_rng(0).random(200) < 0.7
    clusters = np.arange(600).reshape(200, 3)
    once = uncertainty.clustered_standard_error(values, clusters)
    fivefold = uncertainty.clustered_standard_error(
        np.repeat(values, 5), np.repeat(clusters, 5, axis=0)
    )
    assert fivefold == pytest.approx(once, rel=0.01)


def test_the_error_is_the_spread_of_means_over_samples_that_share_faces():
    # Each face is easy or hard; the mean of its faces is a triplet's probability to be correct.
    random = np.random.default_rng(1)
    means, errors = [], []
    for _ in range(150):
        ease = random.choice([0.2, 1.0], size=60)
        clusters = np.stack([random.permutation(60)[:3] for _ in range(300)])
        correct = random.random(300) < ease[clusters].mean(axis=1)
        means.append(correct.mean())
        errors.append(uncertainty.clustered_standard_error(correct, clusters))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.25)
    independent = (np.mean(means) * (1 - np.mean(means)) / 300) ** 0.5
    assert np.std(means) > 1.4 * independent


def test_the_bootstrap_finds_a_clear_gain_and_none_between_identical_models():
    random = np.random.default_rng(2)
    first = random.random(2000) < 0.6
    second = first | (random.random(2000) < 0.1)
    clusters = np.arange(6000).reshape(2000, 3)
    found = uncertainty.paired_bootstrap(first, second, clusters)
    assert found.difference == pytest.approx(second.mean() - first.mean())
    assert found.low < found.difference < found.high
    assert found.p_not_higher == 0
    assert found.high - found.low == pytest.approx(2 * 1.96 * found.standard_error, rel=0.1)
    same = uncertainty.paired_bootstrap(first, first, clusters)
    assert (same.difference, same.standard_error, same.low, same.high, same.p_not_higher) == (
        0,
        0,
        0,
        0,
        1,
    )


def test_the_interval_is_as_wide_as_shared_photos_require():
    random = np.random.default_rng(4)
    first = np.repeat(random.random(300) < 0.6, 8)  # eight triplets of the same three photos,
    second = np.repeat(random.random(300) < 0.65, 8)  # all judged alike
    clusters = np.repeat(np.arange(900).reshape(300, 3), 8, axis=0)
    found = uncertainty.paired_bootstrap(first, second, clusters)
    by_photos = random.integers(0, 300, (4000, 300))  # an oracle: whole groups are resampled
    low, high = np.quantile((second * 1.0 - first)[::8][by_photos].mean(axis=1), (0.025, 0.975))
    assert found.high - found.low == pytest.approx(high - low, rel=0.06)
    assert found.low == pytest.approx(low, abs=0.1 * (high - low))
    few = uncertainty.paired_bootstrap(first[:1], second[:1], clusters[:1])
    assert few.low == few.high == few.difference and np.isnan(few.standard_error)


def test_pairing_makes_the_error_smaller_than_that_of_two_separate_samples():
    random = np.random.default_rng(3)
    first = random.random(1000) < 0.7
    second = np.where(random.random(1000) < 0.05, ~first, first)
    clusters = np.arange(3000).reshape(1000, 3)
    apart = (
        sum(uncertainty.clustered_standard_error(x, clusters) ** 2 for x in (first, second))
    ) ** 0.5
    assert uncertainty.paired_bootstrap(first, second, clusters).standard_error < apart / 2


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"found \(3,\) and \(2, 3\)"):
        uncertainty.clustered_standard_error(np.ones(3), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"found \(0,\) and \(0,\)"):
        uncertainty.paired_bootstrap(np.ones(0), np.ones(0), np.ones((0, 3)))
    assert np.isnan(uncertainty.clustered_standard_error(np.ones(1), np.ones((1, 3))))


@settings(max_examples=60, deadline=None)
@given(
    clusters=hnp.arrays(
        np.int64, st.tuples(st.integers(2, 12), st.integers(1, 3)), elements=st.integers(0, 6)
    ),
    seed=st.integers(0, 2**31),
)
def test_the_p_value_of_two_groups_equals_a_loop_over_pairs_that_share_a_cluster(clusters, seed):
    random = np.random.default_rng(seed)
    values, first = random.random(len(clusters)) < 0.5, np.arange(len(clusters)) % 2 == 0
    shares = [
        (value - values.mean()) / (sum(first) if is_first else -sum(~first))
        for value, is_first in zip(values, first)
    ]
    pairs = sum(
        a * b
        for a, of_a in zip(shares, clusters.tolist())
        for b, of_b in zip(shares, clusters.tolist())
        if set(of_a) & set(of_b)
    )
    error = max(pairs, sum(share**2 for share in shares)) ** 0.5
    difference = values[first].mean() - values[~first].mean()
    expected = 2 * norm.sf(abs(difference) / error) if error else 1.0
    assert uncertainty.equal_means_p_value(values, first, clusters) == pytest.approx(expected)


def test_the_p_value_of_two_groups_without_clusters_is_that_of_the_chi_square_test():
    values, first = np.repeat([1, 0, 1, 0], (30, 70, 50, 50)), np.repeat([True, False], 100)
    table = [[30, 70], [50, 50]]
    expected = chi2_contingency(table, correction=False).pvalue
    found = uncertainty.equal_means_p_value(values, first, np.arange(200)[:, None])
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_p_value_of_an_empty_group_or_other_shapes():
    values, clusters = np.array([True, False]), np.array([[0], [1]])
    assert np.isnan(uncertainty.equal_means_p_value(values, np.array([True, True]), clusters))
    with pytest.raises(ValueError, match=r"must be \[n\] and clusters \[n, k\], found"):
        uncertainty.equal_means_p_value(values, np.array([True]), clusters)
