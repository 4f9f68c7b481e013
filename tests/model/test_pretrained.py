"""torchvision's ResNet weights in ImageFEC, against a NumPy forward pass with PyTorch's names."""

import importlib.util
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from imagefec.compat import ShapeDtype
from imagefec.errors import UserError
from imagefec.model import ImageFEC, checkpoint, pretrained

WIDTH, BLOCKS = 4, (1, 2)


def initialised(**settings):
    theirs = {
        "d_hidden": WIDTH,
        "stage_blocks": BLOCKS,
        "padding": "symmetric",
        "scaling": "imagenet",
        "mode": "eval",
    }
    model = ImageFEC(**theirs | settings)
    model.init(ShapeDtype((1, 32, 32, 3), np.uint8), rng=jax.random.PRNGKey(0))
    return model


def torch_state_dict(seed=0, width=WIDTH, blocks=BLOCKS):
    """Random arrays under the names and in the layout of torchvision's ResNet of bottlenecks."""
    random = np.random.default_rng(seed)
    state = {}

    def conv(name, norm, c_out, c_in, size):
        state[f"{name}.weight"] = (
            random.normal(size=(c_out, c_in, size, size)) * (2 / (c_in * size * size)) ** 0.5
        )
        state[f"{norm}.weight"], state[f"{norm}.bias"] = (
            random.uniform(0.5, 1.5, c_out),
            random.normal(size=c_out),
        )
        state[f"{norm}.running_mean"], state[f"{norm}.running_var"] = (
            random.normal(size=c_out),
            random.uniform(0.5, 2, c_out),
        )
        state[f"{norm}.num_batches_tracked"] = np.array(7)

    conv("conv1", "bn1", width, 3, 7)
    channels = width
    for stage, n_blocks in enumerate(blocks):
        filters = width * 2**stage
        for block in range(n_blocks):
            where = f"layer{stage + 1}.{block}"
            conv(f"{where}.conv1", f"{where}.bn1", filters, channels, 1)
            conv(f"{where}.conv2", f"{where}.bn2", filters, filters, 3)
            conv(f"{where}.conv3", f"{where}.bn3", 4 * filters, filters, 1)
            if block == 0:
                conv(f"{where}.downsample.0", f"{where}.downsample.1", 4 * filters, channels, 1)
            channels = 4 * filters
    state["fc.weight"], state["fc.bias"] = (
        random.normal(size=(10, channels)),
        random.normal(size=10),
    )
    return {
        name: array.astype(np.int64 if name.endswith("tracked") else np.float32)
        for name, array in state.items()
    }


def torch_features(state, faces, blocks=BLOCKS):
    """torchvision's features after global pooling, [n, channels]; convolutions by window, NCHW."""

    def windows(x, size, stride, fill):
        half = size // 2
        x = np.pad(x, ((0, 0), (0, 0), (half, half), (half, half)), constant_values=fill)
        return np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))[
            :, :, ::stride, ::stride
        ]

    def conv(x, name, norm, stride=1):
        kernel = state[f"{name}.weight"].astype(np.float64)
        x = np.einsum("nchwij,ocij->nohw", windows(x, kernel.shape[-1], stride, 0), kernel)
        scale, offset, mean, variance = (
            state[f"{norm}.{what}"][:, None, None]
            for what in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * scale + offset

    # As torchvision's transforms scale.
    x = (faces / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    x = np.maximum(conv(x.transpose(0, 3, 1, 2), "conv1", "bn1", 2), 0)
    x = windows(x, 3, 2, -np.inf).max((4, 5))
    for stage, n_blocks in enumerate(blocks):
        for block in range(n_blocks):
            where, stride = f"layer{stage + 1}.{block}", 2 if stage and not block else 1
            y = np.maximum(conv(x, f"{where}.conv1", f"{where}.bn1"), 0)
            y = np.maximum(conv(y, f"{where}.conv2", f"{where}.bn2", stride), 0)
            y = conv(y, f"{where}.conv3", f"{where}.bn3")
            x = np.maximum(
                y
                + (
                    conv(x, f"{where}.downsample.0", f"{where}.downsample.1", stride)
                    if not block
                    else x
                ),
                0,
            )
    return x.mean((2, 3))


def our_features(model, faces):
    """The output of the layer GlobalMean."""
    x = faces
    for layer in model.sublayers:
        x = layer(x)
        if layer.name == "GlobalMean":
            return x
    raise AssertionError("no GlobalMean")


@pytest.mark.parametrize("side", [32, 33])  # an odd map is padded differently
def test_features_equal_torchvisions(tmp_path, side):
    state = torch_state_dict()
    save_file(state, tmp_path / "resnet.safetensors")
    model = initialised()
    before = checkpoint.named_weights(model)
    pretrained.load_body(model, tmp_path / "resnet.safetensors")
    faces = np.random.default_rng(1).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        our_features(model, faces), torch_features(state, faces), rtol=1e-4, atol=1e-4
    )
    after = checkpoint.named_weights(model)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {name for name in before if "Dense" not in name}


def test_every_array_of_resnet_50_has_a_torchvision_name():
    model = initialised(d_hidden=64, stage_blocks=(3, 4, 6, 3))
    names = pretrained.torch_names(checkpoint.named_weights(model))
    expected = torch_state_dict(width=64, blocks=(3, 4, 6, 3))
    body = (
        name for name in expected if not name.startswith("fc.") and not name.endswith("tracked")
    )
    assert sorted(names.values()) == sorted(body)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"d_hidden": 8}, r"conv1\.weight has shape \[7, 7, 3, 4\].*\[7, 7, 3, 8\]"),
        ({"stage_blocks": (1, 3)}, r"layer2\.2\.conv1\.weight is missing"),
        ({"stage_blocks": (1, 1)}, r"layer2\.1\..*has no place"),
        ({"block": "basic"}, r"layer1\.0\.conv1\.weight|downsample"),
    ],
)
def test_a_state_dict_of_another_network_is_refused_and_the_model_stays_unchanged(
    tmp_path, settings, message
):
    save_file(torch_state_dict(), tmp_path / "resnet.safetensors")
    model = initialised(**settings)
    before = checkpoint.named_weights(model)
    with pytest.raises(UserError, match=message):
        pretrained.load_body(model, tmp_path / "resnet.safetensors")
    after = checkpoint.named_weights(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.safetensors", None, "no such file"),
        ("weights.bin", b"x", r"found '\.bin'"),
        ("broken.safetensors", b"\x10\0\0\0\0\0\0\0nonsense", "not a safetensors file"),
        ("empty.safetensors", b"", "not a safetensors file"),
    ],
)
def test_a_file_that_is_not_a_state_dict_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        pretrained.read_state_dict(tmp_path / name)


