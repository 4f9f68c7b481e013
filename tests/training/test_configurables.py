"""What gin binds: defaults, former names, errors, and the settings in force as JSON values."""

import dataclasses
import json

import pytest

from imagefec.errors import UserError
from imagefec.model import legacy_settings
from imagefec.training import config, configurables

GROUPS = {
    "training": (
        config.DataConfig,
        config.ScheduleConfig,
        config.StepConfig,
        config.InitConfig,
        config.TrainConfig,
    ),
    "uda_consistency": (config.UdaConfig,),
    "identity_removal": (config.IdentityRemovalConfig,),
    "guards": (config.DivergenceConfig,),
    "hosts": (config.HostsConfig,),
}
REQUIRED = ("model", "loss", "optimizer", "learning_rate", "steps")
REQUIRED_BINDINGS = [
    "training.model = @ImageFEC",
    "training.loss = @TripletLoss",
    "training.optimizer = @imagefec.Adam",
    "training.learning_rate = @warmup_cosine()",
    "training.steps = 3",
]


@pytest.fixture(autouse=True)
def clean_gin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    configurables.gin.clear_config()


def test_gins_defaults_are_those_of_the_dataclasses():
    configurables.parse([], REQUIRED_BINDINGS)
    configurables.train_config()
    configurables._bound_hosts()
    settings = configurables.settings_in_force()
    found = {name: value for name, value in settings.items() if name.split(".")[0] in GROUPS}
    expected = {
        f"{group}.{configurables.GIN_NAMES.get((each, field.name), field.name)}": field.default
        for group, classes in GROUPS.items()
        for each in classes
        for field in dataclasses.fields(each)
        if field.default is not dataclasses.MISSING
        and field.name not in ("augment", "recipe", "settings")
    }
    assert {name: found.pop(f"training.{name}") for name in REQUIRED}["steps"] == 3
    assert found == expected


def test_the_names_of_gin_parameters_are_those_that_users_files_bind():
    configurables.parse([], REQUIRED_BINDINGS)
    configurables.train_config()
    names = {name.removeprefix("training.") for name in configurables.settings_in_force()}
    # fmt: off
    assert names >= {
        "steps", "steps_per_eval", "steps_per_checkpoint", "stop_at_tpa", "select_from", "dataset",
        "train_dataset", "train_split", "eval_split", "image_size", "batch_triplets",
        "balanced", "batch_people", "faces_each", "precision", "accumulate", "rematerialise",
        "faces_on_device", "init_checkpoint", "init_part", "layer_rates", "seed",
    }
    # fmt: on


def test_bound_values_reach_their_fields():
    bindings = [
        "training.batch_people = 6",
        "training.faces_each = 5",
        "training.rematerialise = True",
        "training.accumulate = 2",
        "training.faces_on_device = True",
        "training.init_checkpoint = 'runs/a'",
        "training.init_part = 'body'",
        "training.layer_rates = {'Stem': 0}",
        "uda_consistency.weight = 0.5",
        "guards.collapse_steps = 7",
        "ImageFEC.d_hidden = 4",
    ]
    configurables.parse([], [*REQUIRED_BINDINGS, *bindings])
    found = configurables.train_config("name")
    assert (found.data.batch_identities, found.data.images_per_identity) == (6, 5)
    assert found.step == config.StepConfig("float32", True, 2, True)
    assert found.init == config.InitConfig("runs/a", "body")
    assert found.lr_multipliers == {"Stem": 0} and found.schedule.steps == 3
    assert found.uda.weight == 0.5 and found.divergence.collapse_steps == 7
    assert found.model_settings == {"d_hidden": 4} and found.recipe == "name"


def test_bindings_of_augment_apply_even_if_no_file_binds_the_layer():
    configurables.parse([], [*REQUIRED_BINDINGS, "Augment.crop = 0.25"])
    configurables.train_config().augment(mode="eval")
    assert configurables.settings_in_force()["Augment.crop"] == 0.25


def test_a_binding_overrides_the_files():
    configurables.parse(["smoke.gin"], ["training.batch_triplets = 7"])
    assert configurables.train_config().data.batch_triplets == 7


@pytest.mark.parametrize(
    ("files", "bindings", "message"),
    [
        (["nowhere.gin"], [], "nowhere.gin: there is no such file"),
        (
            ["quickstart"],
            [],
            r"quickstart: there is no such file, .* Did you mean quickstart\.gin\?",
        ),
        (["smoke.gin"], ["no_such_thing.steps = 1"], "no_such_thing"),
        (["smoke.gin"], ["training.no_such_argument = 1"], "no_such_argument"),
        (["smoke.gin"], ["training.steps = = 1"], "training.steps"),
    ],
)
def test_what_gin_cannot_read_is_refused_with_its_message(files, bindings, message):
    with pytest.raises(UserError, match=message):
        configurables.parse(files, bindings)


@pytest.mark.parametrize("missing", range(len(REQUIRED)))
def test_a_required_parameter_that_is_not_bound_is_named(missing):
    bindings = REQUIRED_BINDINGS[:missing] + REQUIRED_BINDINGS[missing + 1 :]
    configurables.parse([], bindings)
    with pytest.raises(UserError, match=rf"{REQUIRED[missing]}.*Give --config_file"):
        configurables.train_config()


def test_the_error_for_a_value_contains_no_text_from_gin():
    with pytest.raises(UserError) as caught:
        configurables.parse([], [*REQUIRED_BINDINGS, "guards.collapse_steps = -1"])
    assert str(caught.value) == (
        "--config='guards.collapse_steps = -1': guards.collapse_steps is -1; it must be an "
        "integer, 0 or more, at most 1,000,000,000."
    )
    assert "In call to configurable" not in str(caught.value)


