"""Every gin file of the project parses, and every run file binds all that training requires."""

import pathlib

import pytest

from imagefec.errors import UserError

GIN_CONFIGS = pathlib.Path(__file__).parents[1] / "gin_configs"
CONFIGS = sorted(GIN_CONFIGS.rglob("*.gin"))
RUNS = [path for path in sorted(GIN_CONFIGS.glob("*.gin")) if path.name != "base.gin"]


def name_of(path):
    """The name for --config_file and `include`: "smoke.gin", "models/small.gin"."""
    return path.relative_to(GIN_CONFIGS).as_posix()


@pytest.fixture
def configurables(tmp_path, monkeypatch):
    from imagefec.training import configurables

    monkeypatch.chdir(tmp_path)  # includes must not depend on the working directory
    yield configurables
    configurables.gin.clear_config()


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_every_gin_file_parses_and_begins_with_its_name(configurables, path):
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
    from imagefec.training.step.objectives import takes_triplets

    configurables.parse([path.name])  # by its name alone, from any working directory
    config = configurables.train_config()
    config.check_batch(takes_triplets(config.loss()), n_devices=1)
    assert config.learning_rate(1) > 0
    config.model(mode="eval")  # ImageFEC accepts its arguments


@pytest.mark.parametrize("path", RUNS, ids=name_of)
def test_no_run_file_selects_its_step_on_the_complete_test_split(configurables, path):
    configurables.parse([path.name])
    if path.stem != "smoke":  # which measures nothing
        assert configurables.train_config().data.eval_split != "test"


@pytest.mark.parametrize("model", sorted(GIN_CONFIGS.glob("models/*.gin")), ids=name_of)
@pytest.mark.parametrize("run", [path for path in RUNS if "identity.gin" in path.name], ids=name_of)
def test_identity_files_evaluate_on_a_split_that_vggface2_has_with_every_model(
    configurables, run, model
):
    configurables.parse([run.name, name_of(model)])
    data = configurables.train_config().data
    assert (data.dataset, data.train_dataset) == ("vggface2", "vggface2/faces")
    assert {data.train_split, data.eval_split.split("[")[0]} == {"train", "test"}


def test_a_parameter_that_base_gin_leaves_to_run_files_is_named(configurables):
    configurables.parse(["base.gin"])
    with pytest.raises(UserError, match=r"\['loss'\]"):
        configurables.train_config()


def test_a_former_name_stands_for_a_file_that_exists(configurables):
    for former, name in configurables.RENAMED_CONFIGS.items():
        assert (GIN_CONFIGS / name).is_file() and not (GIN_CONFIGS / former).exists()