def safetensors_header(shape, end):
    header = {"conv1.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}
    return json.dumps(header).encode()


@pytest.mark.parametrize(
    "header",
    [
        safetensors_header([10**9, 10**9], 16),
        safetensors_header([10**9], 4 * 10**9),
        safetensors_header([-4], 16),
        safetensors_header([4], 12),
        b'{"a": ' * 10_000 + b"1" + b"}" * 10_000,
        b"[]",
    ],
)
def test_a_safetensors_header_that_lies_is_refused(tmp_path, header):
    path = tmp_path / "lying.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(UserError, match="not a safetensors file"):
        pretrained.read_state_dict(path)


def test_values_that_are_not_finite_are_refused_by_name(tmp_path):
    model = initialised()
    for value in (np.nan, np.inf):
        state = torch_state_dict()
        state["conv1.weight"][0, 0, 0, 0] = value
        save_file(state, tmp_path / "resnet.safetensors")
        with pytest.raises(UserError, match=r"NaN or infinity: weights/1\.Stem/0\.Conv \(1 of"):
            pretrained.load_body(model, tmp_path / "resnet.safetensors")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, []),
        ({"padding": "same"}, ["ImageFEC.padding = 'symmetric'"]),
        ({"scaling": "unit"}, ["ImageFEC.scaling = 'imagenet'"]),
        (
            {"padding": "same", "scaling": "unit"},
            ["ImageFEC.scaling = 'imagenet'", "ImageFEC.padding = 'symmetric'"],
        ),
    ],
)
def test_a_model_that_sees_other_pixels_than_torchvisions_is_warned_of(
    tmp_path, caplog, settings, named
):
    save_file(torch_state_dict(), tmp_path / "resnet.safetensors")
    pretrained.load_body(initialised(**settings), tmp_path / "resnet.safetensors")
    assert [setting for setting in named if setting in caplog.text] == named
    assert ("other pixels" in caplog.text) == bool(named)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_a_file_of_pytorch_is_read_but_not_a_pickled_object(tmp_path):
    code = f"""
import torch, numpy as np, pathlib
from imagefec.model import pretrained
from imagefec.errors import UserError
folder = pathlib.Path({str(tmp_path)!r})
state = {{"conv1.weight": torch.ones(2, 3).half(), "bn1.num_batches_tracked": torch.tensor(3)}}
torch.save({{"state_dict": state}}, folder / "a.pth")
found = pretrained.read_state_dict(folder / "a.pth")
assert list(found) == ["conv1.weight"] and found["conv1.weight"].dtype == np.float32, found
torch.save(folder, folder / "b.pth")
try:
    pretrained.read_state_dict(folder / "b.pth")
except UserError as error:
    print("refused", error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert "refused" in done.stdout
