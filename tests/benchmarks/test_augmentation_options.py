"""benchmarks/augmentation_options.py: its table, and that training takes every option."""

import importlib.util
import json
from pathlib import Path

import pytest

import imagefec
from imagefec.training import configurables

SCRIPT = Path(imagefec.__file__).parents[1] / "benchmarks/augmentation_options.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("augmentation_options", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_training_takes_every_option(script):
    configurables.parse(["quickstart.gin"], list(script.BASE))
    plain = configurables.train_config()
    for option, bindings in script.OPTIONS.items():
        configurables.parse(["quickstart.gin"], [*script.BASE, *bindings])
        changed = configurables.train_config()
        assert option == script.NONE or bindings
        assert changed.schedule == plain.schedule
    configurables.gin.clear_config()


def test_differences_are_paired_by_seed(script, tmp_path):
    tpa = {script.NONE: [0.70, 0.72], "grey 0.2": [0.71, 0.74]}
    for option, values in tpa.items():
        for seed, value in enumerate(values):
            result = {"own": value, "shifted": value - 0.2}
            script.result_path(tmp_path, option, seed).write_text(json.dumps(result))
    lines = script.table(tmp_path, [script.NONE, "grey 0.2"], [0, 1]).splitlines()
    assert lines[2] == "| none | 71.0 |  | 51.0 |  |"
    assert lines[3] == "| grey 0.2 | 72.5 | +1.5 ± 0.5 | 52.5 | +1.5 ± 0.5 |"
