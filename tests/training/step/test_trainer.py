"""A step on the mesh against plain JAX; effects of accumulation, multipliers and precision."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imagefec.compat import optimizers, signature, tl
from imagefec.errors import UserError
from imagefec.model import ImageFEC
from imagefec.training.config import StepConfig
from imagefec.training.step.lr_multipliers import lr_multipliers
from imagefec.training.step.mesh import all_devices
from imagefec.training.step.objectives import Objective, OddOneOutCrossEntropy
from imagefec.training.step.precision import check_precision, in_bfloat16, with_remat
from imagefec.training.step.trainer import MeshTrainer

KEY = jax.random.PRNGKey(3)


def small_batch(n=4, size=6):
    random = np.random.default_rng(0)
    return (
        random.integers(0, 256, (3 * n, size, size, 3)).astype(np.uint8),
        np.zeros(n, np.int8),
        random.integers(0, 4, (n, 3)).astype(np.int32),
    )


def linear(batch):
    """A network of one matrix, faces -> 2 dimensions, with a loss."""
    model = tl.Serial(
        tl.Fn("AsFloat", lambda faces: faces.astype(jnp.float32) / 255),
        tl.Flatten(),
        tl.Dense(2),
        Objective(OddOneOutCrossEntropy(temperature=0.5)),
    )
    model.rng = KEY
    model.init(signature(batch))
    return model


def one_step(config=None, multipliers=None, n=4):
    batch = small_batch(n)
    model = linear(batch)
    before = jax.tree.map(np.array, model.weights)
    optimizer = optimizers.SGD(0.1)
    optimizer.tree_init(model.weights)
    factors = multipliers and multipliers(model)
    trainer = MeshTrainer(model, optimizer, all_devices(), config, lr_multipliers=factors)
    loss, statistics = trainer.one_step(batch, KEY, 1, learning_rate=0.1)
    return (
        model,
        batch,
        before,
        trainer.accelerated_model_with_loss.weights,
        float(loss),
        statistics,
    )


def test_a_step_subtracts_the_gradient_times_the_learning_rate():
    model, batch, before, after, loss, statistics = one_step()

    def plain(weights):
        return model.pure_fn(batch, weights, model.state, KEY)[0]

    gradient = jax.grad(plain)(before)
    assert loss == pytest.approx(float(plain(before)), rel=1e-6)
    for old, slope, new in zip(*map(jax.tree.leaves, (before, gradient, after))):
        np.testing.assert_allclose(new, old - 0.1 * slope, rtol=1e-5, atol=1e-7)
    assert float(statistics["triplet"]) == pytest.approx(loss) and float(statistics["spread"]) > 0


def test_gradient_accumulation_gives_the_step_of_the_complete_batch():
    complete, parts = one_step(StepConfig()), one_step(StepConfig(accumulation_steps=2))
    assert complete[4] == pytest.approx(parts[4], rel=1e-5)
    for a, b in zip(*map(jax.tree.leaves, (complete[3], parts[3]))):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("factor", [0.0, 0.25])
def test_a_multiplier_scales_the_change_of_a_weight(factor):
    _, _, before, after, _, _ = one_step()
    _, _, _, slowed, _, _ = one_step(
        multipliers=lambda model: jax.tree.map(lambda weight: factor, model.weights)
    )
    for old, new, slow in zip(*map(jax.tree.leaves, (before, after, slowed))):
        np.testing.assert_allclose(
            slow, old + factor * (np.asarray(new) - old), rtol=1e-4, atol=1e-7
        )


def tiny_network(**arguments):
    network = ImageFEC(
        d_hidden=4,
        block="basic",
        stage_blocks=(1, 1),
        stem="conv3x2",
        fc_widths=(8,),
        d_embedding=4,
        **arguments,
    )
    network.rng = KEY
    network.init(signature(np.zeros((6, 48, 48, 3), np.uint8)))
    return network


def test_the_first_pattern_found_in_a_weights_name_sets_its_multiplier():
    network = tiny_network()
    factors = lr_multipliers(network, {"Stem": 0, "Stage1": 0.1, "Stage": 0.5})
    per_layer = {
        layer.name: set(jax.tree.leaves(part)) for layer, part in zip(network.sublayers, factors)
    }
    assert (
        per_layer["Stem"] == {0.0}
        and per_layer["Stage1Block1"] == {0.1}
        and per_layer["Stage2Block1"] == {0.5}
    )
    assert [rates for name, rates in per_layer.items() if name.startswith("Dense") and rates] == [
        {1.0},
        {1.0},
    ]


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"Nowhere": 1}, "sets the factor of no weight"),
        ({"Stem": -1}, "0 or more"),
        ({"(": 1}, "not a regular expression"),
        ({"Stem": "slow"}, "must be a number"),
    ],
)
def test_multipliers_that_cannot_apply_are_refused(factors, message):
    with pytest.raises(UserError, match=message):
        lr_multipliers(tiny_network(), factors)


def test_bfloat16_rounds_only_convolutions_and_dense_layers():
    network = tiny_network()
    rounded = in_bfloat16(network, network.weights)
    kinds = {str(leaf.dtype) for leaf in jax.tree.leaves(rounded)}
    assert kinds == {"float32", "bfloat16"}
    faces = small_batch(2, 48)[0]
    exact = network.pure_fn(faces, network.weights, network.state, KEY)[0]
    rough = network.pure_fn(faces, rounded, network.state, KEY)[0]
    assert rough.dtype == jnp.float32
    np.testing.assert_allclose(rough, exact, atol=0.05)
    assert not np.allclose(rough, exact, atol=1e-6)


def test_bfloat16_is_refused_on_a_card_without_it():
    turing = types.SimpleNamespace(platform="gpu", compute_capability="7.5", device_kind="Tesla T4")
    with pytest.raises(
        UserError, match=r"Tesla T4 has no bfloat16 arithmetic \(compute capability 7\.5"
    ):
        check_precision("bfloat16", turing)
    check_precision("float32", turing)
    check_precision("bfloat16")  # on this machine's device


def test_remat_gives_the_same_embeddings_gradients_and_statistics():
    plain = tiny_network()
    again = with_remat(tiny_network())
    again.rng = KEY
    again.init(signature(np.zeros((6, 48, 48, 3), np.uint8)))
    faces = small_batch(2, 48)[0]

    def loss(network):
        def of(weights):
            embeddings, state = network.pure_fn(faces, weights, plain.state, KEY)
            return jnp.sum(embeddings[:, 0]), state

        return jax.jit(jax.value_and_grad(of, has_aux=True))(plain.weights)

    for a, b in zip(*map(jax.tree.leaves, (loss(plain), loss(again)))):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
