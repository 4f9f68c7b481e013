"""The JSON of runs: any value anywhere is right or refused by name; earlier versions load."""

# Over 350 lines: the table of values and the fuzz share one written run.

import copy
import json
import math
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagefec.errors import UserError
from imagefec.model import legacy_settings, run_schema
from imagefec.model.run import Run

MODEL = {
    "d_hidden": 4,
    "d_embedding": 6,
    "fc_widths": [8],
    "block": "basic",
    "stage_blocks": [1, 1],
    "stem": "conv3",
    "pool": "flatten",
}
INFO = {
    "format": 1,
    "model": MODEL,
    "image_size": 32,
    "channel_order": "rgb",
    "dataset": "fec",
    "eval_split": "test",
    "steps": 12,
    "images_per_step": 36,
    "seed": 3,
    "recipe": "smoke",
    "uda": {"weight": 0.5, "distance": "l2", "dataset": None},
    "faces": {
        "detector": "haar",
        "detector_version": "1",
        "align": "none",
        "box_mapping": {"dx": 0.1, "dy": -0.05, "scale": 1.2, "n": 300},
    },
}
SETTINGS = {
    "training.seed": 3,
    "training.train_split": "train",
    "training.init_checkpoint": None,
    "uda_consistency.weight": 0.5,
    "Augment.crop": 0.15,
    "Augment.flip": 0.5,
    "Augment.brightness": 0.1,
    "Augment.contrast": 0.1,
    "TripletLoss.margins_by_type": [0.1, 0.1, 0.2],
}
HISTORY = {"eval": {"metrics/tpa": [[1, 0.25], [12, 0.5]], "metrics/steps_per_second": [[12, 4.0]]}}


def write_run(folder, info=INFO, settings=SETTINGS, history=HISTORY):
    folder.mkdir(exist_ok=True)
    for name, value in (
        ("run.json", info),
        ("settings.json", settings),
        ("history.json", history),
    ):
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        (folder / name).write_bytes(text)
    return folder


def read(folder):
    """Everything that a Run offers but its checkpoint."""
    run = Run.open(folder)
    return (
        run.image_size,
        run.model_settings,
        run.seed,
        run.uda_weight,
        run.train_split,
        run.augment_ranges,
        run.images_per_second,
        run.measures("tpa"),
    )


RIGHT = (
    32,
    MODEL,
    3,
    0.5,
    "train",
    {"crop": 0.15, "flip": 0.5, "brightness": 0.1, "contrast": 0.1},
    144.0,
    [(1, 0.25), (12, 0.5)],
)


def test_a_run_is_read_as_it_was_written(tmp_path):
    assert read(write_run(tmp_path / "run")) == RIGHT


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("image_size", True, "image_size is true; it must be an integer, 1 to 4096"),
        ("image_size", 0, "image_size is 0"),
        ("image_size", 10**9, "image_size is 1000000000"),
        ("image_size", 48.0, "image_size is 48.0"),
        ("image_size", "48", 'image_size is "48"'),
        ("model", [], "model is []; it must be an object"),
        ("model.d_hidden", 10**9, "model.d_hidden is 1000000000; it must be an integer, 1 to"),
        ("model.d_hidden", -1, "model.d_hidden is -1"),
        ("model.d_embedding", 10**9, "model.d_embedding is 1000000000"),
        ("model.fc_widths", [10**9], "model.fc_widths is [1000000000]"),
        ("model.fc_widths", 8, "model.fc_widths is 8; it must be a list of 0 to 16"),
        ("model.stage_blocks", [10**9], "model.stage_blocks is [1000000000]"),
        ("model.stage_blocks", [1] * 9, "model.stage_blocks is a list of 9 items"),
        ("model.stage_blocks", [], "model.stage_blocks is []"),
        ("model.block", 3, "model.block is 3; it must be text"),
        ("model.zero_init_residual", 1, "model.zero_init_residual is 1; it must be true or false"),
        ("model.norm_momentum", 5, "model.norm_momentum is 5; it must be a number, 0 to 1"),
        ("seed", "3", 'seed is "3"'),
        ("seed", True, "seed is true"),
        ("seed", 10**30, "seed is a number of more than 63 bits"),
        ("uda", 7, "uda is 7; it must be an object"),
        ("uda.weight", -1, "uda.weight is -1"),
        ("uda.weight", 10**400, "uda.weight is a number of more than 63 bits"),
        ("faces", [1], "faces is [1]; it must be an object"),
        ("faces.detector", 5, "faces: detector must be text"),
        ("faces.align", "mouth", "faces: align must be none or eyes"),
        ("faces.box_mapping", 5, "faces: box_mapping must be an object with a number n"),
        ("faces.box_mapping", {"n": 10**400}, "faces: box_mapping must be an object with a"),
        ("faces.box_mapping", {"n": 30}, "faces: box_mapping: dx must be a number from -10 to 10"),
        ("recipe", {"a": 1}, "recipe is an object; it must be text, or null"),
        ("images_per_step", -5, "images_per_step is -5"),
        ("format", True, "format True; this version reads format 1"),
        ("format", 2, "format 2; this version reads format 1"),
        ("channel_order", None, "channel_order None; faces are 'rgb' here"),
    ],
)
def test_a_value_of_run_json_that_is_not_allowed_is_named(tmp_path, key, value, found):
    info = copy.deepcopy(INFO)
    *parents, name = key.split(".")
    (info[parents[0]] if parents else info)[name] = value
    with pytest.raises(UserError) as error:
        Run.open(write_run(tmp_path / "run", info))
    text = str(error.value)
    assert text.startswith(f"{tmp_path / 'run' / 'run.json'}: ") and found in text
    assert "\n" not in text and len(text) < 400


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "cannot be read (Expecting value"),
        (b"null", "not an object but null"),
        (b"[1, 2]", "not an object but [1, 2]"),
        (b"\x80\x81", "utf-8"),
        (b'{"format": 1, "format": 1}', 'key "format" is there twice'),
        (b'{"format": NaN}', "NaN is not a number of JSON"),
        (b'{"format": 1}', "image_size is missing"),
        (b'{"a": ' * 100_000 + b"1" + b"}" * 100_000, "nested deeper than 32 levels"),
        (b'{"a": ' * 40 + b"1" + b"}" * 40, "nested deeper than 32 levels"),
        (b'{"a": "' + b"x" * 2**20 + b'"}', "such a file has at most 1,048,576"),
    ],
)
def test_a_run_json_that_is_no_object_is_refused(tmp_path, data, found):
    folder = write_run(tmp_path / "run", data)
    with pytest.raises(UserError) as error:
        Run.open(folder)
    assert str(folder / "run.json") in str(error.value) and found in str(error.value)


