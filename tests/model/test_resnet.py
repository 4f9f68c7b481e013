"""ImageFEC against a naive forward pass in NumPy with the same weights; its sizes and refusals."""

import functools

import jax
import numpy as np
import pytest

from imagefec.compat import ShapeDtype
from imagefec.model import ImageFEC, checkpoint

EPSILON = 1e-5


def initialised(size_px: int = 32, seed: int = 0, **settings):
    model = ImageFEC(**settings)
    model.init(ShapeDtype((1, size_px, size_px, 3), np.uint8), rng=jax.random.PRNGKey(seed))
    return model


def some_faces(n: int, height: int, width: int | None = None) -> np.ndarray:
    return np.random.default_rng(0).integers(
        0, 256, (n, height, width or height, 3), dtype=np.uint8
    )


class NaiveNet:
    """The same network in float64 NumPy: weights consumed in order, convolution tap by tap."""

    def __init__(self, weights, state, training: bool):
        self.weights = [np.asarray(w, np.float64) for w in jax.tree.leaves(weights)]
        self.state = [np.asarray(s, np.float64) for s in jax.tree.leaves(state)]
        self.training = training
        self.new_state = []

    def same(self, x, size, stride, fill):
        pads, outs = [], []
        for side in x.shape[1:3]:
            out = int(np.ceil(side / stride))
            pad = max((out - 1) * stride + size - side, 0)
            outs.append(out)
            pads.append((pad // 2, pad - pad // 2))
        x = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
        for dy in range(size):
            for dx in range(size):
                yield (
                    dy,
                    dx,
                    np.stack(
                        [
                            [x[:, i * stride + dy, j * stride + dx] for j in range(outs[1])]
                            for i in range(outs[0])
                        ]
                    ).transpose(2, 0, 1, 3),
                )

    def conv_norm(self, x, stride):
        kernel, scale, offset = (self.weights.pop(0) for _ in range(3))
        mean, variance = self.state.pop(0), self.state.pop(0)
        y = sum(tap @ kernel[dy, dx] for dy, dx, tap in self.same(x, kernel.shape[0], stride, 0))
        if self.training:
            batch_mean, batch_variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
            self.new_state += [0.9 * mean + 0.1 * batch_mean, 0.9 * variance + 0.1 * batch_variance]
            mean, variance = batch_mean, batch_variance
        return (y - mean) / np.sqrt(variance + EPSILON) * scale + offset

    def block(self, x, kind, stride, projected):
        # The shortcut's weights come first, as in Trax's Residual.
        shortcut = self.conv_norm(x, stride) if projected else x
        if kind == "basic":
            y = relu(self.conv_norm(x, stride))
        else:
            y = relu(self.conv_norm(relu(self.conv_norm(x, 1)), stride))
        return relu(self.conv_norm(y, 1) + shortcut)

    def __call__(self, faces, kind, stage_blocks, stem, pool):
        x = relu(self.conv_norm((faces.astype(np.float64) - 127.5) / 127.5, 2))
        if stem == "imagenet":
            x = functools.reduce(np.maximum, (tap for _, _, tap in self.same(x, 3, 2, -np.inf)))
        if stem == "conv3x2":
            x = relu(self.conv_norm(x, 2))
        for stage, n_blocks in enumerate(stage_blocks):
            for index in range(n_blocks):
                projected = index == 0 and (stage > 0 or kind == "bottleneck")
                x = self.block(x, kind, 2 if stage > 0 and index == 0 else 1, projected)
        x = x.mean((1, 2)) if pool == "mean" else x.reshape(len(x), -1)
        while self.weights:
            weights, bias = self.weights.pop(0), self.weights.pop(0)
            x = x @ weights + bias
            x = relu(x) if self.weights else x
        return x / np.linalg.norm(x, axis=1, keepdims=True)


class ShortcutsOnly(NaiveNet):
    """The same network without its residual branches, whose weights are skipped."""

    def block(self, x, kind, stride, projected):
        shortcut = self.conv_norm(x, stride) if projected else x
        for _ in range(2 if kind == "basic" else 3):
            del self.weights[:3], self.state[:2]
        return relu(shortcut)


def relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize(
    ("block", "stem", "pool", "stage_blocks", "fc_widths"),
    [
        ("bottleneck", "imagenet", "mean", (2, 1), (10,)),
        ("basic", "conv3", "flatten", (1, 2), (12, 10)),
        ("basic", "conv3x2", "mean", (2, 1), ()),
    ],
)
def test_the_network_equals_a_naive_forward_pass_in_both_modes(
    block, stem, pool, stage_blocks, fc_widths
):
    settings = {
        "d_hidden": 4,
        "d_embedding": 6,
        "fc_widths": fc_widths,
        "block": block,
        "stage_blocks": stage_blocks,
        "stem": stem,
        "pool": pool,
    }
    faces = some_faces(3, 22)  # 22, 11, 6: odd maps, so that SAME pads unevenly
    generator = np.random.default_rng(1)
    model = initialised(22, **settings, mode="train")
    # Neither scale 1 nor offset 0 nor bias 0, so that each of them affects the result.
    model.weights = jax.tree.map(
        lambda w: (w + generator.normal(size=w.shape) * 0.1).astype(np.float32), model.weights
    )
    naive = NaiveNet(model.weights, model.state, training=True)
    key = jax.random.PRNGKey(0)
    found, state = jax.jit(model.pure_fn)(faces, model.weights, model.state, key)
    np.testing.assert_allclose(found, naive(faces, block, stage_blocks, stem, pool), atol=1e-4)
    for updated, expected in zip(jax.tree.leaves(state), naive.new_state, strict=True):
        np.testing.assert_allclose(updated, expected, atol=1e-4)

    evaluator = ImageFEC(**settings, mode="eval")
    naive = NaiveNet(model.weights, state, training=False)
    found, same_state = jax.jit(evaluator.pure_fn)(faces, model.weights, state, key)
    np.testing.assert_allclose(found, naive(faces, block, stage_blocks, stem, pool), atol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, same_state, state)


@pytest.mark.parametrize("block", ["bottleneck", "basic"])
def test_zero_initialised_residual_branches_start_as_shortcuts_and_learn(block):
    settings = {
        "d_hidden": 4,
        "block": block,
        "stage_blocks": (2, 2),
        "zero_init_residual": True,
        "mode": "eval",
    }
    faces = some_faces(3, 22)
    model = initialised(22, **settings)
    shortcuts = ShortcutsOnly(model.weights, model.state, training=False)
    np.testing.assert_allclose(
        model(faces), shortcuts(faces, block, (2, 2), "imagenet", "mean"), atol=1e-4
    )

    def first_values(weights):
        return model.pure_fn(faces, weights, model.state, jax.random.PRNGKey(0))[0][:, 0].sum()

    weights, slopes = (
        jax.tree.leaves(model.weights),
        jax.tree.leaves(jax.grad(first_values)(model.weights)),
    )
    # Each scale follows its kernel.
    scales = [index + 1 for index, weight in enumerate(weights) if weight.ndim == 4]
    zero_scales = [index for index in scales if not weights[index].any()]
    assert len(zero_scales) == 4  # one per block
    assert all((weights[index] == 1).all() for index in set(scales) - set(zero_scales))
    assert all(slopes[index].any() for index in zero_scales)


def test_the_default_body_has_as_many_parameters_as_torchvisions_resnet_50():
    model = ImageFEC()
    weights, _ = model.weights_and_state_signature(ShapeDtype((1, 64, 64, 3), np.uint8))
    n_parameters = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(weights))
    head = (2048 * 512 + 512) + (512 * 16 + 16)
    # torchvision's resnet50 counts 25,557,032 with its classifier of 2048 * 1000 + 1000.
    assert n_parameters - head == 25_557_032 - 2_049_000 == 23_508_032


@pytest.mark.parametrize("size_px", [48, 97, 256])
@pytest.mark.parametrize("stem", ["imagenet", "conv3", "conv3x2"])
def test_a_network_with_mean_pooling_takes_faces_of_any_size(stem, size_px):
    model = ImageFEC(d_hidden=4, stage_blocks=(1, 1, 1, 1), stem=stem, fc_widths=(8,))
    at_64, _ = model.weights_and_state_signature(ShapeDtype((1, 64, 64, 3), np.uint8))
    weights, state = model.weights_and_state_signature(
        ShapeDtype((2, size_px, size_px, 3), np.uint8)
    )
    assert jax.tree.map(lambda s: s.shape, weights) == jax.tree.map(lambda s: s.shape, at_64)
    faces = ShapeDtype((2, size_px, size_px, 3), np.uint8)
    shapes = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype), (weights, state, faces))
    found = jax.eval_shape(
        lambda w, s, f: model.pure_fn(f, w, s, jax.random.PRNGKey(0))[0], *shapes
    )
    assert (found.shape, found.dtype) == ((2, 16), np.float32)


