"""The share of variance between persons against loops, analysis of variance and worked values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imagefec.maths.identity import person_share


def naive_share(embeddings, persons):
    within, between = [], []
    for i in range(len(persons)):
        for j in range(i):
            if persons[i] >= 0 and persons[j] >= 0:
                pairs = within if persons[i] == persons[j] else between
                pairs.append(((embeddings[i].astype(float) - embeddings[j]) ** 2).sum())
    if not within or not between or np.mean(between) == 0:
        return 0.0
    return 1 - np.mean(within) / np.mean(between)


@pytest.mark.parametrize("seed", range(5))
def test_the_share_equals_a_loop_over_all_pairs_of_known_persons(seed):
    random = np.random.default_rng(seed)
    embeddings = random.normal(size=(30, 4)).astype(np.float32)
    persons = random.integers(-1, 6, 30).astype(np.int32)
    assert float(person_share(embeddings, persons)) == pytest.approx(
        naive_share(embeddings, persons), abs=1e-5
    )


def test_it_estimates_the_variance_between_persons_for_any_number_of_faces_of_each():
    # Variance 0.3 between persons and 0.7 within, so the share is 0.3 in expectation.
    random = np.random.default_rng(0)
    for faces_each in (2, 20):
        persons = np.repeat(np.arange(1200 // faces_each), faces_each)
        means = random.normal(size=(len(persons) // faces_each, 8)) * 0.3**0.5
        embeddings = means[persons] + random.normal(size=(1200, 8)) * 0.7**0.5
        assert float(person_share(embeddings, persons)) == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize(
    ("embeddings", "persons", "expected"),
    [
        ([[0, 0], [0, 0], [1, 0], [1, 0]], [0, 0, 1, 1], 1.0),  # a person's faces coincide
        ([[0, 0], [1, 0], [0, 0], [1, 0]], [0, 0, 1, 1], -1.0),  # 1 within, 1/2 between
        ([[0, 0], [1, 0], [3, 0]], [7, 7, 9], 1 - 1 / 6.5),  # 1 within, (9 + 4) / 2 between
        ([[0, 0], [1, 0], [3, 0], [50, 0]], [7, 7, 9, -1], 1 - 1 / 6.5),
        ([[0, 0], [1, 0], [3, 0]], [7, 8, 9], 0.0),  # no two faces of one person
        ([[0, 0], [1, 0], [3, 0]], [7, 7, 7], 0.0),  # one person
        ([[0, 0], [1, 0], [3, 0]], [-1, -1, -2], 0.0),
        ([[2, 0], [2, 0], [2, 0]], [1, 1, 2], 0.0),  # all coincide
    ],
)
def test_worked_values_and_finite_gradients_where_there_is_nothing_to_compare(
    embeddings, persons, expected
):
    embeddings, persons = jnp.array(embeddings, jnp.float32), jnp.array(persons)
    share, gradient = jax.jit(jax.value_and_grad(person_share))(embeddings, persons)
    assert float(share) == pytest.approx(expected, abs=1e-6)
    assert np.isfinite(gradient).all() and (expected != 0 or not gradient.any())


def test_its_gradient_is_that_of_finite_differences_of_the_loop():
    random = np.random.default_rng(3)
    embeddings, persons = random.normal(size=(8, 3)), np.array([0, 0, 0, 1, 1, 2, -1, 2])
    found = np.asarray(jax.jit(jax.grad(person_share))(embeddings.astype(np.float32), persons))
    for place in np.ndindex(embeddings.shape):
        step = np.zeros_like(embeddings)
        step[place] = 1e-5
        slope = naive_share(embeddings + step, persons) - naive_share(embeddings - step, persons)
        assert found[place] == pytest.approx(slope / 2e-5, abs=1e-4)


def test_descent_moves_persons_together_and_keeps_what_varies_within_them():
    # First axis: who; second: the expression, the same for all persons.
    persons = jnp.repeat(jnp.arange(4), 6)
    embeddings = jnp.stack([persons * 1.0, jnp.tile(jnp.arange(6.0), 4)], axis=1)
    before = float(person_share(embeddings, persons))
    gradient = jax.jit(jax.grad(person_share))
    for _ in range(300):
        embeddings -= 2 * gradient(embeddings, persons)
    means = np.array([embeddings[persons == person].mean(axis=0) for person in range(4)])
    assert before > 0.2 and np.ptp(means[:, 0]) < 0.5  # 3 at first
    assert (np.diff(embeddings[:6, 1]) > 0.9).all()


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"found \(3, 2\) and \(4,\)"):
        person_share(jnp.zeros((3, 2)), jnp.zeros(4, jnp.int32))