def test_a_huge_sparse_file_is_refused_unread(tmp_path):
    folder = write_run(tmp_path / "run")
    for name in ("run.json", "settings.json", "history.json"):
        os.truncate(folder / name, 10**10)
        with pytest.raises(UserError, match=rf"{name}.*has 10,000,000,000 bytes"):
            read(folder)
        write_run(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_refused_without_waiting(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "run.json").unlink()
    os.mkfifo(folder / "run.json")
    with pytest.raises(UserError, match=r"run\.json.*not a file"):
        Run.open(folder)


def test_a_byte_order_mark_is_ignored(tmp_path):
    files = [b"\xef\xbb\xbf" + json.dumps(value).encode() for value in (INFO, SETTINGS, HISTORY)]
    assert read(write_run(tmp_path / "run", *files)) == RIGHT


@pytest.mark.parametrize(
    ("history", "found"),
    [
        ([], "not an object but []"),
        ({"eval": []}, "eval of the history is [], not an object"),
        (
            {"eval": {"metrics/tpa": 5}},
            "metrics/tpa of the history must be a list of [step, value]",
        ),
        ({"eval": {"metrics/tpa": [5]}}, "found 5"),
        ({"eval": {"metrics/tpa": [[1, 0.2], [1, "a"]]}}, 'found [1, "a"]'),
        ({"eval": {"metrics/tpa": [[-1, 0.2]]}}, "found [-1, 0.2]"),
        ({"eval": {"metrics/tpa": [[10**9, 0.2]]}}, "found [1000000000, 0.2]"),
        ({"eval": {"metrics/tpa": [[1, 2, 3]]}}, "found [1, 2, 3]"),
        ({"eval": {"metrics/tpa": [[True, 1]]}}, "found [true, 1]"),
        ({"eval": {"metrics/tpa": {"1": 2}}}, "found an object"),
    ],
)
def test_a_history_of_another_form_is_refused(tmp_path, history, found):
    run = Run.open(write_run(tmp_path / "run", history=history))
    with pytest.raises(UserError) as error:
        run.measures("tpa")
    assert "history.json" in str(error.value) and found in str(error.value)
    if isinstance(history, dict):  # likewise in the meta of a checkpoint
        with pytest.raises(UserError, match="history"):
            run_schema.check_state("model.npz", {"step": 12, "history": {"_values": history}})


def test_measures_that_are_not_finite_are_left_out(tmp_path):
    history = {"eval": {"metrics/tpa": [[1, math.nan], [2, 0.5], [3, math.inf]]}}
    assert Run.open(write_run(tmp_path / "run", history=history)).measures("tpa") == [(2, 0.5)]


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"step": 3},
        {"step": None, "history": {"_values": {}}},
        {"step": 3, "history": None},
        {"step": 3, "history": {"_values": {}, "get": 1}},
        {"step": 3, "history": {"eval": {}}},
        {"step": 3, "history": {"_values": {"eval": {"a": [[4, 0.5]]}}}},
        *({"step": step, "history": {"_values": {}}} for step in (10**9, -1, 1.0, "1", True, [])),
    ],
)
def test_the_state_of_a_checkpoint_of_another_form_is_refused(meta):
    with pytest.raises(UserError, match=r"model\.npz: "):
        run_schema.check_state("model.npz", meta)


