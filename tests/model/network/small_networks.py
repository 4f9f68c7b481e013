"""Small networks with sampled arrays, running means and variances included, and faces for them."""

import numpy as np
from hypothesis import strategies as st

from imagefec.model.network import architecture
from imagefec.model.network.architecture import Architecture
from imagefec.model.network.graph import network_of
from imagefec.model.network.load import folded, stored_arrays, with_arrays

SIDES = (17, 32, 33)  # odd and even maps are padded differently
# Together: every block, stem, pool, norm, padding and scaling; with and without projections.
VARIETY = (
    {"d_hidden": 3, "stage_blocks": [2, 1], "fc_widths": [6], "d_embedding": 5},
    {
        "d_hidden": 4,
        "block": "basic",
        "stage_blocks": [1, 1],
        "stem": "conv3",
        "pool": "flatten",
        "norm": "group",
        "scaling": "imagenet",
        "padding": "symmetric",
        "dropout": 0.5,  # without effect but in training
        "d_embedding": 3,
        "fc_widths": [],
    },
    {
        "d_hidden": 2,
        "block": "basic",
        "stage_blocks": [1, 2],
        "stem": "conv3x2",
        "norm": "frn",
        "fc_widths": [4, 3],
        "d_embedding": 4,
    },
    {
        "d_hidden": 2,
        "stage_blocks": [1, 1],
        "norm": "none",
        "padding": "symmetric",
        "pool": "flatten",
        "fc_widths": [4],
        "d_embedding": 2,
    },
)


def settings_of_networks():
    """Settings of small networks: every block, stem, pool, norm, padding and scaling."""
    return st.fixed_dictionaries(
        {
            "d_hidden": st.sampled_from([2, 3, 4]),
            "d_embedding": st.integers(1, 5),
            "fc_widths": st.lists(st.integers(1, 6), max_size=2),
            "block": st.sampled_from(architecture.BLOCKS),
            "stage_blocks": st.lists(st.integers(1, 2), min_size=1, max_size=2),
            "stem": st.sampled_from(architecture.STEMS),
            "pool": st.sampled_from(architecture.POOLS),
            "norm": st.sampled_from(architecture.NORMS),
            "padding": st.sampled_from(architecture.PADDINGS),
            "scaling": st.sampled_from(list(architecture.SCALINGS)),
        }
    )


def sampled_network(settings, side, seed=0):
    """A folded network with sampled arrays, made without Trax."""
    graph = network_of(Architecture(**settings), side)
    return folded(with_arrays(graph, sampled_arrays(stored_arrays(graph), seed)))


def sampled_arrays(shapes, seed=0):
    """An array for each name: name -> anything with a shape."""
    rng = np.random.default_rng(seed)
    return {name: _sampled(rng, name, tuple(array.shape)) for name, array in shapes.items()}


def _sampled(rng, name, shape):
    """Kernels keep the size of what passes; scales and variances are positive."""
    if len(shape) > 1:
        return rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32)
    noise = rng.normal(0, 0.2, shape)
    positive = "Norm" in name and name.endswith("/1" if name.startswith("state/") else "/0")
    return np.asarray(np.exp(noise) if positive else noise, np.float32)


def some_faces(n, side, seed=0):
    """Uint8 [n, side, side, 3] of coarse squares, whose maps vary as a photo's do."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, side // 4 + 1, side // 4 + 1, 3))
    return np.repeat(np.repeat(coarse, 4, 1), 4, 2)[:, :side, :side].astype(np.uint8)