@pytest.mark.parametrize("norm", ["group", "frn", "none"])
def test_networks_without_batch_norm_embed_the_same_in_both_modes_and_in_any_batch(norm):
    settings = {
        "d_hidden": 4,
        "stage_blocks": (1, 1),
        "stem": "conv3",
        "block": "basic",
        "norm": norm,
    }
    faces = some_faces(3, 24)
    model = initialised(24, **settings)
    found = np.asarray(model(faces))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    evaluator = ImageFEC(**settings, mode="eval")
    alone = evaluator(faces[:1], weights=model.weights, state=model.state)
    np.testing.assert_allclose(alone, found[:1], atol=1e-5)


def test_float_faces_of_the_same_values_embed_the_same():
    model = initialised(24, d_hidden=4, stage_blocks=(1,), stem="conv3", mode="eval")
    faces = some_faces(2, 24)
    np.testing.assert_allclose(model(faces), model(faces.astype(np.float32)), atol=1e-6)


@pytest.mark.parametrize("pool", ["mean", "flatten"])
def test_dropout_changes_training_only_and_neither_names_nor_initial_weights(pool):
    settings = {"d_hidden": 4, "stage_blocks": (1,), "stem": "conv3", "norm": "group", "pool": pool}
    plain, dropping = initialised(16, **settings), initialised(16, **settings, dropout=0.5)
    named = checkpoint.named_weights(plain)
    for name, array in checkpoint.named_weights(dropping).items():
        np.testing.assert_array_equal(array, named.pop(name))
    assert not named
    faces, keys = some_faces(2, 16), (jax.random.PRNGKey(0), jax.random.PRNGKey(1))
    first, second = (dropping(faces, rng=key) for key in keys)
    assert np.abs(np.asarray(first) - second).max() > 1e-3
    np.testing.assert_array_equal(first, dropping(faces, rng=keys[0]))
    evaluated = initialised(16, **settings, dropout=0.5, mode="eval")
    np.testing.assert_array_equal(evaluated(faces, rng=keys[0]), plain(faces, rng=keys[1]))


