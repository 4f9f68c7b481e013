"""Initial weights from another run: all of them, or only the body."""

import jax
import numpy as np
import pytest

from imagefec.compat import signature
from imagefec.errors import UserError
from imagefec.model import ImageFEC, checkpoint
from imagefec.training.initial_weights import load_pretrained_weights


def network(seed, d_embedding=4, d_hidden=4):
    layer = ImageFEC(
        d_hidden=d_hidden,
        block="basic",
        stage_blocks=(1, 1),
        stem="conv3x2",
        fc_widths=(8,),
        d_embedding=d_embedding,
    )
    layer.rng = jax.random.PRNGKey(seed)
    layer.init(signature(np.zeros((2, 48, 48, 3), np.uint8)))
    return layer


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source") / "run"
    folder.mkdir()
    checkpoint.save(
        folder / "model.npz",
        {**checkpoint.named_weights(network(1)), "slots/0": np.ones(2)},
        {"step": 3},
    )
    return folder


def named(layer):
    return checkpoint.named_weights(layer)


def test_all_weights_of_a_run_are_loaded(run_dir):
    layer = network(2)
    load_pretrained_weights(layer, run_dir)
    assert all(
        np.array_equal(array, named(network(1))[name]) for name, array in named(layer).items()
    )


def test_the_best_checkpoint_takes_precedence_over_the_latest(run_dir, tmp_path):
    for name, seed in (("model.npz", 1), ("best.npz", 5)):
        checkpoint.save(tmp_path / name, named(network(seed)), {"step": 3})
    layer = network(2)
    load_pretrained_weights(layer, tmp_path)
    assert all(
        np.array_equal(array, named(network(5))[name]) for name, array in named(layer).items()
    )


def test_a_body_is_loaded_under_another_head(run_dir):
    layer, before = network(2, d_embedding=7), named(network(2, d_embedding=7))
    load_pretrained_weights(layer, run_dir / "model.npz", "body")
    after, source = named(layer), named(network(1))
    body = {name for name in after if "Stem" in name or "Stage" in name}
    assert body and body != set(after)
    for name, array in after.items():
        np.testing.assert_array_equal(
            array, source[name] if name in body else before[name], err_msg=name
        )


@pytest.mark.parametrize("source", ["~/run", "$HOME/run", "${HOME}/run/model.npz"])
def test_home_and_variables_are_replaced_in_the_path(run_dir, monkeypatch, source):
    monkeypatch.setenv("HOME", str(run_dir.parent))
    layer = network(2)
    load_pretrained_weights(layer, source)
    name = next(iter(named(layer)))
    assert np.array_equal(named(layer)[name], named(network(1))[name])


def test_an_empty_path_is_refused():
    with pytest.raises(UserError, match=r"training\.init_checkpoint is '', which is not a path"):
        load_pretrained_weights(network(2), "")


@pytest.mark.parametrize(
    ("layer", "source", "part", "message"),
    [
        ({"d_embedding": 7}, "", "whole", "requires shape"),
        ({"d_hidden": 8}, "", "body", "requires shape"),
        ({}, "", "head", "must be one of whole, body"),
        ({}, "nowhere", "whole", "there is no such checkpoint"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_leave_the_network_unchanged(
    run_dir, layer, source, part, message
):
    target = network(2, **layer)
    before = named(target)
    with pytest.raises(UserError, match=message):
        load_pretrained_weights(target, run_dir / source if source else run_dir, part)
    assert all(np.array_equal(before[name], array) for name, array in named(target).items())
