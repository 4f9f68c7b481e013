"""The light declaration of ImageFEC's settings is that of the Trax layer."""

import dataclasses
import inspect

from imagefec import parameters
from imagefec.model import ImageFEC
from imagefec.model.network.architecture import Architecture


def test_the_settings_and_defaults_are_those_of_the_trax_network():
    declared = {
        name: parameter.default
        for name, parameter in inspect.signature(ImageFEC).parameters.items()
        if name != "mode"
    }
    assert {f.name: f.default for f in dataclasses.fields(Architecture)} == declared


def test_the_allowed_values_are_those_of_the_trax_network():
    def allowed(declared):
        kinds = parameters.kinds_of(declared)
        return {name: kind.allowed for name, kind in kinds.items() if name != "mode"}

    assert allowed(Architecture) == allowed(ImageFEC)