def test_training_on_one_batch_predicts_its_triplets():
    from imagefec.maths import losses, metrics

    model = initialised(
        24, d_hidden=8, stage_blocks=(1, 1), stem="conv3", block="basic", pool="flatten"
    )
    faces = some_faces(24, 24)

    @jax.jit
    def step(weights, state):
        def loss(weights):
            vectors, new_state = model.pure_fn(faces, weights, state, jax.random.PRNGKey(0))
            return losses.odd_one_out_hinge(vectors.reshape(8, 3, -1)).mean(), (new_state, vectors)

        gradient, (new_state, vectors) = jax.grad(loss, has_aux=True)(weights)
        return jax.tree.map(lambda w, g: w - 0.05 * g, weights, gradient), new_state, vectors

    weights, state = model.weights, model.state
    for _ in range(60):
        weights, state, vectors = step(weights, state)
    assert metrics.triplet_prediction_accuracy(vectors.reshape(8, 3, -1)) == 1


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"block": "wide"}, "block must be one of bottleneck, basic; found 'wide'"),
        ({"stem": "patch"}, "stem must be one of imagenet, conv3, conv3x2"),
        ({"pool": "max"}, "pool must be one of mean, flatten"),
        ({"norm": "layer"}, "norm must be one of batch, group, frn, none"),
        ({"mode": "test"}, "mode must be one of train, eval"),
        ({"d_hidden": 0}, "d_hidden must be an integer, 1 to 1,024; found 0"),
        (
            {"fc_widths": (512, 0)},
            "fc_widths must be a tuple of 0 to 16 values, each an integer, 1 to 65,536",
        ),
        (
            {"zero_init_residual": True, "norm": "group"},
            "zero_init_residual needs norm 'batch'; found 'group'",
        ),
        ({"stage_blocks": ()}, "stage_blocks must be a tuple of 1 to 6 values"),
    ],
)
def test_unknown_settings_are_refused_with_the_allowed_ones(wrong, text):
    with pytest.raises(ValueError, match=text):
        ImageFEC(**wrong)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_bfloat16_weights_give_float32_statistics_and_embeddings_near_those_of_float32_weights(
    norm,
):
    model = initialised(d_hidden=8, stage_blocks=(1, 1), norm=norm)
    faces = some_faces(8, 32)
    key = jax.random.PRNGKey(1)
    exact, _ = model.pure_fn(faces, model.weights, model.state, key)
    rounded = jax.tree.map(lambda weight: weight.astype(jax.numpy.bfloat16), model.weights)
    embeddings, state = model.pure_fn(faces, rounded, model.state, key)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    # bfloat16 has 8 bits of precision.
    np.testing.assert_allclose(np.sum(embeddings * exact, axis=1), 1, atol=0.02)
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} <= {np.dtype(np.float32)}
