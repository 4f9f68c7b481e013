"""Runs of small networks, written as training writes them."""

import json

from imagefec.compat import ShapeDtype
from imagefec.model import ImageFEC, checkpoint
from tests.model.network.small_networks import sampled_arrays

SETTINGS = {
    "d_hidden": 3,
    "d_embedding": 5,
    "fc_widths": [6],
    "block": "basic",
    "stage_blocks": [1, 1],
    "pool": "flatten",
}


def trax_arrays(settings, side):
    """Name -> shape and dtype of the arrays of the Trax network."""
    model = ImageFEC(**settings, mode="eval")
    signature = model.weights_and_state_signature(ShapeDtype((1, side, side, 3), "uint8"))
    return checkpoint.expected_weights(model, *signature)


def write_run(folder, settings, side, seed=0, **info):
    """A run directory whose arrays are all sampled, running means and variances included."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"format": 1, "model": settings, "image_size": side, "dataset": "fec", **info}
    (folder / "run.json").write_text(json.dumps(contents))
    arrays = sampled_arrays(trax_arrays(settings, side), seed)
    checkpoint.save(folder / "best.npz", arrays, {"step": 12})
    return folder
