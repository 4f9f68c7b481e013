"""The table has every parameter that gin can bind, and the reference page is made from it."""

import inspect
import pathlib

import gin
import pytest

from imagefec.compat import optimizers as trax_optimizers
from imagefec.training import configurables, optimizers
from imagefec.training.settings import reference
from imagefec.training.settings.table import REQUIRED, groups

DOCS = pathlib.Path(__file__).parents[3] / "docs"


def test_the_table_has_every_parameter_of_every_function_registered_with_gin():
    own = {
        selector: configurable
        for selector, configurable in gin.config._REGISTRY.items()
        if selector.startswith("imagefec.")
    }
    found = {
        configurables.gin_files.own_name(selector): set(
            inspect.signature(configurable.wrapped).parameters
        )
        - {"mode", "cores_as_devices"}
        for selector, configurable in own.items()
    }
    assert found == {name: set(group.settings) for name, group in groups().items()}


def test_every_setting_has_a_meaning_and_a_kind_that_says_what_is_allowed():
    for group in groups().values():
        assert group.summary.endswith(".")
        for setting in group.settings.values():
            assert setting.meaning[-1] in ".:" and len(setting.kind.allowed) > 3


def test_what_must_be_bound_has_no_default():
    required = [
        each.name for group in groups().values() for each in group.settings.values()
        if each.default is REQUIRED
    ]  # fmt: skip
    assert required == [f"training.{name}" for name in (
        "model", "loss", "optimizer", "learning_rate", "steps",
    )]  # fmt: skip


def test_the_reference_page_on_disk_is_the_one_that_is_generated():
    # If this fails: python -m imagefec.training.settings.reference > docs/settings.md
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == reference.page()


@pytest.mark.parametrize("name", ["Adam", "Adafactor", "Momentum", "SGD"])
def test_an_optimizer_is_traxs_with_traxs_defaults(name):
    own, expected = getattr(optimizers, name), getattr(trax_optimizers, name)()
    trax_class = gin.config._REGISTRY.get_match(f"trax.optimizers.{name}").wrapped
    made = own()
    assert type(made).__name__ == name and type(made).__module__.startswith("trax.")
    assert made.opt_params == expected.opt_params
    parameters = dict(inspect.signature(trax_class).parameters)
    parameters.pop("init_opt_params", None)
    assert {
        key: parameter.default for key, parameter in inspect.signature(own).parameters.items()
    } == {key: parameter.default for key, parameter in parameters.items()}
    with pytest.raises(ValueError, match="learning_rate must be a number, above 0"):
        own(learning_rate=-1)


def test_an_optimizers_settings_reach_it():
    assert float(optimizers.Adam(b1=0.5).opt_params["b1"]) == 0.5
    assert float(optimizers.Momentum(mass=0.5).opt_params["mass"]) == 0.5
    assert optimizers.SGD(clip_grad_norm=2.0)._clip_grad_norm == 2.0
