"""Runs of small networks with arbitrary weights and running statistics, and faces for them."""

import json

import jax
import numpy as np
from hypothesis import strategies as st

from imagefec.compat import ShapeDtype
from imagefec.model import ImageFEC, checkpoint
from imagefec.model.network import architecture

SIDES = (17, 32, 33)  # odd and even maps are padded differently


def settings_of_networks():
    """Settings of small networks: every block, stem, pool, norm, padding and scaling."""
    return st.fixed_dictionaries(
        {
            "d_hidden": st.sampled_from([2, 3, 4]),
            "d_embedding": st.integers(1, 5),
            "fc_widths": st.lists(st.integers(1, 6), max_size=2),
            "block": st.sampled_from(architecture.BLOCKS),
            "stage_blocks": st.lists(st.integers(1, 2), min_size=1, max_size=3),
            "stem": st.sampled_from(architecture.STEMS),
            "pool": st.sampled_from(architecture.POOLS),
            "norm": st.sampled_from(architecture.NORMS),
            "padding": st.sampled_from(architecture.PADDINGS),
            "scaling": st.sampled_from(list(architecture.SCALINGS)),
        }
    )


def write_run(folder, settings, side, seed=0, **info):
    """A run directory whose arrays are all sampled, running means and variances included."""
    model = ImageFEC(**settings, mode="eval")
    model.init(ShapeDtype((1, side, side, 3), np.uint8), rng=jax.random.PRNGKey(seed))
    rng = np.random.default_rng(seed)
    arrays = {
        name: _sampled(rng, name, array) for name, array in checkpoint.named_weights(model).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"format": 1, "model": settings, "image_size": side, "dataset": "fec", **info}
    (folder / "run.json").write_text(json.dumps(contents))
    checkpoint.save(folder / "best.npz", arrays, {"step": 12})
    return folder


def _sampled(rng, name, array):
    noise = rng.normal(0, 0.2, array.shape)
    positive = "Norm" in name and name.endswith(
        "/1" if name.startswith("state/") else "/0"
    )  # variances and scales
    if positive:
        return np.exp(noise).astype(np.float32)
    return (array + noise * np.std(array) if array.ndim > 1 else noise).astype(np.float32)


def some_faces(n, side, seed=0):
    """Uint8 [n, side, side, 3]: noise, smoothed so that maps vary as a photo's do."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, side // 4 + 1, side // 4 + 1, 3))
    return np.repeat(np.repeat(coarse, 4, 1), 4, 2)[:, :side, :side].astype(np.uint8)