def test_a_setting_that_evaluation_uses_is_checked_and_others_are_not(tmp_path):
    for name, value in (
        ("Augment.crop", 0.6),
        ("Augment.flip", True),
        ("Augment.contrast", math.nan),
        ("training.seed", "x"),
        ("training.train_split", 7),
    ):
        run = Run.open(write_run(tmp_path / "run", settings={**SETTINGS, name: value}))
        with pytest.raises(UserError, match=rf"settings\.json: {name} is"):
            _ = run.settings
    other = {**SETTINGS, "TripletLoss.margin": [{"any": None}]}
    assert Run.open(write_run(tmp_path / "run", settings=other)).settings == other


def test_old_config_gin_of_any_text_is_read_or_refused(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "settings.json").unlink()
    config = folder / "config.gin"
    config.write_text("training.seed = 5\nx.a = {1: 2, 'b': {3}}\nx.b = " + "-" * 50_000 + "1\n")
    settings = Run.open(folder).settings
    assert settings["training.seed"] == 5 and settings["x.a"] == "{1: 2, 'b': {3}}"
    assert settings["x.b"].startswith("---")
    config.write_text("x.c = " + "[" * 60 + "]" * 60 + "\n")
    with pytest.raises(UserError, match=r"config\.gin: cannot be read \(nested deeper"):
        _ = Run.open(folder).settings
    config.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"config\.gin: cannot be read"):
        _ = Run.open(folder).settings
    config.write_text("training.seed = %seed\nseed = 4\n")
    assert legacy_settings.read(config)["training.seed"] == "%seed"
    assert Run.open(folder).settings["seed"] == 4


@pytest.mark.parametrize(
    "info",
    [
        # the first version: no channel order, recipe, uda, images per step
        {
            "format": 1,
            "model": MODEL,
            "image_size": 32,
            "dataset": "fec",
            "eval_split": "test",
            "steps": 12,
            "batch_triplets": 12,
            "seed": 3,
        },
        {"format": 1, "model": {}, "image_size": 128},
        {**INFO, "recipe": None, "a key of a later version": [1]},
    ],
)
def test_runs_of_other_versions_are_read(tmp_path, info):
    folder = write_run(tmp_path / "run", info)
    run = Run.open(folder)
    assert run.image_size == info["image_size"] and run.model_settings == info["model"]
    assert run.seed == 3  # from settings.json if run.json lacks it
    for name in ("settings.json", "history.json"):
        (folder / name).unlink()
    run = Run.open(folder)
    assert run.settings == {} and run.history == {} and run.augment_ranges == {}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([0, -1, 10**9, 1e300, "nan", "", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value, path=()):
    """Every place of a JSON value, as a path of keys."""
    yield path
    if not isinstance(value, dict | list):
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield from places(part, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = replaced(value[path[0]], path[1:], new)
    return value


def check_any_value(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz") / "run"
    values = [INFO, SETTINGS, HISTORY]
    which = data.draw(st.integers(0, 2))
    path = data.draw(st.sampled_from(list(places(values[which]))))
    values[which] = replaced(values[which], path, data.draw(JSON))
    try:
        found = read(write_run(folder, *values))
    except UserError as error:
        refused = str(error)
    else:
        check_values(*found)
        return
    assert str(folder) in refused and "\n" not in refused


def check_values(image_size, model, seed, weight, split, ranges, speed, tpa):
    assert isinstance(image_size, int) and 1 <= image_size <= 4096 and isinstance(model, dict)
    assert isinstance(seed, int) and math.isfinite(weight) and weight >= 0
    assert isinstance(split, str) and all(0 <= value <= 1 for value in ranges.values())
    assert speed is None or math.isfinite(speed)
    assert all(isinstance(step, int) and math.isfinite(value) for step, value in tpa)


FUZZ = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=200, derandomize=True, **FUZZ)
@given(st.data())
def test_any_value_anywhere_is_read_right_or_refused(tmp_path_factory, data):
    check_any_value(tmp_path_factory, data)


@pytest.mark.slow
@settings(max_examples=20_000, **FUZZ)
@given(st.data())
def test_many_values_anywhere_are_read_right_or_refused(tmp_path_factory, data):
    check_any_value(tmp_path_factory, data)
