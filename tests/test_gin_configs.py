"""Every gin file of the project is read by gin and binds what it names."""

import pathlib

import pytest

from imagefec.errors import UserError

GIN_CONFIGS = pathlib.Path(__file__).parents[1] / "gin_configs"
CONFIGS = sorted(GIN_CONFIGS.rglob("*.gin"))
RUNS = [path for path in sorted(GIN_CONFIGS.glob("*.gin")) if path.name != "base.gin"]


def name_of(path):
    """As --config_file and `include` have it: "smoke.gin", "models/small.gin"."""
    return path.relative_to(GIN_CONFIGS).as_posix()


@pytest.fixture
def configurables(tmp_path, monkeypatch):
    from imagefec.training import configurables

    monkeypatch.chdir(tmp_path)  # includes must not lean on the working directory
    yield configurables
    configurables.gin.clear_config()


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_every_gin_file_parses_and_names_what_it_is(configurables, path):
    assert path.read_text().startswith(f"# gin_configs/{name_of(path)} · ")
    configurables.parse([str(path)])


@pytest.mark.parametrize("path", RUNS, ids=name_of)
def test_every_run_file_includes_a_model_and_a_recipe_and_says_what_was_measured(path):
    text = path.read_text()
    assert "include 'models/" in text and "include 'recipes/" in text
    assert f"#   imagefec train --config_file={path.name} " in text or path.stem == "quickstart"
    assert "\n# Measured: " in text


@pytest.mark.parametrize("path", RUNS, ids=name_of)
def test_every_run_file_binds_all_that_training_requires(configurables, path):
    configurables.parse([path.name])  # by bare name, from anywhere
    settings = configurables.settings()
    assert settings["steps"] >= 1 and settings["batch_triplets"] >= 1
    assert callable(settings["learning_rate"]) and settings["learning_rate"](1) > 0
    settings["model"](mode="eval")  # its arguments fit ImageFEC


def test_a_binding_goes_over_the_files(configurables):
    configurables.parse(["smoke.gin"], ["training.batch_triplets = 7"])
    assert configurables.settings()["batch_triplets"] == 7


@pytest.mark.parametrize(
    ("files", "bindings", "said"),
    [
        (["nowhere.gin"], [], "nowhere.gin: there is no such file"),
        (["smoke.gin"], ["no_such_thing.steps = 1"], "no_such_thing"),
        (["smoke.gin"], ["training.no_such_argument = 1"], "no_such_argument"),
        (["smoke.gin"], ["training.steps = = 1"], "training.steps"),
    ],
)
def test_what_gin_cannot_read_is_one_clear_sentence(configurables, files, bindings, said):
    with pytest.raises(UserError, match=said):
        configurables.parse(files, bindings)


def test_a_parameter_that_no_file_binds_is_named(configurables, tmp_path):
    with pytest.raises(UserError, match=r"\['loss'\]"):
        configurables.run(["base.gin"], [], tmp_path / "run", tmp_path / "data")


def test_the_former_name_of_the_cross_entropy_still_works_and_warns(caplog):
    from imagefec.training import configurables

    configurables.parse(
        ["smoke.gin"], ["training.loss = @ChoiceLoss", "ChoiceLoss.temperature = 0.1"]
    )
    loss = configurables.settings()["loss"]()
    assert loss.name == "OddOneOutCrossEntropy" and "is now OddOneOutCrossEntropy" in caplog.text
