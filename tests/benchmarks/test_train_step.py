"""The counts and the table of benchmarks/train_step.py; timing requires an idle machine."""

import importlib.util
import pathlib

import pytest

PATH = pathlib.Path(__file__).parents[2] / "benchmarks" / "train_step.py"


@pytest.fixture
def train_step(monkeypatch):
    # Python does this for a script.
    monkeypatch.syspath_prepend(PATH.parent)
    spec = importlib.util.spec_from_file_location("train_step", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_number_of_products_of_resnet_50_is_that_of_the_literature(train_step):
    # 4.09 G products forward at 224 px with 1,000 classes (torchvision: 4.089); the head here is
    # 512 and 16.
    forward = train_step.training_flops(224, 64) / 6
    assert forward - 2048 * 512 - 512 * 16 + 2048 * 1000 == pytest.approx(4.089e9, rel=2e-4)


def test_rates_and_speed_ups_are_medians_over_rounds(train_step):
    seconds = {"ours": [1.0, 2.0, 4.0], "peer": [2.0, 2.0, 2.0]}
    lines = train_step.table(seconds, images=8, flops=1e12, peak_tflops=None).splitlines()
    assert lines[2] == "| ours | 4.0 | 2.0 .. 8.0 | 1.00 |"
    assert lines[3] == "| peer | 4.0 | 4.0 .. 4.0 | 1.00 |"  # 2, 1 and 1/2
    with_share = train_step.table(seconds, images=8, flops=1e12, peak_tflops=8.0)
    assert "| ours | 4.0 | 2.0 .. 8.0 | 50.0 % | 1.00 |" in with_share


@pytest.mark.parametrize(
    ("device", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756),
        ("TPU v5 lite", 197),
        ("cpu", None),
    ],
)
def test_the_matrix_rate_is_found_by_the_name_of_the_device(train_step, device, tflops):
    assert train_step._peak_tflops(device) == tflops