def test_the_former_name_of_the_cross_entropy_still_works_and_warns(caplog):
    configurables.parse(
        ["smoke.gin"], ["training.loss = @ChoiceLoss", "ChoiceLoss.temperature = 0.1"]
    )
    found = configurables.train_config()
    assert [found.loss().name, found.loss().name] == ["OddOneOutCrossEntropy"] * 2
    assert caplog.text.count("ChoiceLoss is now OddOneOutCrossEntropy") == 1


def test_choosing_the_step_on_the_complete_test_split_is_warned_of(caplog, tmp_path):
    for split, n_warnings in (("test", 1), ("train[95%:]", 0), ("test[:10%]", 0)):
        caplog.clear()
        bindings = [f"training.eval_split = '{split}'"]
        with pytest.raises(UserError, match="nowhere holds no dataset 'fec'"):
            configurables.run(["smoke.gin"], bindings, tmp_path / "run", tmp_path / "nowhere")
        assert caplog.text.count("best.npz is chosen on the triplets") == n_warnings


def test_home_and_variables_are_replaced_in_the_paths_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match=f"{tmp_path}/nowhere holds no dataset"):
        configurables.run(["smoke.gin"], [], "~/run", "$HOME/nowhere")
    with pytest.raises(UserError, match="data_dir is '', which is not a path"):
        configurables.run(["smoke.gin"], [], "~/run", "")
    assert not (tmp_path / "~").exists() and not (tmp_path / "$HOME").exists()


@pytest.mark.parametrize("value", [True, False])
def test_cores_as_devices_is_accepted_with_a_warning_and_ignored(caplog, value):
    configurables.parse(["smoke.gin"])
    caplog.clear()
    plain = configurables.train_config()
    assert "cores_as_devices" not in caplog.text
    configurables.parse(["smoke.gin"], [f"training.cores_as_devices = {value}"])
    bound = configurables.train_config()
    assert "training.cores_as_devices is ignored" in caplog.text
    assert (bound.data, bound.step, bound.schedule) == (plain.data, plain.step, plain.schedule)
    assert "training.cores_as_devices" not in configurables.settings_in_force()
    assert "cores_as_devices" not in configurables.gin.operative_config_str()


@pytest.fixture
def renamed(tmp_path, monkeypatch):
    """A folder of gin files in which old.gin is now new.gin."""
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "new.gin").write_text("training.steps = 8\n")
    monkeypatch.setattr(configurables, "CONFIG_DIRS", (folder,))
    monkeypatch.setattr(configurables, "RENAMED_CONFIGS", {"old.gin": "new.gin"})
    return folder


@pytest.mark.parametrize("in_folder", [False, True])
def test_the_former_name_of_a_gin_file_still_works_and_warns(renamed, caplog, in_folder):
    name = str(renamed / "old.gin") if in_folder else "old.gin"
    (found,) = configurables.parse([name])
    assert found == (str(renamed / "new.gin") if in_folder else "new.gin")
    assert configurables.gin.query_parameter("training.steps") == 8
    assert f"{name}: this file is now {found}" in caplog.text


def test_a_users_own_file_of_a_former_name_is_read_without_a_warning(renamed, tmp_path, caplog):
    (tmp_path / "old.gin").write_text("training.steps = 9\n")
    assert configurables.parse(["old.gin"]) == ["old.gin"]
    assert configurables.gin.query_parameter("training.steps") == 9 and not caplog.text


def test_a_file_that_includes_a_former_name_is_refused_with_the_new_one(renamed, tmp_path):
    (tmp_path / "mine.gin").write_text("include 'old.gin'\n")
    with pytest.raises(UserError, match=r"old\.gin is now new\.gin: include that"):
        configurables.parse(["mine.gin"])


def test_the_known_configs_are_run_files_not_models_or_recipes(renamed):
    (renamed / "models").mkdir()
    (renamed / "models" / "small.gin").write_text("")
    assert configurables.known_configs() == ["new.gin"]


def test_settings_in_force_are_json_values_with_macros_replaced(tmp_path):
    (tmp_path / "mine.gin").write_text(
        "include 'smoke.gin'\nsteps = 5\nTripletLoss.margins_by_type = (0.1, 0.2, 0.3)\n"
        "training.layer_rates = {'Stem': 0.5}\n"
    )
    configurables.parse(["mine.gin"])
    found = configurables.train_config()
    for make in (found.loss, found.optimizer):
        make()
    settings = json.loads(json.dumps(configurables.settings_in_force()))
    assert settings["training.steps"] == settings["warmup_cosine.steps"] == 5
    assert settings["training.loss"] == "@TripletLoss"
    assert settings["training.learning_rate"] == "@warmup_cosine()"
    assert settings["training.optimizer"] == "@imagefec.Adam"
    assert settings["TripletLoss.margins_by_type"] == [0.1, 0.2, 0.3]
    assert settings["training.layer_rates"] == {"Stem": 0.5}
    assert settings["imagefec.Adam.b1"] == 0.9 and settings["guards.collapse_spread"] == 0.01
    assert settings["training.init_checkpoint"] is None
    # gin's own text has the same settings; only macros and tuples are written differently.
    text = legacy_settings.parse(configurables.gin.operative_config_str())
    assert settings.keys() == text.keys() - {"steps"}
    differing = {name for name in settings if text[name] != settings[name]}
    assert differing - {"TripletLoss.margins_by_type"} == {"training.steps", "warmup_cosine.steps"}
